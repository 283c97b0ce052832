"""Crops of a method that leaves parts of an image out: what they hold, and what they spare (two-in-one, Fig. 3a)."""

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
"""Pixels at which crops are measured."""
NO_BOX = Box(0, 0, 0, 0)


class Crops(Contribution):
    """The boxes that a method keeps of an image, as `trimmed` and, with its padding, `crop` in a session's state.

    `recall+p` is the share of objects that the trimmed box with a padding of p pixels holds,
    `area_reduction+p` the mean share of the image outside it, `outside` the number of objects that
    the method's own crop does not hold: they need all clicks. `drawn_by_cells` is the mean IoU of
    objects drawn through the crop's cells (`drawn_through`), about the best that an answer of so
    many cells can be, and `drawn_above_85` the share of the objects where it is .85 or more.

    Args:
        cells: of a crop's sides.
    """

    keys, shown = ("boxes", "drawn"), ("outside",)

    def __init__(self, cells: int) -> None:
        self.cells = cells

    def outcome(self, game: Game) -> dict[str, Tensor]:
        """Give `boxes` (4, 4): top, left, bottom, right of image, object, trimmed box and crop, empty before the first click; `drawn`."""
        state = game.session.state
        kept = state.get("trimmed", NO_BOX), state.get("crop", NO_BOX)
        boxes = torch.tensor([Box(0, 0, *game.session.size), box_of(game.truth == 1), *kept])
        return {
            "boxes": boxes,
            "drawn": torch.tensor(drawn_through(game.truth == 1, kept[1], self.cells)),
        }

    def counted(self, outcome: Mapping[str, Tensor], curves: Tensor) -> Tensor:
        """Let an object that its crop does not hold need every click."""
        _, truth, _, crop = outcome["boxes"].unbind(1)
        return curves.masked_fill((~holds(crop, truth) & (area(crop) > 0))[:, None], 0)

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Measure the crops; nothing where none was made."""
        image, truth, trimmed, crop = outcome["boxes"].unbind(1)
        if not bool(area(crop).any()):
            return {}
        figures: dict[str, float] = {"outside": int((~holds(crop, truth) & (area(crop) > 0)).sum())}
        drawn = outcome["drawn"][area(crop) > 0]
        figures |= {
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
        """Draw recall and area reduction against the padding."""
        if "outside" not in figures:
            return None
        names = {"objects held whole": "recall", "area left out": "area_reduction"}
        lines = {label: [figures[f"{name}+{p}"] for p in PADDINGS] for label, name in names.items()}
        return Plot("Crops", "padding of the crops in pixels", "share", PADDINGS, lines)

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Say how many objects lie outside their crops."""
        if "outside" not in figures:
            return ""
        count = f"which count {figures['max_clicks']} clicks: {figures['outside']}"
        cells = f"Drawn through the crop's cells, objects have a mean IoU of {figures['drawn_by_cells']:.3f}"
        return f"Objects that the method's own crop does not hold, {count}. {cells}; {figures['drawn_above_85']:.0%} reach .85."


def drawn_through(truth: NDArray[np.bool_], box: Box, cells: int) -> float:
    """Compute the IoU of an object (H, W) with what is left of it by the cells of a crop: their means, enlarged, above a half.

    What lies outside the box is lost. An empty box gives 0.
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


def area(boxes: Tensor) -> Tensor:
    """Count the pixels of boxes (n, 4): (n,)."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(1).double()
