"""The field's simulated users, one class per rule: they click where the error is largest."""

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
    """The field's default user (RITM, f-BRS, SimpleClick): the deepest pixel of an error.

    The click is positive if the false negatives are strictly deeper than the false positives, else
    negative. It falls on the first maximum in row-major order; clicked pixels have depth 0. The
    result equals that of two exact distance transforms of the whole image, at a fraction of their
    cost. With several classes, the class whose missed pixels are deepest is clicked, the lower
    class among equals.
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
    """The simulator of RITM's training: a random deep pixel of the error that `RitmUser` clicks.

    It is drawn among the pixels deeper than half of the error's depth. The rule is from the
    official code; the paper (section 3.2) only says that clicks are drawn. Clicked pixels have
    depth 0 here too.
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
    """The user of BRS' text, section 4: the kind of error with more pixels, at its deepest pixel.

    The click is negative if there are more false positives than false negatives, else positive. The
    official code decides by depth instead, as `RitmUser` does. If every pixel of that kind was
    clicked before, the other kind is clicked.
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
    """The user of ITIS, section 3.2: the centre of the largest cluster of wrong pixels.

    The centre is the pixel farthest from the cluster's boundary and from earlier clicks in it.
    Clusters are 8-connected and may mix both kinds of error; the sign is the label at the pixel.
    The image's border pixels are clicked only if the cluster has no other. Ties among the maxima
    are broken at random. If every pixel of a cluster was clicked, the next largest cluster is used.
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
    """A user of ITIS, section 4.4: the centre of a cluster of wrong pixels drawn by its size.

    A cluster's probability is proportional to its number of pixels. The paper does not define the
    centre; here it is the deepest pixel that was not clicked before.
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
        count = len(clusters)
        order = generator.choice(count, count, replace=False, p=areas / areas.sum())
        for chosen in order.tolist():
            cluster = clusters[chosen]
            distance = cluster.clear_clicked(cluster.distance_to_boundary(), clicks)
            if distance.any():
                centre = np.unravel_index(distance.argmax(), distance.shape)
                return cluster.click_at(centre, mask)
        return None


class RandomUser(User):
    """A user of ITIS, section 4.4: a uniformly random wrong pixel."""

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
