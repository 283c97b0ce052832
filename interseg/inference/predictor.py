"""A click network's answers at test time: whole images or a crop round the object, flip averaging, refinement."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from interseg.batches import ClickBatch, require
from interseg.clicks.layout import Clicks, check_inside, unpad_clicks
from interseg.errors import InputError
from interseg.inference.refine import Refiner, Scene, encode_view
from interseg.inference.segmenter import Answer, State
from interseg.inference.zoom import ZoomIn
from interseg.views import Box, Side, cropped, reduced, restored, rows_of


@dataclass(frozen=True)
class InferenceOptions:
    """Test-time options of a click network.

    Args:
        refiner: optimises until clicked pixels have their labels.
        zoom: shows the network a crop round the object.
        flip: average the probabilities with those of the mirrored view.
    """

    refiner: Refiner | None = None
    zoom: ZoomIn | None = None
    flip: bool = False

    def __post_init__(self) -> None:
        if self.zoom is not None and not isinstance(self.zoom, ZoomIn):
            raise InputError(
                f"zoom is {self.zoom!r}; turn it on by --config zoom.yaml, then change its values"
            )

    @property
    def plain(self) -> bool:
        """Whether the network answers as it is."""
        return self.refiner is None and self.zoom is None and not self.flip


class Predictor:
    """Answers a batch's clicks by a network with test-time options.

    Args:
        network: photo (B, 3, h, w) and guidance (B, c, h, w) to logits (B, 1, h, w). One with
            `encode(photo)` takes what that gave as a third argument.
        encode: a view's guidance, from its `clicks` and `previous`.
        long_side: whole images whose long side is larger are reduced to it; [height, width] for
            whole images and crops alike.
        options: refinement, zoom and flip.
        click_maps: so many channels of the guidance come first and stand for clicks.
    """

    def __init__(
        self,
        network: nn.Module,
        encode: Callable[[ClickBatch], Tensor],
        long_side: Side = None,
        options: InferenceOptions | None = None,
        click_maps: int = 2,
    ) -> None:
        self.network, self.encode, self.long_side = network, encode, long_side
        self.options, self.click_maps = options or InferenceOptions(), click_maps

    def __call__(self, batch: ClickBatch) -> Answer:
        """Answer a round: logits (B, K, H, W) and states from `id`, `image`, `clicks`, `previous` and `states`.

        A state holds the view's `box` and what the network has `encoded` of it, and of refinement
        the `variables` found so far and `counts`.
        """
        refiner, zoom = self.options.refiner, self.options.zoom
        require(batch, "id", "image", "clicks", "states", *(["previous"] if zoom else []))
        size = (int(batch["image"].shape[-2]), int(batch["image"].shape[-1]))
        clicks = unpad_clicks(batch["clicks"])
        for rows in clicks:
            check_inside(rows, *size)
        boxes = [self._box(batch, row, rows) for row, rows in enumerate(clicks)]
        states = [self._seen(state, box) for state, box in zip(batch["states"], boxes, strict=True)]
        whole = reduced(batch, self.long_side)
        views = [
            cropped(batch, row, box, self._side(zoom))
            if zoom and box
            else rows_of(whole, slice(row, row + 1))
            for row, box in enumerate(boxes)
        ]
        known = [
            self._known(batch, row, view["image"], states[row]) for row, view in enumerate(views)
        ]
        states = [
            {**state, "encoded": part} if part and box else state
            for state, part, box in zip(states, known, boxes, strict=True)
        ]
        scene = Scene(
            self.network,
            [view["image"] for view in views],
            [self.encode(view) for view in views],
            [_restorer(box or Box(0, 0, *size), size) for box in boxes],
            clicks,
            self.options.flip,
            batch["id"].tolist(),
            self.click_maps,
            [box or Box(0, 0, *size) for box in boxes],
            known if all(known) else None,
        )
        answers, states = refiner(scene, states) if refiner else (scene.forward(), states)
        if zoom and answers[0].shape[0] > 1:
            raise InputError(
                f"zoom is for one object against background, the network has {answers[0].shape[0]} classes; leave it null"
            )
        return Answer(torch.stack(answers), states)

    def _box(self, batch: ClickBatch, row: int, clicks: Clicks) -> Box | None:
        """Choose the box that an object's view shows; None for the whole image."""
        if self.options.zoom is None:
            return None
        previous = batch["previous"][row].cpu().numpy()
        before = previous > 0.5 if previous.dtype == np.float32 else previous
        return self.options.zoom.box(before, clicks, batch["states"][row].get("box"))

    def _side(self, zoom: ZoomIn) -> int | tuple[int, int]:
        """Size of a crop: a network that knows one size only is shown that."""
        return (
            zoom.long_side
            if self.long_side is None or isinstance(self.long_side, int)
            else self.long_side
        )

    def _known(self, batch: ClickBatch, row: int, view: Tensor, state: State) -> dict[str, Tensor]:
        """Give what the network computes once of an object's view: of the whole image or of its box where known, else now."""
        if not hasattr(self.network, "encode"):
            return {}
        if state.get("box") is not None:
            found = state.get("encoded")
        else:
            found = {
                key: value[row : row + 1]
                for key, value in batch.get("encoded", {}).items()
                if key != "image"
            }
        return found or encode_view(self.network, view, self.options.flip)

    def _seen(self, state: State, box: Box | None) -> State:
        """Give the state with the view's box; variables that stand for another view's pixels are forgotten."""
        if box == state.get("box"):
            return state
        forgotten = {"encoded"}
        if self.options.refiner and self.options.refiner.of_the_view:
            forgotten.add("variables")
        return {key: value for key, value in state.items() if key not in forgotten} | {"box": box}


def _restorer(box: Box, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    return lambda logits: restored(logits, box, size)
