"""Games: a session, a truth and a user who clicks until the answer is good enough."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.clicks.layout import IGNORE, Click, Mask, pad_clicks
from interseg.clicks.users import ForesightUser, User
from interseg.clicks.users.extreme import Foreseen
from interseg.evaluation.boundaries import Agreement, boundary_agreement
from interseg.evaluation.overlap import iou, mean_iou
from interseg.inference.session import Session, answer_together, foresee


class Game:
    """One object's evaluation: its session, its IoU curve and its masks so far.

    Args:
        session: on the object's image, before the first click.
        truth: (H, W) in {0, 1, 255 = ignore}, or classes where the segmenter knows several.
        user: who clicks.
        max_clicks: rounds at most.
        seed: of the user, with the session's id.
        target: the IoU at which the game ends; None to play every round.
    """

    def __init__(
        self,
        session: Session,
        truth: NDArray[np.uint8],
        user: User,
        max_clicks: int,
        seed: int = 0,
        target: float | None = None,
    ) -> None:
        self.session, self.truth, self.user = session, truth, user
        self.max_clicks, self.target = max_clicks, target
        self.generator = np.random.default_rng((seed, session.id))
        self.first_mask, self.first_iou = session.mask, quality(session.mask, truth)
        self.ious: list[float] = []
        self.outlines: list[Agreement] = []
        self.foreseen: list[Foreseen] = []
        """Of a user who knows the answers: what was weighed in each round."""
        self.correct: list[int] = []
        self.simulator_seconds = 0.0
        self.masks = np.zeros((max_clicks, *packed(session.mask).shape), np.uint8)
        self.over = False

    def next_click(self) -> Click | None:
        """Ask the user; None, and over, where nothing is left to click or every click was given."""
        if self.over or len(self.ious) == self.max_clicks:
            self.over = True
            return None
        started = time.perf_counter()
        click = self._asked()
        self.simulator_seconds += time.perf_counter() - started
        self.over = click is None
        return None if click is None else Click(*click)

    def _asked(self) -> Click | None:
        given = self.session.mask, self.truth, self.session.clicks
        if not isinstance(self.user, ForesightUser):
            return self.user.next_click(*given, self.generator)
        chosen = self.user.choose(self._outlook, *given)
        if chosen is None:
            return None
        self.foreseen.append(chosen[1])
        return chosen[0]

    def _outlook(self, clicks: Sequence[Click]) -> NDArray[np.float64]:
        return np.array([quality(mask, self.truth) for mask in foresee(self.session, clicks)])

    def score(self) -> None:
        """Measure the session's newest answer."""
        mask, clicks = self.session.mask, self.session.clicks
        self.correct.append(int((mask[clicks[:, 0], clicks[:, 1]] == clicks[:, 2]).sum()))
        self.masks[len(self.ious)] = packed(mask)
        self.ious.append(quality(mask, self.truth))
        self.outlines.append(boundary_agreement(mask, self.truth))
        self.over = self.target is not None and self.ious[-1] >= self.target

    def curve(self) -> list[float]:
        """List the IoU after each click; an object that stopped early keeps its last one."""
        last = self.ious[-1] if self.ious else self.first_iou
        return self.ious + [last] * (self.max_clicks - len(self.ious))

    def outcome(self) -> dict[str, Tensor]:
        """Give what the game leaves: `interseg.evaluation.metrics.OUTCOME` and the masks.

        `id` () int64, `starts` () IoU before the first click, `curves` (R,) IoU after each,
        `outlines` (R, 2) boundary IoU and F-measure after each, `clicks` (R, 4) padded with -1,
        `correct` (R,) int64 clicked pixels that an answer labels as clicked, `network_seconds`
        (R,), `simulator_seconds` (), `masks` (R, H, ...) uint8, see `packed`; of a `ForesightUser`
        also `heat` (H, W) float32, the IoU that a first click on each pixel would bring, NaN where
        none was wrong.
        """
        session, unplayed = self.session, self.max_clicks - len(self.ious)
        clicks = pad_clicks([session.clicks])[0, : len(self.ious)]
        padding = torch.full((unplayed, clicks.shape[1]), -1)
        last = (
            self.outlines[-1] if self.outlines else boundary_agreement(self.first_mask, self.truth)
        )
        outcome = {
            "id": torch.tensor(session.id),
            "clicks": torch.cat([clicks, padding]),
            "starts": torch.tensor(self.first_iou, dtype=torch.float64),
            "curves": torch.tensor(self.curve(), dtype=torch.float64),
            "outlines": torch.tensor(self.outlines + [last] * unplayed, dtype=torch.float64),
            "correct": torch.tensor(self.correct + [0] * unplayed),
            "network_seconds": torch.tensor(
                session.seconds + [0.0] * unplayed, dtype=torch.float64
            ),
            "simulator_seconds": torch.tensor(self.simulator_seconds, dtype=torch.float64),
            "masks": torch.from_numpy(self.masks),
        }
        if isinstance(self.user, ForesightUser):
            nothing = np.full(self.truth.shape, np.nan, np.float32)
            outcome["heat"] = torch.from_numpy(
                self.foreseen[0].heat() if self.foreseen else nothing
            )
        return outcome


def play(games: Sequence[Game]) -> None:
    """Play games in lock-step to their ends: their sessions are answered together, a game leaves when it is over."""
    while True:
        asked = [(game, game.next_click()) for game in games]
        turns = [(game, click) for game, click in asked if click is not None]
        if not turns:
            return
        answer_together([game.session for game, _ in turns], [click for _, click in turns])
        for game, _ in turns:
            game.score()


def quality(mask: Mask, truth: NDArray[np.uint8]) -> float:
    """Measure a mask: IoU of the object, or the mean over the classes that the truth has."""
    if mask.dtype == bool:
        return iou(mask.astype(bool, copy=False), truth)
    classes = int(max(mask.max(), truth[truth != IGNORE].max(initial=0))) + 1
    return mean_iou(mask.astype(np.uint8, copy=False), truth, classes)


def packed(mask: Mask) -> NDArray[np.uint8]:
    """Pack a mask (H, W): bits (H, ceil(W / 8)), or classes (H, W) as they are."""
    return np.packbits(mask, axis=-1) if mask.dtype == bool else np.asarray(mask, np.uint8)
