"""Other people's models as a method: our loop, users, figures and records, nothing trained.

SAM (Kirillov et al. 2023), SAM 2 (Ravi et al. 2024), an ONNX pair with SAM's signature, or any
class with `set_image` and `predict`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interseg.batches import ClickBatch, require
from interseg.clicks.layout import unpad_clicks
from interseg.errors import InputError
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.encoding import Encoding
from interseg.inference.external import PhotoPredictor, Reply, SetAndPredict, check_answer
from interseg.inference.segmenter import Answer, State
from lightning_modules.base import InteractiveModule


class External(InteractiveModule):
    """A model of somebody else, which is given one photo at a time.

    Args:
        predictor: Predictor: a `PhotoPredictor`; or the user's own, an object with
            `set_image(photo)` and `predict(points, labels, mask)`, or a callable on (photo, points,
            labels, mask), see `SetAndPredict`. The config names its class, or a function that makes
            it, as `model.predictor._target_` of a package that `--trust` names.
        answers: Kind of the user's own floating values: "logits" or "probabilities". Masks may be
            given as well.
    """

    def __init__(self, predictor: Any = None, answers: str = "logits") -> None:
        super().__init__()
        if predictor is None:
            raise InputError(
                "no predictor is configured; name your class: "
                "--trust PACKAGE model.predictor._target_=PACKAGE.CLASS"
            )
        self.network = (
            predictor if isinstance(predictor, nn.Module) else None
        )  # so that the Trainer moves it to its device
        if self.network is not None:
            self.network.eval().requires_grad_(False)
        self.player = (
            predictor
            if isinstance(predictor, PhotoPredictor)
            else SetAndPredict(predictor, answers)
        )

    @property
    def contributions(self) -> list[Contribution]:
        """Time of the encoding."""
        return [Encoding()]

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Let the model encode photo by photo."""
        photos = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        rows = [self.player.encode(photo) for photo in photos]
        return (
            {key: torch.stack([torch.as_tensor(row[key]) for row in rows]) for key in rows[0]}
            if rows
            else {}
        )

    def answer(self, batch: ClickBatch) -> Answer:
        """Answer the clicks of each photo; a state holds what the model wants to be given again."""
        require(batch, "image", "clicks", "previous", "encoded", "states")
        masks = batch["previous"].cpu().numpy().astype(bool)
        replies = []
        for row, clicks in enumerate(unpad_clicks(batch["clicks"])):
            encoded = {key: value[row] for key, value in batch["encoded"].items()}
            replies.append(self._reply(encoded, clicks, masks[row], batch["states"][row]))
        logits = np.stack([reply.logits for reply in replies])[:, None]
        states: list[State] = [reply.kept for reply in replies]
        return Answer(torch.from_numpy(logits).to(batch["image"].device), states)

    def _reply(
        self, encoded: Mapping[str, Tensor], clicks: np.ndarray, mask: np.ndarray, state: State
    ) -> Reply:
        known = (
            encoded
            if isinstance(self.player, nn.Module)
            else {key: value.cpu().numpy() for key, value in encoded.items()}
        )
        points, labels = clicks[:, 1::-1].astype(np.float32), clicks[:, 2]
        start = mask if mask.any() else None
        size = (int(mask.shape[0]), int(mask.shape[1]))
        reply = self.player.decode(known, size, points, labels, start, state)
        check_answer(reply.logits, size, type(self.player).__name__)
        return reply

    def segment(self, batch: ClickBatch) -> Tensor:
        """Compute logits (B, 1, H, W) of clicks and masks, without the state of earlier answers."""
        require(batch, "image", "clicks")
        before = batch.get("previous", torch.zeros_like(batch["image"][:, 0], dtype=torch.bool))
        known = {
            "encoded": self.encode(batch["image"]),
            "states": [{} for _ in batch["image"]],
            "previous": before,
        }
        return self.answer({**batch, **known}).logits  # type: ignore[typeddict-item]
