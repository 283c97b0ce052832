"""Dynamic learning of volumes: augmentation, loss, settings."""

import numpy as np
import pytest
import torch

from callbacks.dice import VolumeDice
from callbacks.slice_loop import SliceLoop
from interseg.errors import InputError
from interseg.volumes.users import SliceUser
from lightning_modules.dynamic3d import flip_and_turn
from tests.helpers.volume_streams import method


def test_augmentation_moves_all_parts_alike():
    volume = torch.rand(1, 1, 4, 12, 10)
    for seed in range(5):
        a, b = flip_and_turn([volume, volume.clone()], np.random.default_rng(seed))
        assert torch.equal(a, b)
        assert a.shape == volume.shape
        assert not torch.equal(a, volume)
    flips = {
        tuple(flip_and_turn([volume], np.random.default_rng(seed), 0.0)[0].ravel().tolist())
        for seed in range(60)
    }
    assert len(flips) == 8, "along each axis or not"
    ramp = torch.arange(40.0)[:, None].expand(40, 20)[None, None, None]
    for seed in range(5):
        y, x = torch.gradient(
            flip_and_turn([ramp], np.random.default_rng(seed), 30.0)[0][0, 0, 0, 15:25, 8:12]
        )
        assert torch.hypot(y, x).mean().item() == pytest.approx(1, abs=1e-3), (
            "pixels stay square whatever the sides"
        )
        assert x.abs().mean() > 0.01
    flat = torch.full((1, 1, 4, 12, 10), 3.0)
    assert torch.allclose(flip_and_turn([flat], np.random.default_rng(0))[0], flat)


def test_the_loss_is_entropy_and_dice_with_the_same_weights():
    from interseg.losses import weighted_cross_entropy_and_dice

    logits, target, weight = (
        torch.randn(2, 1, 2, 3, 4),
        torch.rand(2, 1, 2, 3, 4),
        torch.rand(2, 1, 2, 3, 4),
    )
    expected = 0.0
    for z, y, w in zip(logits, target, weight, strict=True):
        p, share = torch.sigmoid(z), w / w.sum()
        entropy = -(share * (y * p.log() + (1 - y) * (1 - p).log())).sum()
        expected += entropy + 1 - 2 * (share * p * y).sum() / (share * (p + y)).sum()
    assert weighted_cross_entropy_and_dice(logits, target, weight).item() == pytest.approx(
        expected.item() / 2, rel=1e-5
    )
    assert weighted_cross_entropy_and_dice(logits, target, 7 * weight).item() == pytest.approx(
        expected.item() / 2, rel=1e-5
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: method(replay={"policy": "lru"}), "policy is 'lru'"),
        (lambda: SliceLoop(confidence="high"), "confidence is 'high'"),
        (lambda: SliceLoop(registration="elastix"), "registration is 'elastix'"),
        (lambda: SliceLoop(threads=0), "threads=0"),
        (lambda: SliceUser(weight=2), "weight is 2"),
        (lambda: method(steps=0), "steps=0"),
        (lambda: method(samples=-1), "samples=-1"),
        (lambda: method(smoothing_floor=3), "smoothing_floor=3"),
        (lambda: VolumeDice(every=0), "every=0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
