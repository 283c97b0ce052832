"""Click segmenters without learning: random walks, GrabCut, graph cut, geodesic distance.

Each is a library's algorithm with the same interface: photo and seeds in, probability of the object
out. Clicks become seeds of a few pixels. Until the first negative click, the image's border counts
as background, since all but GrabCut need both kinds of seeds (the literature is silent; people
click on objects that are mostly inside the picture).
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from skimage.color import rgb2lab
from skimage.graph import MCP_Geometric
from skimage.segmentation import random_walker as skimage_random_walker

from interseg.clicks.layout import Clicks
from interseg.errors import InputError

Image = NDArray[np.float32]
"""(H, W, 3) RGB in [0, 1]."""
Seeds = NDArray[np.uint8]
"""(H, W): 1 object, 2 background, 0 unknown."""
Probability = NDArray[np.float64]
"""(H, W) in [0, 1]."""

BACKGROUND = 2


def seeds_of(clicks: Clicks, height: int, width: int, radius: int) -> Seeds:
    """Draw discs round the clicks, later ones over earlier ones.

    Without a negative click, the border is background.

    Args:
        clicks: (n, 4) y, x, label, kind.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        radius: Radius of the discs in pixels.
    """
    seeds = np.zeros((height, width), np.uint8)
    if not (clicks[:, 2] == 0).any():
        seeds[[0, -1]] = BACKGROUND
        seeds[:, [0, -1]] = BACKGROUND
    for y, x, label, _ in clicks.tolist():
        cv2.circle(seeds, (x, y), radius, 1 if label else BACKGROUND, -1)
    for y, x, label, _ in clicks.tolist():  # a disc never hides another click itself
        seeds[y, x] = 1 if label else BACKGROUND
    return seeds


def steepness(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure the length of the gradient (H, W); there is none along a side of one pixel."""
    length = np.zeros(values.shape)
    for axis in (0, 1):
        if values.shape[axis] > 1:
            length = np.hypot(length, np.gradient(values, axis=axis))
    return length


def random_walker(
    image: Image, seeds: Seeds, previous: NDArray[np.bool_] | None = None, beta: float = 130.0
) -> Probability:
    """Compute the probability that a random walk reaches an object seed first.

    The source is Grady 2006, by scikit-image's conjugate gradients.

    Args:
        image: See `Image`.
        seeds: See `Seeds`.
        previous: Not used.
        beta: Strength with which edges stop the walk.
    """
    if not (seeds == 1).any():
        return np.zeros(seeds.shape)
    if (seeds > 0).all():
        return (seeds == 1).astype(np.float64)
    labels = seeds.astype(np.int32)
    walks = skimage_random_walker(
        image, labels, beta=beta, mode="cg_j", channel_axis=-1, return_full_prob=True, prob_tol=1.0
    )
    return np.clip(np.where(seeds > 0, seeds == 1, walks[0]), 0, 1)


