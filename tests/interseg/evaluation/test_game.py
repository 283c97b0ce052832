"""Games of a segmenter without weights: rounds, ends, curves, what is left of them."""

import numpy as np
import pytest
import torch

from interseg.clicks.layout import Click, no_clicks
from interseg.clicks.users import ExtremeUser, RitmUser, User
from interseg.evaluation.game import Game, play
from interseg.evaluation.overlap import iou, mean_iou
from interseg.inference.segmenter import Plain
from interseg.inference.session import open_sessions


class Painter:
    """A disk of the click's sign round every click, later ones over earlier ones."""

    def __init__(self, reach=5):
        self.reach = reach

    def segment(self, batch):
        logits = torch.full((len(batch["id"]), 1, *batch["image"].shape[-2:]), -5.0)
        for row, clicks in zip(logits, batch["clicks"].tolist(), strict=True):
            for y, x, label, _ in clicks:
                if label >= 0:
                    window = (
                        slice(max(0, y - self.reach), y + self.reach + 1),
                        slice(max(0, x - self.reach), x + self.reach + 1),
                    )
                    row[0][window] = 5.0 if label else -5.0
        return logits


def truth(seed=0):
    mask = np.zeros((24, 32), np.uint8)
    mask[4 + seed : 20, 6:26] = 1
    mask[0] = 255
    return mask


def games(count=1, reach=5, user=None, **options):
    sessions = open_sessions(Plain(Painter(reach)), torch.zeros(count, 3, 24, 32), undoable=False)
    given = {"max_clicks": 6} | options
    return [
        Game(session, truth(i), user or RitmUser(), **given) for i, session in enumerate(sessions)
    ]


def test_a_game_ends_at_its_target_and_keeps_its_last_iou():
    (game,) = games(target=0.5)
    play([game])
    count = len(game.ious)
    assert 0 < count < 6
    assert all(value < 0.5 for value in game.ious[:-1])
    assert game.ious[-1] >= 0.5
    assert game.curve() == game.ious + [game.ious[-1]] * (6 - count)
    assert game.over


def test_without_a_target_every_round_is_played_and_the_outcome_tells_all():
    (game,) = games()
    play([game])
    outcome = game.outcome()
    assert outcome["clicks"].shape == (6, 4)
    assert (outcome["clicks"][:, 2] >= 0).all()
    assert outcome["starts"].item() == 0
    for k in range(6):
        mask = np.unpackbits(outcome["masks"][k].numpy(), axis=-1, count=32).astype(bool)
        assert iou(mask, truth()) == outcome["curves"][k].item()
        clicked = outcome["clicks"][: k + 1]
        right = sum(bool(mask[y, x]) == bool(label) for y, x, label, _ in clicked.tolist())
        assert outcome["correct"][k].item() == right
    assert (outcome["network_seconds"] > 0).all()
    assert outcome["simulator_seconds"] > 0


def test_games_in_lock_step_are_those_played_one_by_one():
    together, alone = games(4, target=0.8), games(4, target=0.8)
    play(together)
    for game in alone:
        play([game])
    for one, other in zip(together, alone, strict=True):
        assert one.ious == other.ious
        assert np.array_equal(one.session.clicks, other.session.clicks)
        assert np.array_equal(one.masks, other.masks)
    assert len({tuple(game.ious) for game in together}) > 1


def test_a_perfect_answer_leaves_nothing_to_click():
    (game,) = games()
    game.session.start_from(truth() == 1)
    game = Game(game.session, truth(), RitmUser(), 6)
    play([game])
    assert game.over
    assert game.curve() == [1.0] * 6
    outcome = game.outcome()
    assert (outcome["clicks"] == -1).all()
    assert outcome["correct"].tolist() == [0] * 6


def test_the_draws_of_a_user_depend_on_seed_and_object_alone():
    class Drawing(User):
        def next_click(self, prediction, mask, clicks, generator):
            return Click(int(generator.integers(24)), int(generator.integers(32)))

    def clicks(seed, ids):
        sessions = open_sessions(Plain(Painter()), torch.zeros(len(ids), 3, 24, 32), ids)
        found = [Game(session, truth(), Drawing(), 3, seed) for session in sessions]
        play(found)
        return {game.session.id: game.session.clicks.tolist() for game in found}

    together = clicks(0, [4, 9])
    assert together[9] == clicks(0, [9])[9]
    assert together[4] != together[9]
    assert clicks(1, [9])[9] != together[9]


def test_classes_are_measured_by_their_mean():
    class Classes:
        outputs, kinds = 3, (0,)

        def encode(self, images):
            return {}

        def start(self, batch):
            return None

        def answer(self, batch):
            logits = torch.zeros(len(batch["id"]), 3, 24, 32)
            logits[:, 0] = 1
            for row, clicks in zip(logits, batch["clicks"].tolist(), strict=True):
                for y, x, label, _ in clicks:
                    if label >= 0:
                        row[label, max(0, y - 6) : y + 7, max(0, x - 6) : x + 7] = 3
            return logits, batch["states"]

    mask = np.zeros((24, 32), np.uint8)
    mask[:12, :16], mask[12:, 16:] = 1, 2
    (session,) = open_sessions(Classes(), torch.zeros(1, 3, 24, 32), undoable=False)
    game = Game(session, mask, RitmUser(), 4)
    play([game])
    assert session.clicks[0].tolist()[2] in (1, 2)
    outcome = game.outcome()
    assert outcome["masks"].shape == (4, 24, 32)
    for k in range(4):
        assert outcome["curves"][k].item() == pytest.approx(
            mean_iou(outcome["masks"][k].numpy(), mask, 3)
        )
    assert outcome["curves"][-1] > outcome["starts"]
    clicked = [
        [
            outcome["masks"][k][y, x].item() == label
            for y, x, label, _ in session.clicks[: k + 1].tolist()
        ]
        for k in range(4)
    ]
    assert outcome["correct"].tolist() == [sum(row) for row in clicked]


@pytest.mark.parametrize("best", [True, False])
def test_an_extreme_user_takes_what_playing_every_click_shows_to_be_best_or_worst(best):
    wanted = np.zeros((12, 14), np.uint8)
    wanted[2:9, 4:12] = 1
    wanted[0] = 255
    (session,) = open_sessions(Plain(Painter(3)), torch.zeros(1, 3, 12, 14))
    game = Game(session, wanted, ExtremeUser(best, 1000), max_clicks=3)
    play([game])
    before = no_clicks()
    for k, click in enumerate(session.clicks.tolist()):
        brought = {}
        mask = np.zeros(wanted.shape, bool) if k == 0 else session.steps[k].mask
        for y, x in np.argwhere((wanted != 255) & (mask != (wanted == 1))).tolist():
            if (y, x) not in {tuple(c[:2]) for c in before.tolist()}:
                (other,) = open_sessions(Plain(Painter(3)), torch.zeros(1, 3, 12, 14))
                for y0, x0, label, _ in [*before.tolist(), (y, x, int(wanted[y, x]), 0)]:
                    other.click(y0, x0, label)
                brought[y, x] = iou(other.mask, wanted)
        assert game.ious[k] == brought[tuple(click[:2])] == (max if best else min)(brought.values())
        if k == 0:
            heat = game.outcome()["heat"]
            assert {(y, x): float(heat[y, x]) for y, x in brought} == pytest.approx(brought)
            assert torch.isnan(heat).sum() == wanted.size - len(brought)
        before = session.clicks[: k + 1]
