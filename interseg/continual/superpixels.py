"""Superpixels, and the user who annotates those that are wrong and uncertain (CLIS, section "Experimental setup")."""

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import Annotation, Annotator, Scene, no_annotation


def superpixels(image: NDArray[np.uint8], count: int = 1600, compactness: float = 10.0) -> NDArray[np.int64]:
    """SLIC superpixels (Achanta et al. 2012) of an RGB image (H, W, 3): (H, W) of 0 to n - 1, n about `count`."""
    return slic(image, n_segments=count, compactness=compactness, start_label=0).astype(np.int64)


class SuperpixelUser(Annotator):
    """Annotates superpixels that are wrong, the most uncertain first, spread over the image.

    A superpixel is wrong where at least half of its valid pixels are, and may be annotated if a class holds at least `purity` of
    its valid pixels. Its valid pixels are annotated with that class. What was annotated before is not annotated again.

    Args:
        count: of superpixels a round; the paper's 16. Fewer where there are no more.
        apart: least distance in pixels between the centres of two that are annotated in one round.
        purity: see above.
        guided: by uncertainty; False for random wrong superpixels (the ablation).
    """

    def __init__(self, count: int = 16, apart: float = 25.0, purity: float = 0.8, guided: bool = True) -> None:
        self.count, self.apart, self.purity, self.guided = count, apart, purity, guided

    def annotate(self, scene: Scene, generator: np.random.Generator, scale: float = 1.0) -> tuple[Annotation, int]:
        """See `Annotator`; without guidance the generator draws the order, and uncertainty is not looked at."""
        prediction, mask, uncertainty, segments, before = scene
        found = no_annotation(mask.shape)
        valid = mask != IGNORE
        sizes, labels = self._labels(mask, segments, valid)
        wrong = np.bincount(segments[valid & (prediction != mask)], minlength=len(sizes))
        done = np.bincount(segments[before != IGNORE], minlength=len(sizes)) > 0
        candidates = np.flatnonzero((labels != IGNORE) & (2 * wrong >= sizes) & (wrong > 0) & ~done)
        candidates = most_uncertain(candidates, uncertainty, segments) if self.guided else generator.permutation(candidates)
        chosen = spread(candidates, _centres(segments, len(sizes)), self.count, self.apart * scale)
        for segment in chosen:
            found[(segments == segment) & valid] = labels[segment]
        return found, len(chosen)

    def _labels(
        self, mask: NDArray[np.uint8], segments: NDArray[np.int64], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Valid pixels of each superpixel and the class that holds enough of them, 255 where none does."""
        count = int(segments.max()) + 1
        sizes = np.bincount(segments[valid], minlength=count)
        classes = int(mask[valid].max(initial=0)) + 1
        votes = np.bincount(segments[valid] * classes + mask[valid], minlength=count * classes).reshape(count, classes)
        pure = (sizes > 0) & (votes.max(1) >= self.purity * sizes)
        return sizes, np.where(pure, votes.argmax(1), IGNORE)


def wished(
    uncertainty: NDArray[np.floating], segments: NDArray[np.int64], before: Annotation, count: int = 16, apart: float = 25.0
) -> list[int]:
    """Choose the superpixels that a method would like to have annotated, without a truth: the most uncertain first, spread over the image.

    Args:
        uncertainty: (H, W) of each pixel.
        segments: (H, W) superpixels, numbered from 0.
        before: (H, W) what is annotated; superpixels with a pixel of it are not wished for.
        count: of superpixels, fewer where there are no more.
        apart: least distance in pixels between the centres of two.
    """
    total = int(segments.max()) + 1
    done = np.bincount(segments[before != IGNORE], minlength=total) > 0
    candidates = most_uncertain(np.flatnonzero(~done), uncertainty, segments)
    return spread(candidates, _centres(segments, total), count, apart)


def most_uncertain(candidates: NDArray[np.int64], uncertainty: NDArray[np.floating], segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort superpixels by their mean uncertainty, the largest first."""
    sizes = np.bincount(segments.ravel())
    mean = np.bincount(segments.ravel(), uncertainty.ravel(), len(sizes)) / sizes
    return candidates[np.argsort(-mean[candidates], kind="stable")]


def spread(candidates: NDArray[np.int64], centres: NDArray[np.float64], count: int, apart: float) -> list[int]:
    """Take superpixels in order, `count` at most, whose centres (n, 2) are all at least `apart` pixels from each other."""
    chosen: list[int] = []
    for segment in candidates.tolist():
        if len(chosen) == count:
            break
        if all(np.hypot(*(centres[segment] - centres[other])) >= apart for other in chosen):
            chosen.append(segment)
    return chosen


def _centres(segments: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """(n, 2) mean y, x of each superpixel."""
    y, x = np.indices(segments.shape)
    sizes = np.bincount(segments.ravel(), minlength=count).clip(1)
    return np.stack([np.bincount(segments.ravel(), axis.ravel(), count) / sizes for axis in (y, x)], 1)
