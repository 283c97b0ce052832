"""Superpixels, and a user who annotates those that are wrong and uncertain (CLIS, experiments)."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import Annotation, Annotator, AnsweredImage, no_annotation
from interseg.errors import InputError

ORDERS = (
    "error_mass",
    "epistemic_mass",
    "error_size",
    "entropy",
    "mutual_information",
    "official",
    "random",
)
ACCURACY = 0.25
"""Most that a superpixel of the official order's first stage may have."""

COMPACTNESS = 10.0
"""Weight of nearness against colour in SLIC, scikit-image's."""


def superpixels(image: NDArray[np.uint8], count: int = 1600) -> NDArray[np.int64]:
    """Compute SLIC superpixels (Achanta et al. 2012) of an RGB image (H, W, 3).

    Returns (H, W) of 0 to n - 1, n about `count`.
    """
    return slic(image, n_segments=count, compactness=COMPACTNESS, start_label=0).astype(np.int64)


class SuperpixelUser(Annotator):
    """Annotates superpixels that are wrong, in an order, spread over the image.

    A superpixel is wrong where at least half of its valid pixels are, and may be annotated if a
    class holds at least `purity` of its valid pixels. Its valid pixels are annotated with that
    class. What was annotated before is not annotated again.

    Args:
        count: Number of superpixels a round; the paper's 16. Fewer where there are no more.
        apart: Least distance in pixels between the centres of two that are annotated in one round.
        purity: Share of its valid pixels that one class of a superpixel must hold.
        order: "error_mass", the uncertainty of the wrong pixels nearby, those at most `apart` rows
            and columns from the centre, summed: large errors come first, in their middle;
            "epistemic_mass" and "error_size", the same with mutual information, or with every wrong
            pixel as 1; "entropy" and "mutual_information", a superpixel's mean, as the paper says;
            "official", as its code does, the least accurate first, of an accuracy of at most 0.25
            whose neighbours all have their class, then, right or wrong, the most uncertain;
            "random".
    """

    def __init__(
        self, count: int = 16, apart: float = 25.0, purity: float = 0.8, order: str = "error_mass"
    ) -> None:
        if order not in ORDERS:
            raise InputError(f"order is {order!r}; use one of {', '.join(ORDERS)}")
        self.count, self.apart, self.purity, self.order = count, apart, purity, order

    def annotate(
        self, answered: AnsweredImage, generator: np.random.Generator, scale: float = 1.0
    ) -> tuple[Annotation, int]:
        """See `Annotator`; the generator draws the random order alone."""
        prediction, mask, _, segments, before, _ = answered
        found = no_annotation(mask.shape)
        valid = mask != IGNORE
        sizes, labels = self._labels(mask, segments, valid)
        errors = valid & (prediction != mask)
        wrong = np.bincount(segments[errors], minlength=len(sizes))
        done = np.bincount(segments[before != IGNORE], minlength=len(sizes)) > 0
        open_ = (labels != IGNORE) & ~done
        centres = _centres(segments, len(sizes))
        candidates = np.flatnonzero(open_ & (2 * wrong >= sizes) & (wrong > 0))
        if self.order == "random":
            stages = [generator.permutation(candidates)]
        elif self.order == "official":
            stages = self._official(
                answered, open_ & _interior(segments, labels), wrong / sizes.clip(1)
            )
        else:
            worth = self._worth(answered, errors, centres, scale)
            stages = [candidates[np.argsort(-worth[candidates], kind="stable")]]
        chosen = spread(np.concatenate(stages), centres, self.count, self.apart * scale)
        for segment in chosen:
            found[(segments == segment) & valid] = labels[segment]
        return found, len(chosen)

    def _worth(
        self,
        answered: AnsweredImage,
        errors: NDArray[np.bool_],
        centres: NDArray[np.float64],
        scale: float,
    ) -> NDArray[np.floating]:
        """Rank superpixels (n,) by the order: a larger value is annotated earlier."""
        unsure = answered.uncertainty
        if self.order in ("mutual_information", "epistemic_mass"):
            if answered.epistemic is None:
                raise InputError(
                    f"order={self.order!r} needs a method that says how much of its uncertainty is "
                    "epistemic; use error_mass"
                )
            unsure = answered.epistemic
        if self.order in ("entropy", "mutual_information"):
            return _means(unsure, answered.segments, len(centres))
        mass = (
            errors.astype(np.float64)
            if self.order == "error_size"
            else np.where(errors, unsure, 0).astype(np.float64)
        )
        side = 2 * round(self.apart * scale) + 1
        around = cv2.boxFilter(
            mass, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        y, x = centres.round().astype(int).T
        return around[y, x]

    def _official(
        self, answered: AnsweredImage, inside: NDArray[np.bool_], share: NDArray[np.floating]
    ) -> list[NDArray[np.int64]]:
        """Order the superpixels inside their class: wrong ones first, the most wrong before others.

        The rest follow, the most uncertain first.
        """
        bad = np.flatnonzero(inside & (share >= 1 - ACCURACY))
        rest = np.flatnonzero(inside & (share < 1 - ACCURACY))
        unsure = _means(answered.uncertainty, answered.segments, len(share))
        return [
            bad[np.argsort(-share[bad], kind="stable")],
            rest[np.argsort(-unsure[rest], kind="stable")],
        ]

    def _labels(
        self, mask: NDArray[np.uint8], segments: NDArray[np.int64], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the valid pixels of each superpixel and find the class that holds enough of them.

        It is 255 where none does.
        """
        count = int(segments.max()) + 1
        sizes = np.bincount(segments[valid], minlength=count)
        classes = int(mask[valid].max(initial=0)) + 1
        votes = np.bincount(
            segments[valid] * classes + mask[valid], minlength=count * classes
        ).reshape(count, classes)
        pure = (sizes > 0) & (votes.max(1) >= self.purity * sizes)
        return sizes, np.where(pure, votes.argmax(1), IGNORE)


def _means(
    values: NDArray[np.floating], segments: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Compute the mean (n,) of a map (H, W) in each superpixel."""
    return np.bincount(segments.ravel(), values.ravel(), count) / np.bincount(
        segments.ravel(), minlength=count
    ).clip(1)


def _interior(segments: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find the superpixels (n,) whose neighbours all have their class."""
    inside = labels != IGNORE
    for first, second in ((segments[1:], segments[:-1]), (segments[:, 1:], segments[:, :-1])):
        other = labels[first] != labels[second]
        inside[first[other]] = inside[second[other]] = False
    return inside


def choose_segments(
    uncertainty: NDArray[np.floating],
    segments: NDArray[np.int64],
    before: Annotation,
    count: int = 16,
    apart: float = 25.0,
) -> list[int]:
    """Choose superpixels for annotation without a truth: the most uncertain, spread over the image.

    Args:
        uncertainty: (H, W) of each pixel.
        segments: (H, W) superpixels, numbered from 0.
        before: (H, W) what is annotated; superpixels with a pixel of it are not wished for.
        count: Number of superpixels, fewer where there are no more.
        apart: Least distance in pixels between the centres of two.
    """
    total = int(segments.max()) + 1
    done = np.bincount(segments[before != IGNORE], minlength=total) > 0
    unsure = _means(uncertainty, segments, total)
    candidates = np.flatnonzero(~done)
    return spread(
        candidates[np.argsort(-unsure[candidates], kind="stable")],
        _centres(segments, total),
        count,
        apart,
    )


def spread(
    candidates: NDArray[np.int64], centres: NDArray[np.float64], count: int, apart: float
) -> list[int]:
    """Take superpixels in order, `count` at most, whose centres (n, 2) are `apart` pixels apart."""
    chosen: list[int] = []
    for segment in candidates.tolist():
        if len(chosen) == count:
            break
        if all(np.hypot(*(centres[segment] - centres[other])) >= apart for other in chosen):
            chosen.append(segment)
    return chosen


def _centres(segments: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Compute the mean y, x (n, 2) of each superpixel."""
    y, x = np.indices(segments.shape)
    sizes = np.bincount(segments.ravel(), minlength=count).clip(1)
    return np.stack(
        [np.bincount(segments.ravel(), axis.ravel(), count) / sizes for axis in (y, x)], 1
    )
