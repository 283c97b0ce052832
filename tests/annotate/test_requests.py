"""What the page sends: strokes of a brush, and the names of what is written."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from annotate.command import beside
from annotate.exported import files_of
from annotate.requests import stroke_of
from interseg.errors import InputError


@pytest.mark.parametrize("radius", [0.5, 0.9, 1, 3, 7.5])
def test_a_stroke_is_one_piece_as_wide_as_the_brush(radius):
    drawn = stroke_of({"points": [[5, 12], [40, 12], [30, 44]], "radius": radius}, (60, 60))
    assert cv2.connectedComponents(drawn.astype(np.uint8))[0] == 2
    assert drawn[5, 12] & drawn[20, 12] & drawn[30, 44]
    width = int(drawn[20, :30].sum())
    assert abs(width - max(1, 2 * radius)) <= 2
    assert stroke_of({"points": [[20, 20]], "radius": radius}, (60, 60))[20, 20]


def test_answers_lie_beside_what_is_annotated(tmp_path, monkeypatch):
    (tmp_path / "photos" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos" / "old")
    expected = {
        ".": tmp_path / "photos" / "old-annotated",
        "..": tmp_path / "photos-annotated",
        "../new": tmp_path / "photos" / "new-annotated",
    }
    for given, place in expected.items():
        assert beside(Path(given), lambda path: path.name).resolve() == place
    with pytest.raises(InputError, match="give the folder for the answers by --out"):
        beside(Path("/"), lambda path: path.name)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("frame.0001.jpg", "frame.0001"), ("a.jpg.png", "a"), ("day 1/b.c.d.tif", "day 1/b.c.d")],
)
def test_a_photo_with_a_dot_in_its_name_has_files_of_its_own(name, stem):
    mask, outlines = files_of(SimpleNamespace(out=Path("out")), name)
    assert mask == Path(f"out/masks/{stem}.png")
    assert outlines == Path(f"out/labelme/{stem}.json")