def grabcut(
    image: Image,
    seeds: Seeds,
    previous: NDArray[np.bool_] | None = None,
    rounds: int = 5,
    reach: float = 0.25,
) -> Probability:
    """Run OpenCV's GrabCut (Rother, Kolmogorov and Blake 2004) from the previous mask.

    Args:
        image: See `Image`.
        seeds: See `Seeds`; they are hard constraints.
        previous: (H, W) probable object; without one, the pixels within `reach` of a positive seed.
        rounds: Number of rounds of re-estimating colours and cutting.
        reach: Distance as a share of the shorter side.
    """
    if not (seeds == 1).any():
        return np.zeros(seeds.shape)
    if previous is None or not previous.any():
        others = (seeds != 1).astype(np.uint8)
        distance = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        previous = distance <= reach * min(seeds.shape)
    mask = np.where(previous, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[seeds == 1], mask[seeds == BACKGROUND] = cv2.GC_FGD, cv2.GC_BGD
    if not np.isin(mask, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        return np.ones(seeds.shape)
    cv2.setRNGSeed(0)  # the colours' mixtures start from k-means
    pixels = (image * 255).astype(np.uint8)
    inside, outside = np.zeros((1, 65)), np.zeros((1, 65))  # the colour models, filled by OpenCV
    unused = (0, 0, 1, 1)
    cv2.grabCut(pixels, mask, unused, inside, outside, rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float64)


def graph_cut(
    image: Image,
    seeds: Seeds,
    previous: NDArray[np.bool_] | None = None,
    smoothness: float = 10.0,
    bins: int = 8,
) -> Probability:
    """Find the minimal cut between seeds (Boykov and Jolly 2001; PyMaxflow).

    Regional term: minus log of smoothed Lab histograms of the seeds; boundary term: `exp(-d^2 / (2
    mean d^2))` of neighbouring colours.

    Args:
        image: See `Image`.
        seeds: See `Seeds`; they are hard constraints.
        previous: Not used.
        smoothness: Weight of the boundary term.
        bins: Number of the histograms' bins along each axis.

    Raises:
        InputError: The package PyMaxflow is missing.
    """
    try:
        import maxflow
    except ModuleNotFoundError:
        raise InputError("graph_cut needs the package PyMaxflow: pip install PyMaxflow") from None
    if not (seeds == 1).any():
        return np.zeros(seeds.shape)
    lab = rgb2lab(image)
    graph = maxflow.GraphFloat()
    nodes = graph.add_grid_nodes(seeds.shape)
    down, across = ((np.diff(lab, axis=axis) ** 2).sum(-1) for axis in (0, 1))
    scale = 2 * max(1e-6, float(np.concatenate([down.ravel(), across.ravel()]).mean()))
    weights = np.zeros(seeds.shape)
    weights[:-1] = smoothness * np.exp(-down / scale)
    below = np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0]])
    graph.add_grid_edges(nodes, weights, below, symmetric=True)
    weights = np.zeros(seeds.shape)
    weights[:, :-1] = smoothness * np.exp(-across / scale)
    right = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    graph.add_grid_edges(nodes, weights, right, symmetric=True)
    costs = _colour_costs(lab, seeds, bins)
    forced = 1e9
    to_object = np.where(seeds == BACKGROUND, 0, costs[1])
    to_background = np.where(seeds == 1, 0, costs[0])
    graph.add_grid_tedges(
        nodes,
        np.where(seeds == 1, forced, to_object),
        np.where(seeds == BACKGROUND, forced, to_background),
    )
    graph.maxflow()
    return (~graph.get_grid_segments(nodes)).astype(np.float64)


def _colour_costs(
    lab: NDArray[np.float64], seeds: Seeds, bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute each pixel's minus log likelihood (H, W) by object seeds and by background seeds."""
    scaled = (lab - (0, -100, -100)) / (100, 200, 200)
    cells = np.clip(scaled * bins, 0, bins - 1e-6).astype(int)
    costs = []
    for label in (1, BACKGROUND):
        counts = np.zeros((bins, bins, bins))
        np.add.at(counts, tuple(cells[seeds == label].T), 1)
        counts = cv2.GaussianBlur(counts, (0, 0), 0.7) + 1e-3 * max(1.0, counts.sum())
        log_likelihoods = np.log(counts / counts.sum())
        costs.append(-log_likelihoods[tuple(np.moveaxis(cells, -1, 0))])
    return costs[0], costs[1]


def geodesic(
    image: Image,
    seeds: Seeds,
    previous: NDArray[np.bool_] | None = None,
    step: float = 0.005,
    bins: int = 8,
) -> Probability:
    """Compare the geodesic distances to object and background seeds (Bai and Sapiro 2007).

    Paths are short if the likelihood of being object changes little along them. The likelihood
    comes from smoothed Lab histograms of the seeds; paths are scikit-image's minimal-cost paths.

    Args:
        image: See `Image`.
        seeds: See `Seeds`.
        previous: Not used.
        step: Cost of a pixel at which the likelihood does not change; with a larger step, distances
            are more like plain ones.
        bins: Number of the histograms' bins along each axis.
    """
    if not (seeds == 1).any():
        return np.zeros(seeds.shape)
    if not (seeds == BACKGROUND).any():  # a later disc may cover the only negative click
        return np.ones(seeds.shape)
    costs = _colour_costs(rgb2lab(image), seeds, bins)
    likelihood = cv2.GaussianBlur(expit(costs[1] - costs[0]), (0, 0), 1.0)
    change = steepness(likelihood)
    to_object, _ = MCP_Geometric(step + change).find_costs(np.argwhere(seeds == 1))
    to_background, _ = MCP_Geometric(step + change).find_costs(np.argwhere(seeds == BACKGROUND))
    share = to_background / np.maximum(to_object + to_background, 1e-9)
    return np.where(seeds > 0, seeds == 1, share).astype(np.float64)


METHODS: dict[str, Callable[..., Probability]] = {
    f.__name__: f for f in (random_walker, grabcut, graph_cut, geodesic)
}
"""Methods by their names in configs, which are the functions' names; the list is closed."""
