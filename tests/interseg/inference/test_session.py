"""Sessions of a segmenter without weights.

Undo, batches, starts, classes, what is computed once, and bad input.
"""

import numpy as np
import pytest
import torch

from interseg.clicks.layout import BOUNDARY, REGION, Click
from interseg.errors import InputError
from interseg.inference.rounds import answer_together
from interseg.inference.segmenter import Answer, Plain
from interseg.inference.session import open_sessions


class Counter:
    """Paints a square of the label round the last click over the previous mask, and counts clicks
    in its state.
    """

    kinds = (REGION, BOUNDARY)

    def __init__(self, outputs=1):
        self.outputs, self.encoded, self.batches = outputs, 0, []

    def encode(self, images):
        self.encoded += len(images)
        return {"mean": images.mean((1, 2, 3))}

    def start(self, batch):
        return None

    def answer(self, batch):
        self.batches.append(len(batch["id"]))
        logits = torch.full((len(batch["id"]), self.outputs, *batch["image"].shape[-2:]), -5.0)
        states = []
        for row, (clicks, state) in enumerate(
            zip(batch["clicks"].tolist(), batch["states"], strict=True)
        ):
            given = [c for c in clicks if c[2] >= 0]
            assert state.get("count", 0) == len(given) - 1, (
                "the state is the one of the click before"
            )
            if self.outputs > 1:
                logits[row, 0] = 0
            else:
                logits[row][batch["previous"][row][None]] = 3
            y, x, label, _ = given[-1]
            channel = label if self.outputs > 1 else 0
            logits[row, channel, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = (
                5.0 if label or self.outputs > 1 else -5.0
            )
            logits[row] += batch["encoded"]["mean"][row] / 10
            states.append({"count": len(given), "seen": (*state.get("seen", ()), (y, x))})
        return Answer(logits, states)


def image(height=20, width=30, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def opened(segmenter=None, **options):
    (session,) = open_sessions(segmenter or Counter(), image()[None], **options)
    return session


def snapshot(session):
    return (
        session.mask.copy(),
        session.probabilities.copy(),
        session.clicks.copy(),
        dict(session.state),
    )


def assert_same(one, other):
    for a, b in zip(one[:3], other[:3], strict=True):
        assert np.array_equal(a, b)
    assert one[3] == other[3]


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_clicked_undone_and_redone_a_session_is_what_its_clicks_alone_give(
    seed, outputs
):
    rng = np.random.default_rng(seed)
    segmenter = Counter(outputs)
    session, kept, undone = opened(segmenter), [], []
    seen = [snapshot(session)]
    for _ in range(60):
        action = rng.choice([*["click"] * 5, *["undo"] * 2, *["redo"] * 2, "reset"])
        if action == "click":
            click = Click(
                int(rng.integers(20)), int(rng.integers(30)), int(rng.integers(max(2, outputs)))
            )
            session.click(*click[:3])
            kept, undone = [*kept, click], []
        elif action == "undo" and kept:
            session.undo()
            kept, undone = kept[:-1], [*undone, kept[-1]]
        elif action == "redo" and undone:
            session.redo()
            kept, undone = [*kept, undone[-1]], undone[:-1]
        elif action == "reset":
            session.reset()
            kept, undone = [], [*undone, *kept[::-1]]
        fresh = opened(segmenter)
        for click in kept:
            fresh.click(*click[:3])
        assert_same(snapshot(session), snapshot(fresh))
        seen.append(snapshot(session))
    assert max(len(clicks) for _, _, clicks, _ in seen) > 3


def test_an_answer_comes_back_bit_for_bit_and_another_click_forgets_what_was_undone():
    session = opened()
    session.click(5, 5)
    before = snapshot(session)
    session.click(9, 9, label=0)
    after = snapshot(session)
    assert np.array_equal(session.undo(), before[0])
    assert_same(snapshot(session), before)
    assert np.array_equal(session.redo(), after[0])
    assert_same(snapshot(session), after)
    session.undo()
    session.click(1, 1)
    with pytest.raises(InputError, match="no click to redo"):
        session.redo()


def test_an_image_is_encoded_once_and_its_answers_take_time():
    segmenter = Counter()
    session = opened(segmenter)
    for k in range(4):
        session.click(k, k)
    session.reset()
    session.start_from(np.ones((20, 30), bool))
    assert segmenter.encoded == 1
    assert session.encoding_seconds > 0
    assert session.seconds == []
    session.click(3, 3)
    assert len(session.seconds) == 1
    assert session.seconds[0] > 0


def test_sessions_are_answered_together_as_one_by_one_whatever_their_sizes():
    segmenter = Counter()
    sizes = [(20, 30), (20, 30), (16, 16), (20, 30)]
    together = [
        open_sessions(segmenter, image(*size, seed=i)[None], [i])[0] for i, size in enumerate(sizes)
    ]
    alone = [
        open_sessions(segmenter, image(*size, seed=i)[None], [i])[0] for i, size in enumerate(sizes)
    ]
    for k in range(3):
        clicks = [Click(k + i, 2 * k + i, (k + i) % 2) for i in range(4)]
        answer_together(together, clicks)
        for session, click in zip(alone, clicks, strict=True):
            session.click(*click[:3])
    assert segmenter.batches.count(3) == 3
    for one, other in zip(together, alone, strict=True):
        assert_same(snapshot(one), snapshot(other))


def test_a_session_starts_from_a_mask_and_starts_again():
    mask = np.zeros((20, 30), bool)
    mask[4:9, 4:9] = True
    session = opened(masks=[mask])
    assert np.array_equal(session.mask, mask)
    assert np.array_equal(session.probabilities, mask)
    assert session.click(15, 20).sum() == mask.sum() + 25
    assert np.array_equal(session.reset(), mask)
    session.click(15, 20)
    assert not session.start_from(None).any()
    assert len(session.clicks) == 0
    with pytest.raises(InputError, match="no click to redo"):
        session.redo()
    assert np.array_equal(session.start_from(mask), mask)


def test_a_segmenter_may_say_something_before_the_first_click():
    class Forward(Counter):
        def start(self, batch):
            return torch.where(batch["image"].mean(1, keepdim=True) > 0.5, 2.0, -2.0)

    session = opened(Forward())
    assert np.array_equal(session.mask, (image().mean(0) > 0.5).numpy())
    assert session.probabilities.max() == pytest.approx(torch.tensor(2.0).sigmoid().item())


def test_several_classes_are_clicked_by_their_number():
    session = opened(Counter(4))
    mask = session.click(5, 5, label=3)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 3}
    assert session.probabilities.shape == (4, 20, 30)
    assert np.allclose(session.probabilities.sum(0), 1)
    assert np.array_equal(session.start_from(np.full((20, 30), 2)), np.full((20, 30), 2))
    assert (session.probabilities[2] == 1).all()
    for label in (4, -1):
        with pytest.raises(InputError, match=rf"has label {label}; use a class from 0 to 3"):
            session.click(1, 1, label=label)
    with pytest.raises(InputError, match="the mask has class 4; the network knows 0 to 3"):
        session.start_from(np.full((20, 30), 4))


def test_a_boundary_click_is_a_kind_that_some_segmenters_know():
    session = opened()
    session.click(4, 4, kind="boundary")
    assert session.clicks.tolist() == [[4, 4, 1, BOUNDARY]]

    class Painter:
        def segment(self, batch):
            return batch["image"][:, :1]

    with pytest.raises(
        InputError, match=r"click \(y=4, x=4\) is of kind boundary; this method knows region"
    ):
        opened(Plain(Painter())).click(4, 4, kind="boundary")
    with pytest.raises(InputError, match="kind is 'edge'; use region or boundary"):
        session.click(4, 4, kind="edge")


def test_a_wrong_click_of_one_leaves_all_as_they_were():
    segmenter = Counter()
    sessions = open_sessions(segmenter, torch.stack([image(), image(seed=1)]))
    with pytest.raises(InputError, match=r"click \(y=99, x=1\) lies outside the image of 20 x 30"):
        answer_together(sessions, [Click(1, 1), Click(99, 1)])
    assert [len(session.clicks) for session in sessions] == [0, 0]
    assert segmenter.batches == []


def test_a_session_that_nobody_goes_back_in_keeps_its_newest_answer_only():
    session = opened(undoable=False)
    for k in range(3):
        session.click(k, k)
    assert len(session.clicks) == len(session.seconds) == 3
    assert session.mask.shape == (20, 30)
    assert [step.logits is None for step in session.steps] == [True, True, True, False]
    assert sum(step.mask.size for step in session.steps) == session.mask.size
    assert all(step.mask.base is None for step in session.steps[:-1]), "a view keeps what it is of"
    with pytest.raises(InputError, match="keeps no earlier answers; open it with undoable=True"):
        session.undo()


def test_what_cannot_be_done_is_said():
    session = opened()
    with pytest.raises(InputError, match="there is no click to undo"):
        session.undo()
    with pytest.raises(InputError, match=r"the mask is \(3, 3\), the image \(20, 30\)"):
        session.start_from(np.zeros((3, 3), bool))
    with pytest.raises(InputError, match=r"threshold is 1\.5"):
        opened(threshold=1.5)
    assert open_sessions(Counter(), torch.zeros(0, 3, 4, 4)) == []


def test_an_answer_of_nan_is_an_error_and_no_empty_mask():
    class Broken(Counter):
        def answer(self, batch):
            found = super().answer(batch)
            found.logits[:, :, 3, 4] = torch.nan
            return found

    (session,) = open_sessions(Broken(), torch.zeros(1, 3, 20, 30))
    with pytest.raises(InputError, match="answers with NaN: its weights are damaged"):
        session.click(1, 1)
    assert len(session.clicks) == 0


def test_the_threshold_is_on_the_probability():
    class Sure(Counter):
        def answer(self, batch):
            return Answer(torch.logit(batch["image"][:, :1], eps=1e-6), batch["states"])

    session = opened(Sure(), threshold=0.8)
    assert np.array_equal(session.click(1, 1), (image()[0] > 0.8).numpy())


@pytest.mark.parametrize("soft", [False, True])
def test_a_segmenter_that_writes_into_its_previous_mask_changes_no_earlier_answer(soft):
    class Careless(Counter):
        soft_previous = soft

        def answer(self, batch):
            answer = super().answer(batch | {"previous": batch["previous"] > 0.5})
            batch["previous"].zero_()
            return answer

    session = opened(Careless())
    first = session.click(5, 5).copy()
    session.click(10, 20)
    assert np.array_equal(session.undo(), first)
