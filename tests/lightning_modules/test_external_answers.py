"""Answers of other people's models, read as what they are or refused; a photo is set once."""

import numpy as np
import pytest

from interseg.errors import InputError
from interseg.inference.rounds import answer_together
from interseg.inference.session import open_sessions
from lightning_modules.external import External
from tests.helpers.external import CLICKS, photos
from tests.helpers.others import Squares


def test_masks_logits_and_probabilities_are_read_as_what_they_are():
    read = [
        External(Squares(gives=gives), answers)
        for gives, answers in (("logits", "logits"), ("probabilities", "probabilities"))
    ]
    sessions = [open_sessions(one, photos())[0] for one in (*read, External(Squares(gives="mask")))]
    for session in sessions:
        session.click(30, 24)
    assert np.allclose(sessions[0].probabilities, sessions[1].probabilities, atol=1e-6)
    assert all(np.array_equal(session.mask, sessions[0].mask) for session in sessions)
    assert set(np.unique(sessions[2].probabilities.round(6))) == {0.0, 1.0}


def test_one_photo_is_set_once_for_all_its_clicks():
    own = Squares()
    (session,) = open_sessions(External(own), photos())
    for click in CLICKS:
        answer_together([session], [click])
    assert own.sets == 1
    session.another().click(3, 3)
    assert own.sets == 1
    assert session.encoding_seconds > 0


class Wrong:
    def __init__(self, answer):
        self.answer = answer

    def __call__(self, image, points, labels, mask):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "answers", "message"),
    [
        (
            np.zeros((3, 4)),
            "logits",
            r"Wrong answered \(3, 4\) of float64; a mask or logits are \(72, 96\)",
        ),
        (np.full((72, 96), np.nan), "logits", "Wrong answered NaN"),
        (np.full((72, 96), 1.5), "probabilities", "not probabilities; set model.answers=logits"),
    ],
)
def test_an_answer_that_is_none_is_one_clear_error(answer, answers, message):
    (session,) = open_sessions(External(Wrong(answer), answers), photos())
    with pytest.raises(InputError, match=message):
        session.click(3, 3)
