"""Which box of an image is shown, and how long it is kept."""

import numpy as np
import pytest
import yaml

from configs import FOLDER
from interseg.clicks.layout import clicks_of
from interseg.errors import InputError
from interseg.inference.zoom import ZoomIn, zoom_of
from interseg.views import Box


def test_the_box_is_kept_until_it_no_longer_fits():
    zoom, mask = ZoomIn(min_crop=4), np.zeros((100, 100), bool)
    mask[20:40, 20:40] = True
    one, two = clicks_of([(30, 30, 1)]), clicks_of([(30, 30, 1), (90, 90, 0)])
    assert zoom.box(mask, one, None) is None  # the first click is answered from the whole image
    assert zoom.box(mask & False, two, None) is None
    box = zoom.box(mask, two, None)
    assert box == Box(16, 16, 45, 45)  # centre 29.5, half of 28 rows, and the last row itself
    grown = mask.copy()
    grown[20:44, 20:44] = True
    assert zoom.box(grown, two, box) == box
    grown[20:80, 20:80] = True
    assert zoom.box(grown, two, box) == zoom.box_round(grown, two) != box
    far = clicks_of([(30, 30, 1), (70, 30, 1)])
    assert zoom.box(mask, far, box).holds(70, 30)
    assert ZoomIn().box(mask, two, None) == Box(0, 0, 100, 100)


@pytest.mark.parametrize("options", [{"expansion": 0.5}, {"long_side": 0}, {"min_crop": 0}])
def test_values_below_one_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=rf"{name}={value}\b.*each is at least 1"):
        ZoomIn(**options)


def test_true_is_the_zoom_of_the_shipped_config():
    node = yaml.safe_load((FOLDER / "zoom.yaml").read_text())["zoom"]
    assert vars(zoom_of(True)) == {key: node[key] for key in vars(ZoomIn())}
    given = ZoomIn(min_crop=7)
    assert (zoom_of(None), zoom_of(False), zoom_of(given)) == (None, None, given)
    with pytest.raises(InputError, match="zoom is 300; give zoom=true"):
        zoom_of(300)
