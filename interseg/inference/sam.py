"""SAM and SAM 2 (Kirillov et al. 2023; Ravi et al. 2024) by transformers, as a predictor that sessions can play."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from interseg.errors import InputError
from interseg.inference.external import Labels, Photo, PhotoPredictor, Points, Reply

UNSURE = 1e-3
"""A mask to start from becomes logits of 1 minus this: the scale of SAM's own answers, which its
mask input was trained on."""
CLASSES = {"sam": ("SamModel", "SamImageProcessor"), "sam2": ("Sam2Model", "Sam2ImageProcessor")}
"""Model and image processor by the kind of the checkpoint; SAM 2's checkpoints are of `sam2_video`,
whose images part is read."""


class TransformersSam(nn.Module, PhotoPredictor):
    """A SAM whose answer before is given back to it as its mask input.

    The first click is ambiguous: of several masks the one that SAM itself thinks best is taken, as
    its authors do (SAM, section 3); later clicks get the single mask.

    Args:
        model: a folder of transformers, or a name on the Hugging Face hub, e.g.
            "facebook/sam-vit-base".
        multimask: False takes the single mask for the first click too.
        previous_mask: False lets it see clicks alone.
    """

    def __init__(self, model: str, multimask: bool = True, previous_mask: bool = True) -> None:
        super().__init__()
        self.multimask, self.previous_mask = multimask, previous_mask
        try:
            import transformers
        except ModuleNotFoundError:
            raise InputError(
                "SAM needs the package transformers: pip install 'interseg[sam]'"
            ) from None
        try:
            kind = transformers.AutoConfig.from_pretrained(model).model_type.removesuffix("_video")
            names = CLASSES.get(kind)
            if names is None:
                raise InputError(
                    f"{model} is a {kind}, none of {', '.join(CLASSES)}; give another model"
                )
            built, processor = (getattr(transformers, name) for name in names)
            self.sam, self.processor = (
                built.from_pretrained(model).eval(),
                processor.from_pretrained(model),
            )
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"{model} cannot be had ({reason}); give a folder with SAM's config and weights, or go online"
            ) from None
        self.is_padded = kind == "sam"
        """SAM's photos are reduced to their long side and padded to a square, SAM 2's become
        squares."""
        self.side = int(
            self.sam.config.vision_config.image_size
            if self.is_padded
            else self.processor.size["height"]
        )

    @torch.no_grad()
    def encode(self, photo: Photo) -> dict[str, Any]:
        """Compute the image embeddings: one tensor, or SAM 2's three levels."""
        pixels = self.processor(images=photo, return_tensors="pt")["pixel_values"].to(
            next(self.sam.parameters())
        )
        found = self.sam.get_image_embeddings(pixels)
        return {
            f"level{i}": level[0]
            for i, level in enumerate([found] if isinstance(found, Tensor) else found)
        }

    @torch.no_grad()
    def decode(
        self,
        encoded: Mapping[str, Any],
        size: tuple[int, int],
        points: Points,
        labels: Labels,
        mask: NDArray[np.bool_] | None,
        kept: Mapping[str, Any],
    ) -> Reply:
        """Answer clicks; what is kept are the logits at a quarter of the view, which the next click gets back."""
        levels = [encoded[key][None] for key in sorted(encoded)]
        view = self._view(size)
        scale = torch.tensor([view[1] / size[1], view[0] / size[0]])
        device, given = levels[0].device, {}
        given["input_points"] = (torch.from_numpy(points) * scale)[None, None].to(levels[0])
        given["input_labels"] = torch.from_numpy(labels.astype(np.int64))[None, None].to(device)
        before = kept.get("low") if "low" in kept else self._mask_input(mask, view)
        if self.previous_mask and before is not None:
            given["input_masks"] = before.to(levels[0])
        several = self.multimask and len(points) == 1
        found = self.sam(
            image_embeddings=levels[0] if self.is_padded else levels,
            multimask_output=several,
            **given,
        )
        best = int(found.iou_scores[0, 0].argmax())
        low = found.pred_masks[0, 0, best][None, None].float()
        return Reply(self._enlarged(low, view, size)[0, 0].cpu().numpy(), {"low": low.cpu()})

    def _view(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of what the encoder sees of a photo, without padding."""
        if not self.is_padded:
            return self.side, self.side
        height, width = (int(side * self.side / max(size) + 0.5) for side in size)
        return height, width

    def _enlarged(self, low: Tensor, view: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Bring the decoder's logits to a photo's size, as the authors do."""
        if self.is_padded:
            low = interpolate(low, (self.side, self.side), mode="bilinear")[
                ..., : view[0], : view[1]
            ]
        return interpolate(low, size, mode="bilinear")

    def _mask_input(self, mask: NDArray[np.bool_] | None, view: tuple[int, int]) -> Tensor | None:
        """Make the mask input of a mask to start from: logits at a quarter of the view."""
        if mask is None:
            return None
        shares = interpolate(
            torch.from_numpy(mask)[None, None].float(),
            [max(1, side // 4) for side in view],
            mode="area",
        )
        logits = torch.logit(shares, eps=UNSURE)
        side, (height, width) = self.side // 4, shares.shape[-2:]
        return pad(
            logits,
            (0, side - width, 0, side - height),
            value=float(torch.logit(torch.tensor(UNSURE))),
        )
