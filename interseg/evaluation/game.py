"""One object's evaluation: the user clicks, the network answers, and both are kept."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.clicks.layout import check_clicks, no_clicks
from interseg.clicks.users import User
from interseg.evaluation.metrics import iou
from interseg.inference.refine import COUNTS
from interseg.views import Box, box_of


class Game:
    """One object's evaluation: its clicks, IoU curve and masks so far."""

    def __init__(self, id: int, truth: NDArray[np.uint8], max_clicks: int, seed: int) -> None:
        self.truth, self.max_clicks = truth, max_clicks
        self.generator = np.random.default_rng((seed, id))
        self.start(np.zeros(truth.shape, bool))
        self.clicks = no_clicks()
        self.ious: list[float] = []
        self.correct: list[int] = []
        self.network_seconds: list[float] = []
        self.simulator_seconds = 0.0
        self.carried: dict[str, Any] = {}
        self.masks = np.zeros((max_clicks, truth.shape[0], -(-truth.shape[1] // 8)), np.uint8)
        self.over = False

    def start(self, mask: NDArray[np.bool_]) -> None:
        """Begin from a mask."""
        self.prediction, self.first_iou = mask, iou(mask, self.truth)

    def click(self, user: User) -> bool:
        """Let the user click; False, and over, where nothing is left to click."""
        started = time.perf_counter()
        click = user.next_click(self.prediction, self.truth, self.clicks, self.generator)
        self.simulator_seconds += time.perf_counter() - started
        if click is None:
            self.over = True
            return False
        check_clicks(np.array([click], np.int64), *self.truth.shape)
        self.clicks = np.concatenate([self.clicks, np.array([click], np.int64)])
        return True

    def answer(self, prediction: NDArray[np.bool_], seconds: float, target: float | None) -> None:
        """Take the network's answer to the last click, and the time that it took."""
        self.prediction = prediction
        self.correct.append(int((prediction[self.clicks[:, 0], self.clicks[:, 1]] == (self.clicks[:, 2] > 0)).sum()))
        self.network_seconds.append(seconds)
        self.masks[len(self.ious)] = np.packbits(prediction, axis=-1)
        self.ious.append(iou(prediction, self.truth))
        self.over = target is not None and self.ious[-1] >= target

    def curve(self) -> list[float]:
        """IoU after each click; an object that stopped early keeps its last one."""
        last = self.ious[-1] if self.ious else self.first_iou
        return self.ious + [last] * (self.max_clicks - len(self.ious))

    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Boxes of the image, of the object, and of what the method kept of the image before and after padding; empty if it never crops."""
        none = Box(0, 0, 0, 0)
        kept = self.carried.get("trimmed", none), self.carried.get("crop", none)
        return [Box(0, 0, *self.truth.shape), box_of(self.truth == 1), *kept]

    def outcome(self) -> dict[str, Tensor]:
        """What the evaluation adds to the batch, for this object (datamodules/base.py)."""
        counts = self.carried.get("counts", {})
        unplayed = self.max_clicks - len(self.ious)
        clicks = np.pad(self.clicks, ((0, self.max_clicks - len(self.clicks)), (0, 0)), constant_values=-1)
        return {
            "clicks": torch.from_numpy(clicks),
            "starts": torch.tensor(self.first_iou, dtype=torch.float64),
            "curves": torch.tensor(self.curve(), dtype=torch.float64),
            "correct": torch.tensor(self.correct + [0] * unplayed),
            "network_seconds": torch.tensor(self.network_seconds + [0.0] * unplayed, dtype=torch.float64),
            "simulator_seconds": torch.tensor(self.simulator_seconds, dtype=torch.float64),
            "boxes": torch.tensor(self.boxes()),
            "refinements": torch.tensor([counts.get(key, 0) for key in COUNTS]),
            "masks": torch.from_numpy(self.masks),
        }
