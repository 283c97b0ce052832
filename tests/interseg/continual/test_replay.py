import numpy as np
import pytest
import torch

from interseg.continual.replay import ReplayBuffer, to_half
from interseg.errors import InputError


def drawn_after(policy, slots, size, count, pushes, repeats=3000, rounds=1):
    """Measure how often the sample that came k samples ago is drawn, by k.

    Each image is pushed in some rounds.
    """
    hits = np.zeros(pushes)
    for seed in range(repeats):
        generator = np.random.default_rng(seed)
        buffer = ReplayBuffer(slots, size, policy)
        for key in range(pushes):
            for _ in range(rounds):
                buffer.push(key, key, generator)
        for key in buffer.draw(count, generator):
            hits[pushes - 1 - key] += 1
    return hits / repeats


def test_an_older_sample_is_drawn_less_often_by_the_formula():
    found = drawn_after("decay", 10, 5, 3, 40)
    k = np.arange(25)
    assert np.allclose(found[:25], 3 / 10 * (1 - 1 / 10) ** k, atol=0.04)


def test_a_reservoir_draws_all_alike_and_fifo_the_newest_only():
    assert np.allclose(drawn_after("reservoir", 10, 5, 3, 30), 3 / 30, atol=0.03)
    assert np.allclose(drawn_after("reservoir", 10, 5, 3, 30, rounds=6), 3 / 30, atol=0.03)
    found = drawn_after("fifo", 10, 5, 3, 30, 1000)
    assert np.allclose(found[:10], 3 / 10, atol=0.07)
    assert (found[10:] == 0).all()


def test_an_empty_slot_is_taken_first_and_an_image_keeps_its_latest_sample():
    generator, buffer = np.random.default_rng(0), ReplayBuffer(4, 4)
    for key in range(4):
        buffer.push(key, (key, "old"), generator)
    assert sorted(buffer.keys) == [0, 1, 2, 3]
    buffer.push(2, (2, "new"), generator)
    assert len(buffer) == 4
    assert sorted(buffer.draw(9, generator)) == [(0, "old"), (1, "old"), (2, "new"), (3, "old")]
    assert (2, "new") not in buffer.draw(9, generator, without=2)
    assert ReplayBuffer().draw(3, generator) == []


def test_a_buffer_goes_on_from_its_state():
    one, two = ReplayBuffer(5, 3), ReplayBuffer(5, 3)
    generator = np.random.default_rng(0)
    for key in range(9):
        one.push(key, key, generator)
    two.load_state_dict(one.state_dict())
    for buffer in (one, two):
        generator = np.random.default_rng(1)
        buffer.push(9, 9, generator)
        buffer.found = buffer.draw(3, generator)
    assert one.found == two.found
    assert one.state_dict() == two.state_dict()


def test_a_buffer_of_fewer_slots_takes_the_last_samples():
    """It would never forget those beyond its slots."""
    full, generator = ReplayBuffer(5, 5), np.random.default_rng(0)
    for key in range(9):
        full.push(key, -key, generator)
    fewer = ReplayBuffer(3, 2)
    fewer.load_state_dict(full.state_dict())
    assert fewer.keys == full.keys[2:]
    drawn = fewer.draw(9, generator)
    assert len(drawn) == 2
    assert {*drawn} < {-key for key in fewer.keys}
    for key in range(9, 40):
        fewer.push(key, -key, generator)
    assert min(fewer.keys) > 8


def test_bad_settings_are_named():
    with pytest.raises(InputError, match="policy is 'lifo'"):
        ReplayBuffer(policy="lifo")
    with pytest.raises(InputError, match="size=5, slots=4"):
        ReplayBuffer(4, 5)


def test_what_is_replayed_is_finite_in_half_precision():
    assert to_half(torch.tensor([-3e5, 0.25, 3e5])).tolist() == [-65504, 0.25, 65504]
