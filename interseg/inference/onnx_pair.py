"""An encoder and a decoder with SAM's signature, run by onnxruntime: SAM's own exports and export.py's. Nothing here imports torch.

The decoder's inputs are those of the segment-anything repository's export: `image_embeddings`,
`point_coords` (x and y where the photo's long side is 1024), `point_labels` (1, 0, and -1 for
padding), `mask_input` (logits in the square whose side is the photo's long side), `has_mask_input`
and `orig_im_size`. Its outputs are `masks`, `iou_predictions` and `low_res_masks`.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from interseg.errors import InputError
from interseg.inference.external import (
    CERTAIN,
    Labels,
    Logits,
    Photo,
    PhotoPredictor,
    Points,
    Reply,
    signed,
)

FRAME = 1024
"""Long side of the photo in which SAM's points are given."""
LOW = 256
"""Side of SAM's mask input."""
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the photos that SAM's encoder was trained on, for encoders that take them normalised."""
INPUTS = (
    "image_embeddings",
    "point_coords",
    "point_labels",
    "mask_input",
    "has_mask_input",
    "orig_im_size",
)
OUTPUTS = ("masks", "iou_predictions", "low_res_masks")
FILES, ABOUT = ("encoder.onnx", "decoder.onnx"), "interseg.json"
"""What export.py writes into a folder."""
KEY = "interseg"
"""Under it the files of export.py say what they are."""
LEAST = float(np.log(1e-3 / (1 - 1e-3)))
"""The logit of a background pixel of a mask to start from: the scale of SAM's own answers."""


class OnnxPair(PhotoPredictor):
    """A pair of ONNX files; the answer before is given back as the mask input.

    Encoders are understood by their input: (height, width, 3) takes a photo of values from 0 to
    255, reduced or enlarged to a long side of 1024 (export.py's: as it is); (1, 3, height, width)
    takes it normalised and padded to a square.

    Args:
        encoder: file.
        decoder: file.
        previous_mask: False lets it see clicks alone.
        providers: of onnxruntime, the best first; None for all that are there.
    """

    def __init__(
        self,
        encoder: str,
        decoder: str,
        previous_mask: bool = True,
        providers: list[str] | None = None,
    ) -> None:
        self.files, self.previous_mask, self.providers = (
            (encoder, decoder),
            previous_mask,
            providers,
        )
        for key, file in zip(("encoder", "decoder"), self.files, strict=True):
            if not Path(file).is_file():
                raise InputError(f"{key} is {file}, and there is no such file; give an ONNX file")

    @cached_property
    def encoder(self) -> Any:
        """The encoder's session, made where it is needed first: a process that is forked after that would wait for its threads."""
        return opened(self.files[0], self.providers)

    @cached_property
    def decoder(self) -> Any:
        """The decoder's session; raises `InputError` for another signature than SAM's."""
        session = opened(self.files[1], self.providers)
        missing = {*INPUTS} - {one.name for one in session.get_inputs()}
        if missing:
            raise InputError(
                f"{self.files[1]} has no input {', '.join(sorted(missing))}; give a decoder with SAM's signature"
            )
        return session

    @cached_property
    def about(self) -> dict[str, Any]:
        """What export.py says of the pair; empty for anybody else's."""
        return json.loads(self.encoder.get_modelmeta().custom_metadata_map.get(KEY, "{}"))

    def encode(self, photo: Photo) -> dict[str, Any]:
        """Compute the embedding of a photo."""
        (given, *_), shown = self.encoder.get_inputs(), photo
        if not self.about:
            shown = np.asarray(
                Image.fromarray(photo).resize(
                    frame_of(photo.shape[:2])[::-1], Image.Resampling.BILINEAR
                )
            )
        values = shown.astype(np.float32)
        if len(given.shape) == 4:
            normal = ((values - np.array(MEAN)) / np.array(STD)).astype(np.float32)
            values = padded_to_square(normal, FRAME, 0.0).transpose(2, 0, 1)[None]
        return {"embedding": self.encoder.run(None, {given.name: values})[0]}

    def decode(
        self,
        encoded: Mapping[str, Any],
        size: tuple[int, int],
        points: Points,
        labels: Labels,
        mask: NDArray[np.bool_] | None,
        kept: Mapping[str, Any],
    ) -> Reply:
        """Answer clicks; what is kept is the answer as the decoder takes it again."""
        before = (
            kept.get("before", None if mask is None else signed(mask))
            if self.takes_logits
            else mask
        )
        uses_mask = self.previous_mask and self.about.get("previous") != "none"
        mask_input = self._mask_input(before, size) if uses_mask and before is not None else None
        height, width = frame_of(size)
        coordinates = points * np.array([width / size[1], height / size[0]], np.float32)
        found = self.decoder.run(
            OUTPUTS,
            {
                "image_embeddings": np.asarray(encoded["embedding"]),
                "point_coords": np.concatenate([coordinates, np.zeros((1, 2))])[None].astype(
                    np.float32
                ),
                "point_labels": np.append(labels, -1)[None].astype(np.float32),
                "mask_input": np.zeros((1, 1, LOW, LOW), np.float32)
                if mask_input is None
                else mask_input,
                "has_mask_input": np.array([mask_input is not None], np.float32),
                "orig_im_size": np.array(size, np.float32),
            },
        )
        masks, scores, low = (np.asarray(one) for one in found)
        best = int(scores[0].argmax())
        logits = masks[0, best].astype(np.float32)
        return Reply(
            logits,
            {"before": logits if self.about else low[:, best : best + 1]}
            if self.takes_logits
            else {},
        )

    @property
    def takes_logits(self) -> bool:
        """Whether the answer before is given back as it was; to some of ours the mask is, which follows from the user's threshold."""
        return self.about.get("previous", "probabilities") == "probabilities"

    def _mask_input(self, before: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
        """(1, 1, side, side) logits: of our exports at the photo's own size, else at a quarter of SAM's view."""
        if before.ndim == 4:  # the decoder's own
            return before
        logits: Logits = before if before.dtype == np.float32 else signed(before)
        if self.about:
            return padded_to_square(logits, max(size), -CERTAIN)[None, None]
        height, width = (max(1, side * LOW // FRAME) for side in frame_of(size))
        shares = cv2.resize(
            (logits > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        ).clip(1e-3, 1 - 1e-3)
        return padded_to_square(np.log(shares / (1 - shares)), LOW, LEAST)[None, None]


def frame_of(size: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of a photo at a long side of 1024, rounded as the segment-anything repository does."""
    height, width = (int(side * FRAME / max(size) + 0.5) for side in size)
    return height, width


def padded_to_square(values: NDArray[np.float32], side: int, fill: float) -> NDArray[np.float32]:
    """Pad (H, W, ...) at the bottom and the right."""
    margins = [
        (0, side - values.shape[0]),
        (0, side - values.shape[1]),
        *[(0, 0)] * (values.ndim - 2),
    ]
    return np.pad(values, margins, constant_values=fill).astype(np.float32)


def opened(file: str | Path, providers: list[str] | None) -> Any:
    """Open an ONNX file; raises `InputError` for a damaged one, or where onnxruntime is not there."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise InputError(
            "ONNX files need the package onnxruntime: pip install 'interseg[onnx]'"
        ) from None
    try:
        return onnxruntime.InferenceSession(
            str(file), providers=providers or onnxruntime.get_available_providers()
        )
    except (
        Exception
    ) as error:  # onnxruntime has a class for each of its reasons, and none above them
        raise InputError(
            f"{file} cannot be opened by onnxruntime: {' '.join(str(error).split())[:160]}"
        ) from None
