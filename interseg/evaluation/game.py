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
from interseg.inference.rounds import answer_together, foresee
from interseg.inference.session import Session


class Game:
    """One object's evaluation: its session, its IoU curve and its masks so far.

    Args:
        session: Session on the object's image, before the first click.
        truth: (H, W) in {0, 1, 255 = ignore}, or classes if the segmenter knows several.
        user: User who clicks.
        max_clicks: Largest number of rounds.
        seed: Seed of the user's draws, together with the session's id.
        target: IoU at which the game ends; None to play every round.
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
        """Clicks that were tried in each round, for a user who knows the answers."""
        self.correct: list[int] = []
        self.simulator_seconds = 0.0
        self.masks = np.zeros((max_clicks, *pack_mask(session.mask).shape), np.uint8)
        self.over = False

    def next_click(self) -> Click | None:
        """Ask the user for a click; None, which ends the game, if there is no click or no round."""
        if self.over or len(self.ious) == self.max_clicks:
            self.over = True
            return None
        started = time.perf_counter()
        click = self._ask()
        self.simulator_seconds += time.perf_counter() - started
        self.over = click is None
        return None if click is None else Click(*click)

    def _ask(self) -> Click | None:
        given = self.session.mask, self.truth, self.session.clicks
        if not isinstance(self.user, ForesightUser):
            return self.user.next_click(*given, self.generator)
        chosen = self.user.choose(self._outlook, *given)
        if chosen is None:
            return None
        self.foreseen.append(chosen[1])
        return chosen[0]

    def _outlook(self, clicks: Sequence[Click]) -> NDArray[np.float64]:
        masks = foresee(self.session, clicks)
        return np.array([quality(mask, self.truth) for mask in masks])

    def score(self) -> None:
        """Measure the session's newest answer."""
        mask, clicks = self.session.mask, self.session.clicks
        answered = mask[clicks[:, 0], clicks[:, 1]]
        self.correct.append(int((answered == clicks[:, 2]).sum()))
        self.masks[len(self.ious)] = pack_mask(mask)
        self.ious.append(quality(mask, self.truth))
        self.outlines.append(boundary_agreement(mask, self.truth))
        self.over = self.target is not None and self.ious[-1] >= self.target

    def curve(self) -> list[float]:
        """List the IoU after each click; a game that ended early keeps its last IoU."""
        last = self.ious[-1] if self.ious else self.first_iou
        return self.ious + [last] * (self.max_clicks - len(self.ious))

    def outcome(self) -> dict[str, Tensor]:
        """Return the game's results: `interseg.evaluation.metrics.OUTCOME` and the masks.

        `id` () int64; `starts` () IoU before the first click; `curves` (R,) IoU after each click;
        `outlines` (R, 2) boundary IoU and F-measure after each click; `clicks` (R, 4) padded with
        -1; `correct` (R,) int64 number of clicked pixels that have their label in the answer;
        `network_seconds` (R,); `simulator_seconds` (); `masks` (R, H, ...) uint8, see `pack_mask`.
        With a `ForesightUser` also `heat` (H, W) float32: the IoU after a first click on each
        pixel, NaN at pixels that were not wrong.
        """
        session, unplayed = self.session, self.max_clicks - len(self.ious)
        clicks = pad_clicks([session.clicks])[0, : len(self.ious)]
        padding = torch.full((unplayed, clicks.shape[1]), -1)
        played = self.outlines or [boundary_agreement(self.first_mask, self.truth)]
        outlines = self.outlines + [played[-1]] * unplayed
        seconds = session.seconds + [0.0] * unplayed
        outcome = {
            "id": torch.tensor(session.id),
            "clicks": torch.cat([clicks, padding]),
            "starts": torch.tensor(self.first_iou, dtype=torch.float64),
            "curves": torch.tensor(self.curve(), dtype=torch.float64),
            "outlines": torch.tensor(outlines, dtype=torch.float64),
            "correct": torch.tensor(self.correct + [0] * unplayed),
            "network_seconds": torch.tensor(seconds, dtype=torch.float64),
            "simulator_seconds": torch.tensor(self.simulator_seconds, dtype=torch.float64),
            "masks": torch.from_numpy(self.masks),
        }
        if isinstance(self.user, ForesightUser):
            heat = np.full(self.truth.shape, np.nan, np.float32)
            if self.foreseen:
                heat = self.foreseen[0].heat()
            outcome["heat"] = torch.from_numpy(heat)
        return outcome


def play(games: Sequence[Game]) -> None:
    """Play games in lock-step to their ends.

    Their sessions are answered together; a game that is over leaves the group.
    """
    while True:
        asked = [(game, game.next_click()) for game in games]
        turns = [(game, click) for game, click in asked if click is not None]
        if not turns:
            return
        answer_together([game.session for game, _ in turns], [click for _, click in turns])
        for game, _ in turns:
            game.score()


def quality(mask: Mask, truth: NDArray[np.uint8]) -> float:
    """Measure a mask's IoU: the object's, or the mean over the classes that the truth has."""
    if mask.dtype == bool:
        return iou(mask.astype(bool, copy=False), truth)
    classes = int(max(mask.max(), truth[truth != IGNORE].max(initial=0))) + 1
    return mean_iou(mask.astype(np.uint8, copy=False), truth, classes)


def pack_mask(mask: Mask) -> NDArray[np.uint8]:
    """Pack a mask (H, W) to bits (H, ceil(W / 8)); classes (H, W) stay unchanged."""
    return np.packbits(mask, axis=-1) if mask.dtype == bool else np.asarray(mask, np.uint8)
