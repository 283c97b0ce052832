"""A click network's answers at test time: crops round the object, flips, cascades, refinement."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from interseg.batches import ClickBatch, require
from interseg.clicks.layout import Clicks, check_inside, unpad_clicks
from interseg.errors import InputError
from interseg.inference.refine import Refiner
from interseg.inference.scene import Scene, encode_view
from interseg.inference.segmenter import Answer, State
from interseg.inference.zoom import ZoomIn, zoom_of
from interseg.networks.guided import encodes_once
from interseg.views import Box, Side, crop_view, reduce_batch, restore, rows_of


@dataclass(frozen=True)
class InferenceOptions:
    """Test-time options of a click network.

    Args:
        refiner: Optimisation until clicked pixels have their labels.
        zoom: Choice of the crop round the object that the network sees; True for the field's.
        flip: Whether to average the probabilities with those of the mirrored view.
        cascade: Number of times that a first click is answered again, the answer before as the
            previous mask, unless it was given one. CFR-ICL (Sun et al., AAAI 2024) answers every
            click so; here only the first, which has no such mask (benchmarks/once.md).
    """

    refiner: Refiner | None = None
    zoom: ZoomIn | None = None
    flip: bool = False
    cascade: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "zoom", zoom_of(self.zoom))
        if self.cascade < 0:
            raise InputError(f"cascade is {self.cascade}; it is a number of passes, 0 for none")

    @property
    def plain(self) -> bool:
        """Whether no option is used."""
        return self.refiner is None and self.zoom is None and not self.flip and not self.cascade


class Predictor:
    """A click network with test-time options, which answers a batch's clicks.

    Args:
        network: Network from photo (B, 3, h, w) and guidance (B, c, h, w) to logits (B, 1, h, w).
            One that encodes once (`encode(photo)`) takes that encoding as a third argument.
        guide: Function from a view with `clicks` and `previous` to its guidance.
        long_side: Long side to which larger whole images are reduced; [height, width] for whole
            images and crops.
        options: Refinement, zoom, flip and cascade.
        click_maps: Number of the guidance's first channels that encode clicks.
    """

    def __init__(
        self,
        network: nn.Module,
        guide: Callable[[ClickBatch], Tensor],
        long_side: Side = None,
        options: InferenceOptions | None = None,
        click_maps: int = 2,
    ) -> None:
        self.network, self.guide, self.long_side = network, guide, long_side
        self.options, self.click_maps = options or InferenceOptions(), click_maps

    def __call__(self, batch: ClickBatch) -> Answer:
        """Answer a round of clicks.

        A state holds the view's `box` and its encoding `encoded`; with refinement also the
        `variables` found so far and `counts`.

        Args:
            batch: `id`, `image`, `clicks`, `previous` and `states`.

        Returns:
            Logits (B, K, H, W) and states.

        Raises:
            InputError: A click outside its image, or zoom with a network of several classes.
        """
        answer = self._answer(batch)
        if not self.options.cascade:
            return answer
        first = []
        for row, clicks in enumerate(unpad_clicks(batch["clicks"])):
            if len(clicks) == 1 and not batch["previous"][row].any():
                first.append(row)
        for _ in range(self.options.cascade if first else 0):
            part = rows_of_round(batch, first)
            part["previous"] = answer.logits[first, 0].float().sigmoid()  # as a session's
            part["states"] = [answer.states[row] for row in first]
            again = self._answer(part)
            answer.logits[first] = again.logits
            for row, state in zip(first, again.states, strict=True):
                answer.states[row] = state
        return answer

    def _answer(self, batch: ClickBatch) -> Answer:
        refiner, zoom = self.options.refiner, self.options.zoom
        require(batch, "id", "image", "clicks", "states", *(["previous"] if zoom else []))
        size = (int(batch["image"].shape[-2]), int(batch["image"].shape[-1]))
        clicks = unpad_clicks(batch["clicks"])
        for rows in clicks:
            check_inside(rows, *size)
        whole = reduce_batch(batch, self.long_side)
        boxes, states, views, known = [], [], [], []
        for row, rows in enumerate(clicks):
            box = self._box(batch, row, rows)
            view = (
                crop_view(batch, row, box, self._side(zoom))
                if zoom and box
                else rows_of(whole, slice(row, row + 1))
            )
            state = self._move_to(box, batch["states"][row])
            part = self._encoded(batch, row, view["image"], state)
            if part and box:
                state = {**state, "encoded": part}
            boxes.append(box or Box(0, 0, *size))
            states.append(state)
            views.append(view)
            known.append(part)
        scene = Scene(
            self.network,
            [view["image"] for view in views],
            [self.guide(show(view, refiner.shown if refiner else None)) for view in views],
            [_restorer(box, size) for box in boxes],
            clicks,
            self.options.flip,
            batch["id"].tolist(),
            self.click_maps,
            boxes,
            known if all(known) else None,
        )
        answers, states = refiner(scene, states) if refiner else (scene.forward(), states)
        if zoom and answers[0].shape[0] > 1:
            raise InputError(
                "zoom is for one object against background, "
                f"the network has {answers[0].shape[0]} classes; leave it null"
            )
        return Answer(torch.stack(answers), states)

    def _box(self, batch: ClickBatch, row: int, clicks: Clicks) -> Box | None:
        """Choose the box that an object's view shows; None for the whole image."""
        if self.options.zoom is None:
            return None
        previous = batch["previous"][row].cpu().numpy()
        soft = previous.dtype == np.float32
        before = previous > batch.get("threshold", 0.5) if soft else previous
        return self.options.zoom.box(before, clicks, batch["states"][row].get("box"))

    def _side(self, zoom: ZoomIn) -> int | tuple[int, int]:
        """Return the size of a crop: the network's own if it knows only one."""
        if self.long_side is None or isinstance(self.long_side, int):
            return zoom.long_side
        return self.long_side

    def _encoded(
        self, batch: ClickBatch, row: int, view: Tensor, state: State
    ) -> dict[str, Tensor]:
        """Return the encoding of an object's view; it is computed unless batch or state have it."""
        if not encodes_once(self.network):
            return {}
        if state.get("box") is not None:
            found = state.get("encoded")
        else:
            parts = batch.get("encoded", {}).items()
            found = {key: value[row : row + 1] for key, value in parts if key != "image"}
        return found or encode_view(self.network, view, self.options.flip)

    def _move_to(self, box: Box | None, state: State) -> State:
        """Return the state for a view's box, without values of another view's pixels."""
        if box == state.get("box"):
            return state
        dropped = {"encoded"}
        if self.options.refiner and self.options.refiner.belong_to_view:
            dropped.add("variables")
        return {key: value for key, value in state.items() if key not in dropped} | {"box": box}


def show(view: ClickBatch, clicks: int | None) -> ClickBatch:
    """Return a view with its first clicks, (1, n, 4) of them at most; None for all."""
    return view if clicks is None else view | {"clicks": view["clicks"][:, :clicks]}


def rows_of_round(batch: ClickBatch, rows: list[int]) -> ClickBatch:
    """Select rows of a round's batch, whose states are still to be given."""
    part = rows_of(batch, rows) | {"id": batch["id"][rows], "states": []}
    part["threshold"] = batch.get("threshold", 0.5)
    if "encoded" in batch:
        part["encoded"] = {key: value[rows] for key, value in batch["encoded"].items()}
    return part


def _restorer(box: Box, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    return lambda logits: restore(logits, box, size)
