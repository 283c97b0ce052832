"""The users of two-in-one refinement: one click selects the object, the next ones lie on its boundary beside the errors.

Section 3.3 of the paper. Where it is silent, a class or function says what was chosen.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import Cluster, connected_clusters
from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import BOUNDARY, Click, Clicks, Mask, clicks_of, no_clicks
from interseg.clicks.users import User
from interseg.distance import distance_to, interior_distance
from interseg.errors import InputError

Pixels = NDArray[np.int64]
"""(n, 2) int64: y, x."""


def selection_click(mask: NDArray[np.uint8]) -> Click | None:
    """Find the object's centre of mass if that pixel is object, else its pixel farthest from the boundary; None for an empty object.

    Args:
        mask: (H, W) in {0, 1, 255 = ignore}.
    """
    y, x = np.nonzero(mask == 1)
    if len(y) == 0:
        return None
    centre = (round(float(y.mean())), round(float(x.mean())))
    if mask[centre] != 1:
        inside = interior_distance(mask == 1)
        deepest = np.unravel_index(int(inside.argmax()), inside.shape)
        centre = (int(deepest[0]), int(deepest[1]))
    return Click(*centre, 1)


class SelectionClick(InitialClicks):
    """Training's one click: `selection_click`, displaced at random.

    It falls on a random pixel of the object within `displacement` pixels of the undisplaced one, so
    that on an object smaller than the displacement it still lies on the object: the paper displaces
    without saying where to.

    Args:
        displacement: in pixels.
    """

    def __init__(self, displacement: float = 25.0) -> None:
        super().__init__(positives=1, negatives=0)
        self.displacement = displacement

    def __call__(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator
    ) -> Clicks:
        """Draw one click; `InitialClicks` describes the arguments."""
        centre = selection_click(mask)
        if centre is None:
            return no_clicks()
        pixels = np.argwhere(mask == 1)
        near = pixels[((pixels - centre[:2]) ** 2).sum(1) <= self.displacement**2]
        chosen = near[generator.integers(len(near))]
        return clicks_of([(*chosen.tolist(), 1)])


def error_kinds(
    prediction: Mask, mask: NDArray[np.uint8], least_share: float
) -> list[tuple[Cluster, bool]]:
    """Clusters of missed pixels (True) and of excess pixels (False), the largest first.

    Args:
        prediction: (H, W) bool.
        mask: (H, W) in {0, 1, 255 = ignore}.
        least_share: clusters with fewer pixels than this share of the object are dropped; the
            largest stays where none passes.

    Raises `InputError` for classes.
    """
    if prediction.dtype != bool:
        raise InputError(
            "this user clicks one object against background, not classes; use another one (callbacks.loop.user)"
        )
    truth = mask == 1
    found = [(cluster, True) for cluster in connected_clusters(truth & ~prediction)]
    found += [(cluster, False) for cluster in connected_clusters((mask == 0) & prediction)]
    found.sort(key=lambda row: -row[0].area)
    least = least_share * np.count_nonzero(truth)
    return [row for row in found if row[0].area >= least] or found[:1]


class BoundaryUser(User):
    """Clicks the object's centre first, then its boundary beside the largest error.

    Beside a missed cluster: the boundary pixel of the object in the cluster that is farthest from
    the predicted boundary round the cluster (directed Hausdorff distance); without one of the two,
    as where nothing was predicted or the cluster is a hole, all of the object's or of the
    prediction's boundary stands in for it. Beside an excess cluster: the boundary pixel nearest to
    it, in the middle of the contact among equals (eq. 5). What lies beyond the image is not
    boundary, unless the object has no other.

    A new click keeps `spacing` pixels from earlier boundary clicks, whose guidance already says
    what is there: the paper is silent, and without it clicks would pile up where the network does
    not follow. A cluster beside which no such pixel is left (for an excess one: none that is at
    most `spacing` farther from it than the nearest) is passed over for the next; where all are, any
    boundary pixel that was not clicked before will do.

    Args:
        least_share: clusters with fewer pixels than this share of the object are clicked only if no
            other is left.
        spacing: in pixels; the guidance's standard deviation by default.
    """

    def __init__(self, least_share: float = 0.01, spacing: float = 10.0) -> None:
        self.least_share, self.spacing = least_share, spacing

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        errors = error_kinds(prediction, mask, self.least_share)
        if not errors:
            return None
        if len(clicks) == 0:
            return selection_click(mask)
        boundary = outline(mask == 1)
        away = distances(boundary, clicks[1:])
        for spacing, reach in ((self.spacing, self.spacing), (1.0, np.inf)):
            for cluster, missed in errors:
                found = boundary_click(
                    cluster, missed, prediction, boundary, away >= spacing, reach
                )
                if found is not None:
                    return Click(*found, 1, BOUNDARY)
        return None


class CentreUser(User):
    """The control of the paper (Ours-PNR): the object's centre first, then the centre of the largest error, as object or background.

    The centre is the cluster's deepest pixel that keeps `spacing` pixels from earlier clicks, as
    with `BoundaryUser`, so that the two differ in nothing else; a cluster without one is passed
    over, and where all are, any pixel that was not clicked will do.

    Args:
        least_share: see `BoundaryUser`.
        spacing: likewise.
    """

    def __init__(self, least_share: float = 0.01, spacing: float = 10.0) -> None:
        self.least_share, self.spacing = least_share, spacing

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        errors = error_kinds(prediction, mask, self.least_share)
        if errors and len(clicks) == 0:
            return selection_click(mask)
        for spacing in (self.spacing, 1.0):
            for cluster, missed in errors:
                found = centre_of(cluster, clicks[1:] if spacing > 1 else clicks, spacing)
                if found is not None:
                    return Click(*found, int(missed))
        return None


def boundary_click(
    cluster: Cluster,
    missed: bool,
    prediction: Mask,
    boundary: Pixels,
    allowed: NDArray[np.bool_],
    reach: float = np.inf,
) -> tuple[int, int] | None:
    """Find the pixel of an object's boundary that corrects an error (eq. 5); `BoundaryUser` says how. None where no pixel is left.

    Args:
        cluster: of missed or of excess pixels.
        missed: which of the two.
        prediction: (H, W) bool.
        boundary: (n, 2) pixels of the object's boundary.
        allowed: (n,) those that may be clicked.
        reach: beside an excess cluster or a hole, pixels that a click may be farther from it than
            the boundary's nearest pixel.
    """
    region = cluster.region()
    within = region[tuple(boundary.T)]
    directed = missed and within.any()
    candidates = boundary[within & allowed if directed else allowed]
    if len(candidates) == 0:
        return None
    if directed:
        away = distance_to(predicted_outline(region, prediction))[tuple(candidates.T)]
        return middle(candidates[away == away.max()])
    near = distance_to(region)[tuple(candidates.T)]
    if near.min() > distance_to(region)[tuple(boundary.T)].min() + reach:
        return None
    return middle(candidates[near == near.min()])


def centre_of(cluster: Cluster, clicks: Clicks, spacing: float = 1.0) -> tuple[int, int] | None:
    """Find the deepest pixel of a cluster that keeps a distance in pixels from all clicks; None where none does."""
    depth = cluster.distance_to_boundary()
    corner = np.array((cluster.top, cluster.left))
    pixels = np.argwhere(depth > 0) + corner
    far = distances(pixels, clicks) >= spacing
    if not far.any():
        return None
    pixels = pixels[far]
    best = depth[tuple((pixels - corner).T)].argmax()
    return int(pixels[best, 0]), int(pixels[best, 1])


def distances(pixels: Pixels, clicks: Clicks) -> NDArray[np.float64]:
    """(n,) pixels from each of some pixels to the nearest click; infinite without clicks."""
    return np.sqrt(((pixels[:, None] - clicks[None, :, :2]) ** 2.0).sum(2)).min(1, initial=np.inf)


def predicted_outline(cluster: NDArray[np.bool_], prediction: Mask) -> NDArray[np.bool_]:
    """(H, W) the prediction's boundary pixels that touch a cluster, also by a corner; all of its boundary where none does."""
    pixels = np.zeros(prediction.shape, bool)
    pixels[tuple(outline(prediction.astype(bool, copy=False)).T)] = True
    touching = pixels & (cv2.dilate(cluster.view(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    return touching if touching.any() else pixels


def outline(region: NDArray[np.bool_], padding: NDArray[np.bool_] | None = None) -> Pixels:
    """Find the boundary pixels of a region: those with one of four neighbours outside it, in row-major order.

    The image's border is no boundary; where there is no other, it is. Nor is that of a view's
    padding (H, W).
    """
    filled = region if padding is None else region | padding
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(filled.view(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    found = np.argwhere(region & (inner == 0))
    if len(found) == 0 and region.any():
        found = np.argwhere(interior_distance(region) == 1)
    return found


def middle(pixels: Pixels) -> tuple[int, int]:
    """Find the one of some pixels nearest to their mean, the first in row-major order among equals."""
    y, x = pixels[
        ((pixels - pixels.mean(0)) ** 2).sum(1).round(9).argmin()
    ]  # equal but for rounding is equal
    return int(y), int(x)


class RefinementClicks:
    """Training's clicks on a selected object, for two-in-one (`signed=False`) or for its control with positive and negative clicks.

    `fewest` to `most` of the clusters that are large enough, drawn without replacement (all where
    there are fewer), get a click each, by the rule of `BoundaryUser` or `CentreUser`. A boundary
    click is then moved to a random pixel within `perturbation` pixels; a signed one only within its
    cluster, where its sign holds.

    Args:
        signed: positive and negative clicks in the clusters' centres instead of boundary clicks.
        fewest: clicks.
        most: clicks.
        least_share: (low, high), of which the dropped clusters' share of the object is drawn: the
            paper's m of 1 to 5 %.
        perturbation: in pixels.
    """

    def __init__(
        self,
        signed: bool = False,
        fewest: int = 2,
        most: int = 4,
        least_share: tuple[float, float] = (0.01, 0.05),
        perturbation: float = 10.0,
    ) -> None:
        self.signed, self.fewest, self.most = signed, fewest, most
        self.least_share, self.perturbation = least_share, perturbation

    def __call__(
        self,
        prediction: NDArray[np.bool_],
        mask: NDArray[np.uint8],
        generator: np.random.Generator,
        padding: NDArray[np.bool_] | None = None,
    ) -> Clicks:
        """Draw one set, (n, 4): empty where nothing is wrong.

        Args:
            prediction: (H, W) bool of the selection.
            mask: (H, W) in {0, 1, 255 = ignore}.
            generator: the only source of randomness.
            padding: (H, W) what a view shows beyond its image: its edge is no boundary of the
                object.
        """
        errors = error_kinds(prediction, mask, generator.uniform(*self.least_share))
        count = min(int(generator.integers(self.fewest, self.most + 1)), len(errors))
        chosen: list[int] = (
            generator.choice(len(errors), count, replace=False).tolist() if count else []
        )
        boundary = outline(mask == 1, padding)
        allowed = np.ones(len(boundary), bool)
        rows: list[tuple[int, ...]] = []
        for cluster, missed in (errors[i] for i in chosen):
            found = (
                centre_of(cluster, no_clicks())
                if self.signed
                else boundary_click(cluster, missed, prediction, boundary, allowed)
            )
            if found is None:
                continue
            moved = self._moved(*found, mask.shape, generator)
            if not self.signed:
                rows.append((*moved, 1, BOUNDARY))
            else:
                rows.append((*(moved if cluster.region()[moved] else found), int(missed)))
        return clicks_of(rows)

    def _moved(
        self, y: int, x: int, shape: tuple[int, ...], generator: np.random.Generator
    ) -> tuple[int, int]:
        """Move a pixel uniformly within a disk, and keep it in the image."""
        angle, radius = (
            generator.uniform(0, 2 * np.pi),
            self.perturbation * np.sqrt(generator.uniform()),
        )
        moved = y + radius * np.sin(angle), x + radius * np.cos(angle)
        row, column = (
            round(min(max(value, 0), side - 1)) for value, side in zip(moved, shape, strict=True)
        )
        return row, column
