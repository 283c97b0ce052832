"""Pairs of encoder and decoder with SAM's signature, run by onnxruntime.

They are exports of SAM or of export.py. Nothing here imports torch. The decoder's inputs are those
of the segment-anything repository's export: `image_embeddings`,
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
    mask_logits,
)

FRAME = 1024
"""Long side of the photo in which SAM's points are given."""
LOW = 256
"""Side of SAM's mask input."""
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and standard deviation of the photos that SAM's encoder was trained on."""
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
"""Files that export.py writes into a folder."""
SAM_MASKS = 4
"""Number of masks of an export of SAM that leaves the choice to its user."""
KEY = "interseg"
"""Key of the description in the metadata of export.py's files."""
LEAST = float(np.log(1e-3 / (1 - 1e-3)))
"""Logit of a background pixel of a mask to start from, in the scale of SAM's own answers."""


def description(session: Any) -> dict[str, Any]:
    """Read what export.py wrote into a file's metadata; empty for other people's files."""
    return json.loads(session.get_modelmeta().custom_metadata_map.get(KEY, "{}"))


class OnnxPair(PhotoPredictor):
    """A pair of ONNX files; the previous answer is returned to it as the mask input.

    The shape of an encoder's input decides its use: (height, width, 3) takes a photo with values
    from 0 to 255, resized to a long side of 1024 (export.py's encoders: at its own size); (1, 3,
    height, width) takes it normalised and padded to a square.

    Args:
        encoder: File of the encoder.
        decoder: File of the decoder.
        previous_mask: Whether to give the previous mask; False gives clicks only.
        providers: Providers of onnxruntime, the best first; None for all that are available.
    """

    def __init__(
        self,
        encoder: str,
        decoder: str,
        previous_mask: bool = True,
        providers: list[str] | None = None,
    ) -> None:
        self.files = (encoder, decoder)
        self.previous_mask, self.providers = previous_mask, providers
        for key, file in zip(("encoder", "decoder"), self.files, strict=True):
            if not Path(file).is_file():
                raise InputError(f"{key} is {file}, and there is no such file; give an ONNX file")

    @cached_property
    def encoder(self) -> Any:
        """The encoder's session, opened at the first use.

        A process that is forked later would wait for the session's threads.
        """
        return open_session(self.files[0], self.providers)

    @cached_property
    def decoder(self) -> Any:
        """The decoder's session; raises `InputError` for another signature than SAM's."""
        session = open_session(self.files[1], self.providers)
        names = {one.name for one in session.get_inputs()}
        for words, keys in (("no", {*INPUTS} - names), ("another", names - {*INPUTS})):
            if keys:
                raise InputError(
                    f"{self.files[1]} has {words} input {', '.join(sorted(keys))}; "
                    "give a decoder with SAM's signature"
                )
        marks = [self.about.get("pair"), description(session).get("pair")]
        if None in marks and marks != [None, None]:
            foreign = self.files[marks.index(None)]
            raise InputError(f"{foreign} is no export of export.py, but the other file is one")
        if marks[0] != marks[1]:
            raise InputError(
                f"{self.files[0]} and {self.files[1]} are of two exports; export the network again"
            )
        return session

    @cached_property
    def about(self) -> dict[str, Any]:
        """Description by export.py; empty for other people's pairs."""
        return description(self.encoder)

    def encode(self, photo: Photo) -> dict[str, Any]:
        """Compute the embedding of a photo."""
        (given, *_), shown = self.encoder.get_inputs(), photo
        if not self.about:
            height, width = frame_of(photo.shape[:2])
            resized = Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR)
            shown = np.asarray(resized)
        values = shown.astype(np.float32)
        if len(given.shape) == 4:
            side = given.shape[2]
            if isinstance(side, int) and side != FRAME:
                raise InputError(
                    f"{self.files[0]} takes photos of {side} x {given.shape[3]}; "
                    f"give an encoder of {FRAME} x {FRAME}, as SAM's"
                )
            normal = ((values - np.array(MEAN)) / np.array(STD)).astype(np.float32)
            values = pad_to_square(normal, FRAME, 0.0).transpose(2, 0, 1)[None]
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
        """Answer clicks; the kept value is the answer as the decoder takes it back."""
        before: NDArray[Any] | None = mask
        if self.takes_logits:
            start = None if mask is None else mask_logits(mask)
            before = kept.get("before", start)
        uses_mask = self.previous_mask and self.about.get("previous") != "none"
        has_mask = False
        mask_input = np.zeros((1, 1, LOW, LOW), np.float32)
        if uses_mask and before is not None:
            has_mask, mask_input = True, self._mask_input(before, size)
        height, width = frame_of(size)
        coordinates = points * np.array([width / size[1], height / size[0]], np.float32)
        padded = np.concatenate([coordinates, np.zeros((1, 2))])
        found = self.decoder.run(
            OUTPUTS,
            {
                "image_embeddings": np.asarray(encoded["embedding"]),
                "point_coords": padded[None].astype(np.float32),
                "point_labels": np.append(labels, -1)[None].astype(np.float32),
                "mask_input": mask_input,
                "has_mask_input": np.array([has_mask], np.float32),
                "orig_im_size": np.array(size, np.float32),
            },
        )
        masks, scores, low = (np.asarray(one) for one in found)
        best = choose_mask(scores[0], len(labels))
        logits = masks[0, best].astype(np.float32)
        if not self.takes_logits:
            return Reply(logits, {})
        return Reply(logits, {"before": logits if self.about else low[:, best : best + 1]})

    @property
    def takes_logits(self) -> bool:
        """Whether the decoder takes back the previous logits.

        Some exports of export.py take the mask instead, which depends on the user's threshold.
        """
        return self.about.get("previous", "probabilities") == "probabilities"

    def _mask_input(self, before: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
        """Make the mask input (1, 1, side, side) of logits.

        It has the photo's own size for export.py's pairs, else a quarter of SAM's view.
        """
        if before.ndim == 4:  # the decoder's own
            return before
        logits: Logits = before if before.dtype == np.float32 else mask_logits(before)
        if self.about:
            return pad_to_square(logits, max(size), -CERTAIN)[None, None]
        height, width = (max(1, side * LOW // FRAME) for side in frame_of(size))
        mask = (logits > 0).astype(np.float32)
        shares = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        shares = shares.clip(1e-3, 1 - 1e-3)
        return pad_to_square(np.log(shares / (1 - shares)), LOW, LEAST)[None, None]


def choose_mask(scores: NDArray[np.float32], clicks: int) -> int:
    """Choose one of a decoder's masks by its own scores (n,).

    Of SAM's four the first is meant for several clicks; after a single, ambiguous one the best of
    the other three is taken (SAM, appendix A). Of other numbers the best is taken.
    """
    if len(scores) != SAM_MASKS:
        return int(scores.argmax())
    return 1 + int(scores[1:].argmax()) if clicks == 1 else 0


def frame_of(size: tuple[int, ...]) -> tuple[int, int]:
    """Compute a photo's (height, width) at a long side of 1024.

    Sides are rounded as in the segment-anything repository.
    """
    height, width = (max(1, int(side * FRAME / max(size) + 0.5)) for side in size)
    return height, width


def pad_to_square(values: NDArray[np.float32], side: int, fill: float) -> NDArray[np.float32]:
    """Pad (H, W, ...) at the bottom and the right to (side, side, ...)."""
    height, width, *others = values.shape
    margins = [(0, side - height), (0, side - width), *[(0, 0)] * len(others)]
    return np.pad(values, margins, constant_values=fill).astype(np.float32, copy=False)


def available_providers() -> list[str]:
    """List the providers that onnxruntime has; raises `InputError` if it is missing."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise InputError(
            "ONNX files need the package onnxruntime: pip install 'interseg[onnx]'"
        ) from None
    return [*onnxruntime.get_available_providers()]


def open_session(file: str | Path, providers: list[str] | None) -> Any:
    """Open an ONNX file; raises `InputError` for a damaged one, or if onnxruntime is missing."""
    known = available_providers()
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(str(file), providers=providers or known)
    except Exception as error:  # onnxruntime's errors have no common base class
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{file} cannot be opened by onnxruntime: {reason}") from None
