"""Selection of an object by a first click, and its refinement by later ones within a crop.

These are the answers of two-in-one (Majumder et al., BMVC 2020), outside of its training
(`lightning_modules/two_in_one.py`).
"""

from typing import Any

import torch
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.guidance import Guidance
from interseg.clicks.layout import BOUNDARY, KINDS, REGION, Clicks, pad_clicks, unpad_clicks
from interseg.errors import InputError
from interseg.inference.scene import average_mirrored, encode_view, join_mirrored
from interseg.inference.segmenter import State
from interseg.inference.zoom import ZoomIn
from interseg.networks.crop_refinement import trimmed_box
from interseg.networks.guided import Encoded
from interseg.networks.two_in_one_network import TwoInOneNetwork
from interseg.networks.two_in_one_once import TwoInOneOnceNetwork
from interseg.views import (
    Box,
    crop_clicks,
    crop_view,
    restore,
    scale_box,
    scale_clicks,
)


class SelectAndRefine:
    """The two answers of a network of selection and refinement.

    Args:
        network: Network of both.
        guidance: Encoding of the clicks.
        selection_guidance: Encoding of the selection's click; None for the same.
        threshold: Probability by the selection above which every pixel lies in the crop.
        padding: Padding of the crop in pixels as the network sees them.
        cascade: Number of times that the selection is made again, with the one before as its
            previous mask (after CFR-ICL, Sun et al., AAAI 2024), by a network that reads one.

    Raises:
        InputError: A threshold outside (0, 1), a negative padding or cascade, or a cascade of a
            network without a previous mask.
    """

    def __init__(
        self,
        network: TwoInOneNetwork | TwoInOneOnceNetwork,
        guidance: Guidance,
        threshold: float,
        padding: int,
        cascade: int = 0,
        selection_guidance: Guidance | None = None,
    ) -> None:
        if cascade < 0 or (cascade and not isinstance(network, TwoInOneOnceNetwork)):
            raise InputError(
                f"cascade is {cascade}; it is a number of passes, above 0 for a network that reads "
                "the selection before (configs/two_in_one/once.yaml)"
            )
        if not 0 < threshold < 1 or padding < 0:
            raise InputError(
                f"threshold={threshold}, padding={padding}; use a probability and a number of "
                "pixels"
            )
        self.network, self.guidance = network, guidance
        self.selection_guidance = selection_guidance or guidance
        self.threshold, self.padding, self.cascade = threshold, padding, cascade
        self.signed = network.guidance_channels == 2
        """Whether clicks that refine are positive and negative (PNR), not on the boundary (BRC)."""

    def select(
        self,
        batch: ClickBatch,
        view: ClickBatch,
        rows: list[int],
        states: list[State],
        zoom: ZoomIn | None = None,
        flip: bool = False,
    ) -> None:
        """Run the selection of some rows, and put its logits, features and box into their states.

        With a zoom the passes of the cascade see the box round the selection before; `flip`
        averages the probabilities of each pass with those of the mirrored view.
        For `Crops`, in pixels of the batch's images: `trimmed`, what is left of them, and `crop`,
        that with its padding.
        """
        image, known = view["image"][rows], self.arguments_of(batch, rows)
        maps = self.selection_map(view["clicks"][rows], image.shape[-2:])
        number = 0 if zoom else self.cascade
        logits, features = self.run(image, maps, known, [number] * len(rows), flip)
        height, width = batch["image"].shape[-2:]
        for i, row, feature in zip(rows, logits, features, strict=True):
            states[i] = self.state_of(row, feature, Box(0, 0, height, width))
            if zoom:
                states[i] = self.zoom_in(batch, i, states[i], zoom, flip)

    def run(
        self,
        image: Tensor,
        maps: Tensor,
        known: dict[str, Any],
        passes: list[int],
        flip: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Run the network and its cascade, whose last pass alone has gradients.

        Args:
            image: (B, 3, H, W).
            maps: (B, 1, H, W) of the selection clicks.
            known: What is known of the photos, see `arguments_of`.
            passes: Number of passes of each row before its last.
            flip: See `select`.
        """
        network: Any = self.network
        if not any(passes) and not flip:
            return network(image, maps, **known)
        encoded = known.get("encoded") or (
            encode_view(network, image, True)
            if flip
            else network.encode(image, known.get("features"))
        )
        numbers = torch.tensor(passes, device=image.device)[:, None, None, None]
        before = torch.zeros_like(maps)
        for done in range(max(passes)):
            with torch.no_grad():
                logits, _ = self.one_pass(image, maps, encoded, before, flip)
            before = torch.where(numbers > done, logits.sigmoid().to(before.dtype), before)
        return self.one_pass(image, maps, encoded, before, flip)

    def one_pass(
        self, image: Tensor, maps: Tensor, encoded: Encoded, before: Tensor, flip: bool
    ) -> tuple[Tensor, Tensor]:
        """Run the network that encodes once, given probabilities (B, 1, H, W) before."""
        if not flip:
            return self.network(image, maps, encoded=encoded, previous=before)
        image, maps, before = (torch.cat([x, x.flip(-1)]) for x in (image, maps, before))
        logits, features = self.network(
            image, maps, encoded=join_mirrored(encoded), previous=before
        )
        mean = average_mirrored(logits)
        return mean, features[: len(mean)].clone()

    def state_of(self, logits: Tensor, features: Tensor, shown: Box) -> State:
        """Make the state of a selection (1, h, w) in the view of a part of an image."""
        seen = (int(logits.shape[-2]), int(logits.shape[-1]))
        trimmed = trimmed_box(logits[0], self.threshold)
        box = trimmed.grow(self.padding, *seen)
        there = [
            scale_box(part, seen, shown.size).shift(shown.top, shown.left)
            for part in (trimmed, box)
        ]
        return {
            "selection": logits,
            "features": features,
            "box": box,
            "shown": shown,
            "trimmed": there[0],
            "crop": there[1],
        }

    def zoom_in(self, batch: ClickBatch, row: int, state: State, zoom: ZoomIn, flip: bool) -> State:
        """Select again in the box round the selection before; the whole image if that is empty."""
        size = batch["image"].shape[-2:]
        (first,) = unpad_clicks(batch["clicks"][row : row + 1, :1])
        for _ in range(self.cascade):
            before = restore(state["selection"][None], state["shown"], (size[0], size[1]))[:, 0]
            before = before.float().sigmoid()
            mask = (before[0] > batch.get("threshold", 0.5)).cpu().numpy()
            box = zoom.box_round(mask, first) if mask.any() else Box(0, 0, size[0], size[1])
            state = self.look(batch, row, before, box, state["selection"].shape[-2:], flip)
        return state

    def look(
        self,
        batch: ClickBatch,
        row: int,
        before: Tensor,
        box: Box,
        size: torch.Size,
        flip: bool = False,
    ) -> State:
        """Select in the view of a box, of (height, width), given probabilities (1, H, W) before."""
        part: ClickBatch = {
            "image": batch["image"][row : row + 1],
            "clicks": batch["clicks"][row : row + 1, :1],
            "previous": before,
        }
        view = crop_view(part, 0, box, (size[0], size[1]))
        maps = self.selection_map(view["clicks"], size)
        encoded = encode_view(self.network, view["image"], flip)
        logits, features = self.one_pass(
            view["image"], maps, encoded, view["previous"][:, None], flip
        )
        state = self.state_of(logits[0], features[0], box)
        whole = {"box": Box(0, 0, size[0], size[1]), "crop": box}  # the view is the crop
        return {**state, **whole, "before": before, "zoomed": box}

    def reach(self, batch: ClickBatch, row: int, state: State, flip: bool = False) -> State:
        """Return the state of a view that holds a row's clicks.

        In a box that does not hold them the object is selected anew in one that does.
        """
        if "zoomed" not in state:
            return state
        (clicks,) = unpad_clicks(batch["clicks"][row : row + 1])
        box = state["zoomed"].with_clicks(clicks)
        if box == state["shown"]:
            return state
        new = self.look(batch, row, state["before"], box, state["selection"].shape[-2:], flip)
        own = {key: state[key] for key in ("zoomed", "trimmed", "crop")}  # of the first click
        return {**new, **own}

    def refinement_clicks(self, clicks: Tensor, state: State) -> Clicks:
        """Give the clicks (N, 4) of an image after the first in the frame of its state's view."""
        shown, size = state["shown"], state["selection"].shape[-2:]
        inside = crop_clicks(clicks[None, 1:], shown)
        (rows,) = unpad_clicks(scale_clicks(inside, shown.size, (size[0], size[1])))
        return rows

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
        return self.selection_guidance(clicks[:, :1], *size)[:, :1]

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
