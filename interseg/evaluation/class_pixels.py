"""Accuracy of class pixels over a whole set: pixel accuracy and mean IoU (BRS, Table 3)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interseg.evaluation.contributions import Contribution, Plot
from interseg.evaluation.game import Game
from interseg.evaluation.overlap import confusion


class ClassPixels(Contribution):
    """Pixel accuracy and mean IoU from the pixels of all images together.

    They differ from means over images. `pixels@k` is the share of valid pixels that have their
    class in the k-th answer, `class_miou@k` the mean IoU over the classes that occur in truth or
    answers; k = 0 is before the first click.

    Args:
        classes: Number of classes, K.
    """

    keys = ("confusion",)

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def outcome(self, game: Game) -> dict[str, Tensor]:
        """Return `confusion` (R + 1, K, K) int64 of the answers 0, 1, ..., R.

        Rows are true classes, columns predicted ones, values numbers of pixels.
        """
        masks = [game.first_mask, *game.masks[: len(game.ious)]]
        pairs = [confusion(mask, game.truth, self.classes) for mask in masks]
        pairs += [pairs[-1]] * (game.max_clicks + 1 - len(pairs))
        return {"confusion": torch.from_numpy(np.stack(pairs))}

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Measure each answer over all images."""
        figures = {}
        for k, pairs in enumerate(outcome["confusion"].sum(0).double()):
            right = pairs.diag()
            union = pairs.sum(0) + pairs.sum(1) - right
            occurs = union > 0
            figures[f"pixels@{k}"] = float(right.sum() / pairs.sum())
            figures[f"class_miou@{k}"] = float((right[occurs] / union[occurs]).mean())
        return figures

    def plot(self, figures: Mapping[str, Any]) -> Plot | None:
        """Return both figures against the clicks."""
        clicks = range(figures["max_clicks"] + 1)
        names = {"pixels of their class": "pixels", "mean IoU over classes": "class_miou"}
        lines = {label: [figures[f"{name}@{k}"] for k in clicks] for label, name in names.items()}
        return Plot("Classes", "clicks", "share", clicks, lines)
