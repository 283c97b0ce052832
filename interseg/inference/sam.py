"""SAM and SAM 2 from transformers, as a predictor for sessions.

The sources are Kirillov et al. 2023 and Ravi et al. 2024.
"""

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
"""Distance of a start mask's probabilities from 0 and 1: the scale of SAM's own answers, on which
its mask input was trained."""
LARGEST = 32.0
"""Largest absolute logit that SAM 2's authors give back to it (their image predictor)."""
CLASSES = {"sam": ("SamModel", "SamImageProcessor"), "sam2": ("Sam2Model", "Sam2ImageProcessor")}
"""Model and image processor by the kind of the checkpoint; SAM 2's checkpoints are of `sam2_video`,
whose part for images is read."""


class TransformersSam(nn.Module, PhotoPredictor):
    """A SAM that gets its previous answer as its mask input.

    The first click is ambiguous: of several masks the one that SAM itself scores best is taken, as
    its authors do (SAM, section 3); later clicks get the single mask.

    Args:
        model: Folder of transformers, or name on the Hugging Face hub, e.g.
            "facebook/sam-vit-base".
        multimask: Whether to choose among several masks after the first click; False takes the
            single mask.
        previous_mask: Whether to give the previous mask; False gives clicks only.
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
            self.sam = built.from_pretrained(model).eval()
            self.processor = processor.from_pretrained(model)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"{model} cannot be loaded ({reason}); "
                "give a folder with SAM's config and weights, or go online"
            ) from None
        self.is_padded = kind == "sam"
        """Whether photos are reduced to their long side and padded to a square (SAM), instead of
        resized to a square (SAM 2)."""
        if self.is_padded:
            self.side = int(self.sam.config.vision_config.image_size)
        else:
            self.side = int(self.processor.size["height"])

    @torch.no_grad()
    def encode(self, photo: Photo) -> dict[str, Any]:
        """Compute the image embeddings: one tensor, or SAM 2's three levels."""
        pixels = self.processor(images=photo, return_tensors="pt")["pixel_values"]
        found = self.sam.get_image_embeddings(pixels.to(next(self.sam.parameters())))
        levels = [found] if isinstance(found, Tensor) else found
        return {f"level{i}": level[0] for i, level in enumerate(levels)}

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
        """Answer clicks; the kept logits, a quarter of the view's size, go with the next click."""
        levels = [encoded[key][None] for key in sorted(encoded)]
        view = self._view(size)
        scale = torch.tensor([view[1] / size[1], view[0] / size[0]], dtype=torch.float32)
        device, given = levels[0].device, {}
        # in full precision, whatever the levels have: bfloat16 knows every fourth pixel of SAM's
        given["input_points"] = (torch.from_numpy(points) * scale)[None, None].to(device)
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
        logits = self._resize(low, view, size)[0, 0]
        if not self.is_padded:
            low = low.clamp(-LARGEST, LARGEST)
        return Reply(logits.cpu().numpy(), {"low": low.cpu()})

    def _view(self, size: tuple[int, int]) -> tuple[int, int]:
        """Compute the (height, width) at which the encoder sees a photo, without padding."""
        if not self.is_padded:
            return self.side, self.side
        height, width = (max(1, int(side * self.side / max(size) + 0.5)) for side in size)
        return height, width

    def _resize(self, low: Tensor, view: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Resize the decoder's logits to a photo's size, as the authors do."""
        if self.is_padded:
            square = interpolate(low, (self.side, self.side), mode="bilinear")
            low = square[..., : view[0], : view[1]]
        return interpolate(low, size, mode="bilinear")

    def _mask_input(self, mask: NDArray[np.bool_] | None, view: tuple[int, int]) -> Tensor | None:
        """Make the mask input from a mask to start from: logits at a quarter of the view's size."""
        if mask is None:
            return None
        height, width = (max(1, side // 4) for side in view)
        shares = interpolate(
            torch.from_numpy(mask)[None, None].float(), [height, width], mode="area"
        )
        logits = torch.logit(shares, eps=UNSURE)
        background = float(torch.logit(torch.tensor(UNSURE)))
        side = self.side // 4
        return pad(logits, (0, side - width, 0, side - height), value=background)
