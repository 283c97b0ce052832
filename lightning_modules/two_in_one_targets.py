"""Targets of two-in-one's refinement: selections with errors, clicks on them, weighted masks.

Section 3.3 of the paper (Majumder et al., BMVC 2020).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.boundary import RefinementClicks
from interseg.clicks.layout import IGNORE, Clicks, unpad_clicks
from interseg.evaluation.overlap import iou
from interseg.views import Box


class Selected(NamedTuple):
    """A row of a batch that the refinement learns from, its clicks and its crop."""

    row: int
    clicks: Clicks
    box: Box


class RefinementTargets:
    """Choice of the selections that are refined in training, and the masks that they are to become.

    Args:
        draw_clicks: Draws clicks on a selection's errors, where the loop has added none.
        selected: (low, high) IoU of the selections.
        emphasis: Weight of the loss within a square round each click.
        emphasis_side: Side of the square in pixels.
    """

    def __init__(
        self,
        draw_clicks: RefinementClicks,
        selected: tuple[float, float],
        emphasis: float,
        emphasis_side: int,
    ) -> None:
        self.draw_clicks, self.selected = draw_clicks, selected
        self.emphasis, self.emphasis_side = emphasis, emphasis_side

    def choose(
        self,
        predictions: NDArray[np.bool_],
        batch: ClickBatch,
        crop: Callable[[int, Clicks], Box],
        seed: tuple[int, int],
    ) -> list[Selected]:
        """Find the objects whose selection has an IoU that is trained on, and click on errors.

        The clicks are those that the loop has added (inner rounds), or else are drawn for all at
        once, as in the paper.

        Args:
            predictions: (B, H, W) of the selections.
            batch: Batch with `id`, `mask`, `clicks` and `to_source`.
            crop: Function from a row and its refinement clicks to the crop that holds them.
            seed: Seed of the run, and epoch.
        """
        chosen = []
        masks = batch["mask"].cpu().numpy()
        given = unpad_clicks(batch["clicks"])
        for row, id in enumerate(batch["id"].tolist()):
            if not self._is_trained_on(predictions[row], masks[row]):
                continue
            clicks = given[row][1:]
            if not len(clicks):
                generator = np.random.default_rng((*seed, id))
                padding = (batch["to_source"][row, ..., 0] < 0).cpu().numpy()
                clicks = self.draw_clicks(predictions[row], masks[row], generator, padding)
            if len(clicks):
                chosen.append(Selected(row, clicks, crop(row, clicks)))
        return chosen

    def _is_trained_on(self, prediction: NDArray[np.bool_], mask: NDArray[np.uint8]) -> bool:
        low, high = self.selected
        return bool((mask == 1).any()) and low <= iou(prediction, mask) <= high

    def targets(self, chosen: list[Selected], masks: Tensor) -> tuple[Tensor, Tensor]:
        """Make the masks and the weights of pixels (b, H, W) of the chosen rows.

        Args:
            chosen: Result of `choose`.
            masks: (B, H, W) of the batch; they are ignored outside the crops.
        """
        targets = torch.full_like(masks[: len(chosen)], IGNORE)
        weights = torch.ones(targets.shape, device=masks.device)
        for k, (row, clicks, box) in enumerate(chosen):
            window = slice(box.top, box.bottom), slice(box.left, box.right)
            targets[k, *window] = masks[row, *window]
            for y, x in clicks[:, :2].tolist():
                weights[k, *square(y, x, self.emphasis_side)] = self.emphasis
        return targets, weights


def square(y: int, x: int, side: int) -> tuple[slice, slice]:
    """Find the rows and columns of a square round a pixel.

    Its side is in pixels, and it is cut at the image's first row and column.
    """
    rows = slice(max(0, y - side // 2), y + side - side // 2)
    columns = slice(max(0, x - side // 2), x + side - side // 2)
    return rows, columns
