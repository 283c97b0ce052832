import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from datamodules.coco_source import CocoSource
from interseg.errors import InputError
from interseg.masks import CocoWriter, draw_ids, write_ids
from tests.helpers.drawing import draw, write


def test_later_masks_are_drawn_over_earlier_ones():
    one, two = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    one[:3], two[2:] = True, True
    assert draw_ids([one, two]).tolist() == [[1] * 5, [1] * 5, [2] * 5, [2] * 5]
    for count, last in ((254, 254), (255, 256), (256, 256)):
        rows = [np.eye(count, dtype=bool)[i][None] for i in range(count)]
        assert draw_ids(rows).max() == last, "255 as the largest id is ignored"


@pytest.mark.parametrize(
    ("count", "depth"), [(3, np.uint8), (254, np.uint8), (255, np.uint16), (3000, np.uint16)]
)
def test_ids_are_read_back_whatever_their_number(count, depth, tmp_path):
    ids = np.arange(60 * 60).reshape(60, 60) % (count + 1)
    write_ids(tmp_path / "masks" / "a.png", ids)
    with Image.open(tmp_path / "masks" / "a.png") as file:
        pixels = np.array(file)
    assert np.array_equal(pixels, ids)
    assert pixels.dtype == depth
    with pytest.raises(InputError, match="70000 objects are more than a PNG's"):
        write_ids(tmp_path / "b.png", np.array([[70000]]))


def test_a_coco_file_is_read_back_by_the_reader_of_coco_files(tmp_path):
    image, ids = draw(0)
    write(tmp_path / "a.jpg", image)
    written = CocoWriter()
    number = written.add_image("a.jpg", ids.shape)
    for id, name in ((1, "cat"), (2, "dog")):
        written.add(number, ids == id, name, name=f"object {id}")
    written.write(tmp_path / "annotations.json")
    source = CocoSource(tmp_path / "annotations.json", tmp_path)
    assert len(source) == 2
    for index in range(2):
        assert np.array_equal(source.read(index).mask == 1, ids == index + 1)
    rows = json.loads((tmp_path / "annotations.json").read_text())["annotations"]
    assert [row["area"] for row in rows] == [int((ids == 1).sum()), int((ids == 2).sum())]
    assert np.array_equal(coco_mask.decode(rows[0]["segmentation"]), ids == 1)
    y, x = np.nonzero(ids == 1)
    assert rows[0]["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
