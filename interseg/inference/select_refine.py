"""Selection of an object by a first click, and its refinement by later ones within a crop.

These are the answers of two-in-one (Majumder et al., BMVC 2020), outside of its training
(`lightning_modules/two_in_one.py`).
"""

from typing import Any

import torch
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.guidance import Guidance
from interseg.clicks.layout import BOUNDARY, KINDS, REGION, Clicks, pad_clicks
from interseg.errors import InputError
from interseg.inference.segmenter import State
from interseg.networks.crop_refinement import trimmed_box
from interseg.networks.two_in_one_network import TwoInOneNetwork
from interseg.networks.two_in_one_once import TwoInOneOnceNetwork
from interseg.views import Box, restore, scale_box


class SelectAndRefine:
    """The two answers of a network of selection and refinement.

    Args:
        network: Network of both.
        guidance: Encoding of the clicks.
        threshold: Probability by the selection above which every pixel lies in the crop.
        padding: Padding of the crop in pixels as the network sees them.

    Raises:
        InputError: A threshold outside (0, 1), or a negative padding.
    """

    def __init__(
        self,
        network: TwoInOneNetwork | TwoInOneOnceNetwork,
        guidance: Guidance,
        threshold: float,
        padding: int,
    ) -> None:
        if not 0 < threshold < 1 or padding < 0:
            raise InputError(
                f"threshold={threshold}, padding={padding}; use a probability and a number of "
                "pixels"
            )
        self.network, self.guidance = network, guidance
        self.threshold, self.padding = threshold, padding
        self.signed = network.guidance_channels == 2
        """Whether clicks that refine are positive and negative (PNR), not on the boundary (BRC)."""

    def select(
        self, batch: ClickBatch, view: ClickBatch, rows: list[int], states: list[State]
    ) -> None:
        """Run the selection of some rows, and put its logits, features and box into their states.

        For `Crops`, in pixels of the batch's images: `trimmed`, what is left of them, and `crop`,
        that with its padding.
        """
        maps = self.selection_map(view["clicks"][rows], view["image"].shape[-2:])
        logits, features = self.network(view["image"][rows], maps, **self.arguments_of(batch, rows))
        size = batch["image"].shape[-2:]
        seen, full = (int(logits.shape[-2]), int(logits.shape[-1])), (int(size[0]), int(size[1]))
        for i, row, feature in zip(rows, logits, features, strict=True):
            trimmed = trimmed_box(row[0], self.threshold)
            box = trimmed.grow(self.padding, *seen)
            boxes = {
                "trimmed": scale_box(trimmed, seen, full),
                "crop": scale_box(box, seen, full),
            }
            states[i] = {"selection": row, "features": feature, "box": box} | boxes

    def crop(self, state: State, clicks: Clicks, size: torch.Size) -> Box:
        """Find the crop of a selection in a view of (height, width), which holds the clicks."""
        return self.network.snap(state["box"].with_clicks(clicks), state["features"][None], size)

    def arguments_of(self, batch: ClickBatch, rows: list[int]) -> dict[str, Any]:
        """Give the network's arguments for some rows' photos: encodings, or kept features."""
        encoded = {
            key: value[rows] for key, value in batch.get("encoded", {}).items() if key != "image"
        }
        if encoded:
            return {"encoded": encoded}
        return (
            {"features": [level[rows] for level in batch["features"]]}
            if "features" in batch
            else {}
        )

    def check(self, clicks: Clicks) -> None:
        """Raise `InputError` for clicks that this network does not know."""
        if not is_selection(clicks):
            raise InputError("the first click selects the object: give one with label 1")
        wanted, names = (
            (REGION, "object or background") if self.signed else (BOUNDARY, "the object's boundary")
        )
        for y, x, label, kind in clicks[1:].tolist():
            if kind != wanted:
                given = f"click (y={y}, x={x}) is of kind {KINDS[kind]}"
                raise InputError(
                    f"{given}; clicks after the first are of kind {KINDS[wanted]}, on {names} "
                    "(callbacks.loop.user)"
                )
            if kind == BOUNDARY and label != 1:
                raise InputError(
                    f"click (y={y}, x={x}) has label {label}; a click on the object's boundary has "
                    "label 1"
                )

    def selection_map(self, clicks: Tensor, size: torch.Size) -> Tensor:
        """Draw the maps (B, 1, H, W) of the first clicks."""
        return self.guidance(clicks[:, :1], *size)[:, :1]

    def refine(
        self, features: Tensor, clicks: list[Clicks], boxes: list[Box], size: torch.Size
    ) -> Tensor:
        """Compute logits (b, 1, H, W) of crops, background beyond them."""
        rows = pad_clicks(clicks)
        rows[..., 3] = rows[..., 3].clamp_max(REGION)  # boundary clicks are the one map
        maps = self.guidance(rows.to(features.device), *size)[:, : self.network.guidance_channels]
        logits = self.network.refine(features, maps, boxes)
        return torch.cat(
            [
                restore(row[None], box, (size[0], size[1]))
                for row, box in zip(logits, boxes, strict=True)
            ]
        )


def is_selection(clicks: Clicks) -> bool:
    """Test whether clicks (n, 4) begin with one on the object."""
    return len(clicks) > 0 and bool((clicks[0, 2:] == (1, REGION)).all())
