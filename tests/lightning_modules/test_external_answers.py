"""What the answers of other people's models mean: logits, probabilities, masks, or none of them."""

import numpy as np
import pytest
import torch

from interseg.errors import InputError
from interseg.inference.external import PhotoPredictor, Reply
from interseg.inference.session import open_sessions
from lightning_modules.external import External
from tests.helpers.external import photos


def answers(values):
    """A model that answers so whatever it is asked."""
    return External(lambda photo, points, labels, mask: values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((72, 96), 0.3), "answered 0.3 to 0.3, as probabilities are; set model.answers"),
        (0.5 * np.eye(72, 96), "answered 0 to 0.5, as probabilities"),
        (torch.zeros(72, 95) - 3, r"answered \(72, 95\) of float32"),
        (np.full((72, 96), np.nan), "answered NaN"),
    ],
)
def test_an_answer_that_means_something_else_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        open_sessions(answers(values), photos())[0].click(3, 3)


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
@pytest.mark.parametrize("threshold", [0.2, 0.8])
def test_zeros_and_ones_are_a_mask_whatever_values_mean(meaning, threshold):
    for mask in (np.eye(72, 96, dtype=bool), np.zeros((72, 96), bool)):
        model = answers(mask.astype(np.float32)).player.model
        (session,) = open_sessions(External(model, meaning), photos(), threshold=threshold)
        assert np.array_equal(session.click(3, 3), mask)


class Torn(PhotoPredictor):
    """A predictor of somebody's own whose decoder overflows, or keeps to its own size."""

    def __init__(self, logits):
        self.logits = logits

    def encode(self, photo):
        return {}

    def decode(self, encoded, size, points, labels, mask, kept):
        return Reply(self.logits, {})


def test_a_predictor_that_overflows_or_keeps_to_its_own_size_is_refused():
    for logits, words in (
        (np.full((72, 96), np.nan, np.float32), "Torn answered NaN"),
        (np.zeros((256, 256), np.float32), r"Torn answered \(256, 256\)"),
    ):
        with pytest.raises(InputError, match=words):
            open_sessions(External(Torn(logits)), photos())[0].click(3, 3)
