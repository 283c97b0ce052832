import pytest
import torch

from interseg.classical import METHODS
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from lightning_modules.classical import Classical
from tests.helpers.drawing import draw_ellipse


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("long_side", [None, 40])
def test_a_batch_is_segmented_object_by_object(method, long_side):
    pairs = [draw_ellipse(seed) for seed in (0, 1)]
    batch = {
        "image": torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _ in pairs]),
        "clicks": pad_clicks([clicks_of([(24, 30, 1)]), clicks_of([(24, 30, 1), (5, 55, 0)])]),
        "previous": torch.zeros(2, 48, 64, dtype=torch.bool),
    }
    logits = Classical(method, long_side=long_side).segment(batch)
    assert logits.shape == (2, 1, 48, 64)
    assert torch.isfinite(logits).all()
    truth = torch.stack([torch.from_numpy(mask) for _, mask in pairs]).bool()
    assert ((logits[:, 0] > 0) == truth).float().mean() > (0.95 if long_side is None else 0.9)


def test_an_unknown_method_and_a_missing_key_are_named():
    with pytest.raises(
        InputError, match="method is 'watershed'; use one of random_walker, grabcut"
    ):
        Classical("watershed")
    with pytest.raises(ValueError, match="no 'clicks'"):
        Classical("geodesic").segment({"image": torch.zeros(1, 3, 4, 4)})
