"""The field's simulated users, one class per rule: where they click is where it is most use."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import (
    deepest_pixel,
    error_clusters,
    missed_by_label,
    wrong_pixels,
    zero_clicked,
)
from interseg.clicks.layout import Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.distance import interior_distance


class RitmUser(User):
    """The field's default (RITM, f-BRS, SimpleClick): the deepest pixel of the false negatives or false positives.

    Positive iff the false negatives are strictly deeper, else negative; first maximum in row-major
    order; clicked pixels count as depth 0. Equal to two exact distance transforms of the whole
    image, at a fraction of their cost. Of several classes, the one whose missed pixels are deepest,
    the lower class among equals.
    """

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        best, click = 0.0, None
        for label, region in missed_by_label(prediction, mask).items():
            depth, y, x = deepest_pixel(region, clicks)
            if depth > best:
                best, click = depth, Click(y, x, label)
        return click


class DeepUser(User):
    """The simulator of RITM's training: a random pixel of the error that `RitmUser` clicks, among those deeper than half of its depth.

    From the official code; the paper (section 3.2) only says that clicks are drawn. Clicked pixels
    count as depth 0 here too.
    """

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        best, chosen = 0.0, None
        for label, region in missed_by_label(prediction, mask).items():
            depth = interior_distance(region)
            zero_clicked(depth, clicks)
            if depth.max() > best:
                best, chosen = float(depth.max()), (label, depth)
        if chosen is None:
            return None
        label, depth = chosen
        candidates = np.flatnonzero(depth > best / 2)
        y, x = divmod(int(candidates[generator.integers(len(candidates))]), mask.shape[1])
        return Click(y, x, label)


class BrsUser(User):
    """BRS, section 4, as its text says: the kind of error with more pixels, clicked where it is deepest.

    Background where false positives are more, else object; its official code decides by depth
    instead, as `RitmUser` does. The other kind is clicked where every pixel of the first was
    clicked before.
    """

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        regions = missed_by_label(prediction, mask)
        for label in sorted(regions, key=lambda sign: (-np.count_nonzero(regions[sign]), -sign)):
            depth, y, x = deepest_pixel(regions[label], clicks)
            if depth > 0:
                return Click(y, x, label)
        return None


class ItisUser(User):
    """ITIS, section 3.2: the largest cluster of wrong pixels, as far as possible from its boundary and from earlier clicks in it.

    Clusters are 8-connected and may mix both kinds of error; the sign is the label at the pixel.
    The image's border pixels are clicked only if the cluster has no other; ties among the maxima
    are broken at random. A cluster whose every pixel was clicked is passed over for the next
    largest.
    """

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        clusters = error_clusters(prediction, mask)
        for cluster in sorted(clusters, key=lambda c: -c.area):
            distance = cluster.distance_to_boundary_and(clicks)
            inner = cluster.without_image_border(distance)
            distance = inner if inner.any() else distance
            if distance.any():
                maxima = np.argwhere(distance == distance.max())
                return cluster.click_at(maxima[generator.integers(len(maxima))], mask)
        return None


class ClusterUser(User):
    """ITIS, section 4.4: a cluster of wrong pixels with probability proportional to its size, clicked at its centre.

    The centre is the pixel deepest in the cluster that was not clicked before; the paper does not
    define it.
    """

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        clusters = error_clusters(prediction, mask)
        areas = np.array([c.area for c in clusters], float)
        if len(clusters) == 0:
            return None
        for chosen in generator.choice(
            len(clusters), len(clusters), replace=False, p=areas / areas.sum()
        ):
            distance = clusters[chosen].unclicked(clusters[chosen].distance_to_boundary(), clicks)
            if distance.any():
                return clusters[chosen].click_at(
                    np.unravel_index(distance.argmax(), distance.shape), mask
                )
        return None


class RandomUser(User):
    """ITIS, section 4.4: a uniformly random wrong pixel."""

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        wrong = wrong_pixels(prediction, mask)
        wrong[clicks[:, 0], clicks[:, 1]] = False
        candidates = np.flatnonzero(wrong)
        if len(candidates) == 0:
            return None
        y, x = divmod(int(candidates[generator.integers(len(candidates))]), mask.shape[1])
        return Click(y, x, int(mask[y, x]))
