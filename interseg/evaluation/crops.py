"""Crops of a method that leaves parts of an image out: recall and saved area.

The figures are those of two-in-one, Fig. 3a.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from interseg.evaluation.contributions import Contribution, Plot
from interseg.evaluation.game import Game
from interseg.views import Box, box_of

PADDINGS = (0, 5, 10, 20, 30, 40, 60, 80)
"""Paddings in pixels at which crops are measured."""
NO_BOX = Box(0, 0, 0, 0)


class Crops(Contribution):
    """Figures of the boxes that a method keeps of an image.

    A session's state holds the box as `trimmed` and, with the method's padding, as `crop`.
    `recall+p` is the share of objects that the trimmed box with a padding of p pixels holds,
    `area_reduction+p` the mean share of the image outside that box, and `outside` the number of
    objects that the method's own crop does not hold; these need all clicks. `drawn_by_cells` is the
    mean IoU of objects drawn through the crop's cells (`iou_through_cells`), about the best IoU
    that an answer of that many cells can reach, and `drawn_above_85` the share of objects with .85
    or more.

    Args:
        cells: Number of cells along a crop's side.
    """

    keys, shown = ("boxes", "drawn"), ("outside",)

    def __init__(self, cells: int) -> None:
        self.cells = cells

    def outcome(self, game: Game) -> dict[str, Tensor]:
        """Return `boxes` (4, 4) and `drawn` (), the object's IoU through the crop's cells.

        The rows of `boxes` are image, object, trimmed box and crop; the columns top, left, bottom
        and right. The last two boxes are empty before the first click.
        """
        state, truth = game.session.state, game.truth == 1
        trimmed, crop = state.get("trimmed", NO_BOX), state.get("crop", NO_BOX)
        boxes = [Box(0, 0, *game.session.size), box_of(truth), trimmed, crop]
        drawn = iou_through_cells(truth, crop, self.cells)
        return {"boxes": torch.tensor(boxes), "drawn": torch.tensor(drawn, dtype=torch.float64)}

    def adjust_curves(self, outcome: Mapping[str, Tensor], curves: Tensor) -> Tensor:
        """Let an object that its crop does not hold need every click."""
        _, truth, _, crop = outcome["boxes"].unbind(1)
        return curves.masked_fill(misses(crop, truth)[:, None], 0)

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Measure the crops; no figures if no crop was made."""
        made = area(outcome["boxes"][:, 3]) > 0
        if not bool(made.any()):
            return {}
        image, truth, trimmed, crop = outcome["boxes"][made].unbind(1)
        drawn = outcome["drawn"][made]
        figures: dict[str, float] = {
            "outside": int(misses(crop, truth).sum()),
            "drawn_by_cells": float(drawn.mean()),
            "drawn_above_85": float((drawn >= 0.85).double().mean()),
        }
        for padding in PADDINGS:
            corner = (trimmed[:, :2] - padding).clamp_min(0)
            end = torch.minimum(trimmed[:, 2:] + padding, image[:, 2:])
            padded = torch.cat([corner, end], 1)
            figures[f"recall+{padding}"] = float(holds(padded, truth).double().mean())
            figures[f"area_reduction+{padding}"] = float((1 - area(padded) / area(image)).mean())
        return figures

    def plot(self, figures: Mapping[str, Any]) -> Plot | None:
        """Return recall and area reduction against the padding."""
        if "outside" not in figures:
            return None
        names = {"objects held whole": "recall", "area left out": "area_reduction"}
        lines = {}
        for label, name in names.items():
            lines[label] = [figures[f"{name}+{padding}"] for padding in PADDINGS]
        return Plot("Crops", "padding of the crops in pixels", "share", PADDINGS, lines)

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Say how many objects lie outside their crops."""
        if "outside" not in figures:
            return ""
        return (
            f"Objects that the method's own crop does not hold, which count "
            f"{figures['max_clicks']} clicks: {figures['outside']}. Drawn through the crop's "
            f"cells, objects have a mean IoU of {figures['drawn_by_cells']:.3f}; "
            f"{figures['drawn_above_85']:.0%} reach .85."
        )


def iou_through_cells(truth: NDArray[np.bool_], box: Box, cells: int) -> float:
    """Compute the IoU of an object (H, W) with itself drawn through the cells of a crop.

    The crop is reduced to the cells' means, enlarged again and cut at a half. Pixels outside the
    box are lost. An empty box gives 0.

    Args:
        truth: (H, W) bool.
        box: Box of the crop.
        cells: Number of cells along each side.
    """
    if not all(side > 0 for side in box.size):
        return 0.0
    inside = torch.from_numpy(truth[box.top : box.bottom, box.left : box.right]).float()[None, None]
    means = interpolate(inside, (cells, cells), mode="bilinear", antialias=True)
    drawn = interpolate(means, box.size, mode="bilinear")[0, 0] > 0.5
    both = int((drawn & (inside[0, 0] > 0)).sum())
    union = int(drawn.sum()) + int(truth.sum()) - both
    return both / union if union else 1.0


def holds(boxes: Tensor, others: Tensor) -> Tensor:
    """Test whether boxes (n, 4) hold others: (n,) bool."""
    return ((boxes[:, :2] <= others[:, :2]) & (boxes[:, 2:] >= others[:, 2:])).all(1)


def misses(crops: Tensor, others: Tensor) -> Tensor:
    """Test whether crops (n, 4) were made and do not hold others: (n,) bool."""
    return ~holds(crops, others) & (area(crops) > 0)


def area(boxes: Tensor) -> Tensor:
    """Count the pixels of boxes (n, 4): (n,)."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(1).double()
