"""A segmenter without weights, and photos that it is shown."""

import torch

from datamodules.base import Loading
from datamodules.folder import FolderDataModule


class Painter:
    """A segmenter without weights.

    A square of the click's sign round every click, later clicks over earlier ones.
    """

    def __init__(self, reach=6, uses_previous_mask=False):
        self.reach, self.uses_previous_mask = reach, uses_previous_mask
        self.calls = 0
        self.objects = 0

    def segment(self, batch):
        self.calls += 1
        self.objects += len(batch["id"])
        logits = torch.full((len(batch["id"]), 1, *batch["image"].shape[-2:]), -5.0)
        for row, clicks in zip(logits, batch["clicks"], strict=True):
            for y, x, label, _ in clicks[clicks[:, 2] >= 0].tolist():
                row[
                    0,
                    max(0, y - self.reach) : y + self.reach + 1,
                    max(0, x - self.reach) : x + self.reach + 1,
                ] = 5.0 if label else -5.0
        return logits


def data(folder, **options):
    return FolderDataModule(str(folder), loading=Loading(num_workers=0, **options))
