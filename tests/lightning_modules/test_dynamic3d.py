"""Dynamic learning of volumes: loss, settings."""

import pytest
import torch

from callbacks.dice import VolumeDice
from callbacks.slice_loop import SliceLoop
from interseg.errors import InputError
from interseg.losses import weighted_cross_entropy_and_dice
from interseg.volumes.users import SliceUser
from tests.helpers.volume_streams import method


def test_the_loss_is_entropy_and_dice_with_the_same_weights():
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


def test_a_volume_has_more_voxels_than_half_precision_counts():
    logits = torch.randn(1, 1, 30, 55, 55, generator=torch.Generator().manual_seed(0)).half()
    given = logits, (logits > 0.5).half(), torch.ones_like(logits)
    loss = weighted_cross_entropy_and_dice(*given)
    assert torch.isfinite(loss)
    assert torch.equal(loss, weighted_cross_entropy_and_dice(*(part.float() for part in given)))


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
