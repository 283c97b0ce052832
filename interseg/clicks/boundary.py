"""The users of two-in-one refinement: one click selects the object, later ones lie on its boundary.

Section 3.3 of the paper. Where it is silent, a class or function says what was chosen.
"""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import Cluster, connected_clusters
from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import BOUNDARY, Click, Clicks, Mask, clicks_of, no_clicks
from interseg.clicks.outlines import boundary_click, centre_of, distances, outline
from interseg.clicks.users import User
from interseg.distance import interior_distance
from interseg.errors import InputError


def selection_click(mask: NDArray[np.uint8]) -> Click | None:
    """Find the click that selects an object; None for an empty object.

    It falls on the object's centre of mass if that pixel is object, else on the object's pixel
    farthest from the boundary.

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

    It falls on a random pixel of the object within `displacement` pixels of the undisplaced click.
    So it lies on the object even where the object is smaller than the displacement. The paper does
    not say in which direction it displaces.

    Args:
        displacement: Largest displacement in pixels.
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
    """Find the clusters of missed pixels (True) and of excess pixels (False), the largest first.

    Args:
        prediction: (H, W) bool.
        mask: (H, W) in {0, 1, 255 = ignore}.
        least_share: Share of the object below which a cluster is dropped; the largest cluster
            stays if all are smaller.

    Raises:
        InputError: A prediction of classes.
    """
    if prediction.dtype != bool:
        raise InputError(
            "this user clicks one object against background, not classes; "
            "use another one (callbacks.loop.user)"
        )
    truth = mask == 1
    found = [(cluster, True) for cluster in connected_clusters(truth & ~prediction)]
    found += [(cluster, False) for cluster in connected_clusters((mask == 0) & prediction)]
    found.sort(key=lambda row: -row[0].area)
    least = least_share * np.count_nonzero(truth)
    return [row for row in found if row[0].area >= least] or found[:1]


class BoundaryUser(User):
    """A user who clicks the object's centre first, then its boundary beside the largest error.

    The pixel beside an error follows eq. 5, see `outlines.boundary_click`.

    A new click keeps `spacing` pixels from earlier boundary clicks, whose guidance already covers
    that place. The paper is silent here; without the spacing, clicks would pile up where the
    network does not follow. A cluster beside which no such pixel is left is skipped for the next
    one; an excess cluster also if all such pixels are more than `spacing` farther from it than the
    nearest boundary pixel. If all clusters are skipped, the click falls on any boundary pixel that
    was not clicked before.

    Args:
        least_share: Share of the object below which a cluster is clicked only if no other is left.
        spacing: Distance in pixels; by default the guidance's standard deviation.
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
        for spacing, reach, known in (
            (self.spacing, self.spacing, clicks[1:]),
            (1.0, np.inf, clicks),
        ):
            free = (distances(boundary, known) >= spacing) & (distances(boundary, clicks) > 0)
            for cluster, missed in errors:
                found = boundary_click(cluster, missed, prediction, boundary, free, reach)
                if found is not None:
                    return Click(*found, 1, BOUNDARY)
        return None


class CentreUser(User):
    """The control of the paper (Ours-PNR): positive and negative clicks in the errors' centres.

    The first click falls on the object's centre, later ones on the centre of the largest error, as
    object or background. The centre is the cluster's deepest pixel that keeps `spacing` pixels from
    earlier clicks. The spacing is that of `BoundaryUser`, so that the two users differ in nothing
    else. A cluster without such a pixel is skipped; if all clusters are skipped, the click falls on
    any wrong pixel that was not clicked before.

    Args:
        least_share: See `BoundaryUser`.
        spacing: See `BoundaryUser`.
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
                known = clicks[1:] if spacing > 1 else clicks
                found = centre_of(cluster, known, spacing, clicks)
                if found is not None:
                    return Click(*found, int(missed))
        return None


class RefinementClicks:
    """Training's clicks on a selected object, for two-in-one or for its control.

    `fewest` to `most` of the clusters that are large enough are drawn without replacement (all
    clusters if there are fewer). Each gets a click by the rule of `BoundaryUser` or `CentreUser`.
    A boundary click is then moved to a random pixel within `perturbation` pixels; a signed click
    only if it stays in its cluster, where its sign holds.

    Args:
        signed: Whether to give the control's positive and negative clicks in the clusters' centres
            instead of boundary clicks.
        fewest: Least number of clicks.
        most: Largest number of clicks.
        least_share: Range (low, high) from which the share of the object is drawn below which a
            cluster is dropped: the paper's m of 1 to 5 %.
        perturbation: Largest displacement in pixels.
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
        """Draw one set (n, 4), empty if nothing is wrong.

        Args:
            prediction: (H, W) bool of the selection.
            mask: (H, W) in {0, 1, 255 = ignore}.
            generator: The only source of randomness.
            padding: (H, W) bool pixels that a view shows beyond its image; the padding's edge is
                not a boundary of the object.
        """
        errors = error_kinds(prediction, mask, generator.uniform(*self.least_share))
        wanted = int(generator.integers(self.fewest, self.most + 1))
        count = min(wanted, len(errors))
        chosen: list[int] = []
        if count:
            chosen = generator.choice(len(errors), count, replace=False).tolist()
        boundary = outline(mask == 1, padding)
        allowed = np.ones(len(boundary), bool)
        rows: list[tuple[int, ...]] = []
        for i in chosen:
            cluster, missed = errors[i]
            found = (
                centre_of(cluster, no_clicks())
                if self.signed
                else boundary_click(cluster, missed, prediction, boundary, allowed)
            )
            if found is None:
                continue
            moved = self._move(*found, mask.shape, generator)
            if not self.signed:
                rows.append((*moved, 1, BOUNDARY))
                continue
            kept = moved if cluster.region()[moved] else found
            rows.append((*kept, int(missed)))
        return clicks_of(rows)

    def _move(
        self, y: int, x: int, shape: tuple[int, ...], generator: np.random.Generator
    ) -> tuple[int, int]:
        """Move a pixel uniformly within a disk, and keep it in the image."""
        angle = generator.uniform(0, 2 * np.pi)
        radius = self.perturbation * np.sqrt(generator.uniform())
        row = min(max(y + radius * np.sin(angle), 0), shape[0] - 1)
        column = min(max(x + radius * np.cos(angle), 0), shape[1] - 1)
        return round(row), round(column)
