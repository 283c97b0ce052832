"""A click network's answer at test time: whole images or a crop round the object, flip averaging, refinement."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from interseg.clicks.layout import check_inside, unpad_clicks
from interseg.errors import InputError
from interseg.inference.refine import Refiner, Scene, State
from interseg.inference.zoom import ZoomIn
from interseg.views import Batch, Box, cropped, reduced, restored


class Predictor:
    """Answers a batch's clicks by a network with test-time options.

    Args:
        network: photo (B, 3, h, w) and guidance (B, c, h, w) to logits (B, 1, h, w).
        encode: a view's guidance, from its `clicks` and `previous`.
        long_side: whole images whose long side is larger are reduced to it.
        refiner: optimises until clicked pixels have their labels.
        zoom: shows the network a crop round the object.
        flip: averages the probabilities with those of the mirrored view.
        click_maps: so many channels of the guidance come first and stand for clicks.
    """

    def __init__(
        self,
        network: nn.Module,
        encode: Callable[[Batch], Tensor],
        long_side: int | None = None,
        refiner: Refiner | None = None,
        zoom: ZoomIn | None = None,
        flip: bool = False,
        click_maps: int = 2,
    ) -> None:
        self.click_maps = click_maps
        self.network, self.encode, self.long_side = network, encode, long_side
        self.refiner, self.zoom, self.flip = refiner, zoom, flip

    def __call__(self, batch: dict[str, Any]) -> Tensor:
        """Logits (B, 1, H, W) from `id`, `image`, `clicks`, `previous` and `carried`, which is brought up to date."""
        for key in ("id", "image", "clicks", "carried", *(["previous"] if self.zoom else [])):
            if key not in batch:
                raise ValueError(f"the batch has no {key!r} (it has {', '.join(sorted(batch))}); datamodules/base.py describes the keys")
        states: list[State] = batch["carried"]
        size: tuple[int, int] = batch["image"].shape[-2:]
        clicks = unpad_clicks(batch["clicks"])
        for rows in clicks:
            check_inside(rows, *size)
        whole = reduced(batch, self.long_side)
        views, boxes = [], []
        for row, state in enumerate(states):
            before = state.get("box")
            box = self.zoom.box(batch["previous"][row].cpu().numpy(), clicks[row], before) if self.zoom else None
            if box != before:
                if self.refiner and self.refiner.of_the_view:
                    state.pop("variables", None)
                state["box"] = box
            if self.zoom and box:
                views.append(cropped(batch, row, box, self.zoom.long_side))
            else:
                views.append({key: whole[key][row : row + 1] for key in ("image", "clicks", "previous") if key in whole})
            boxes.append(box or Box(0, 0, *size))
        scene = Scene(
            self.network,
            [view["image"] for view in views],
            [self.encode(view) for view in views],
            [lambda logits, box=box: restored(logits, box, size) for box in boxes],  # type: ignore[misc]
            clicks,
            self.flip,
            batch["id"].tolist(),
            self.click_maps,
            boxes,
        )
        answers = torch.stack(self.refiner(scene, states) if self.refiner else scene.forward())
        if self.zoom and answers.shape[1] > 1:
            raise InputError(f"zoom is for one object against background, the network has {answers.shape[1]} classes; leave it null")
        return answers
