"""Names of files: what counts as an image, and what is left out."""

import unicodedata
from pathlib import Path

import pytest

from interseg.listing import LABEL_SUFFIXES, list_images, name_some, plain_name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.png", "a"),
        ("a.jpg.png", "a"),
        ("a.2020.png", "a.2020"),
        ("a.png.jpg.png", "a.png"),
        ("in/a.JPG", "in/a"),
        (unicodedata.normalize("NFD", "é.png"), "é"),
    ],
)
def test_a_name_is_without_suffix_and_in_one_form(file, name):
    assert plain_name(Path(file)) == name


def test_a_folder_is_listed_with_what_is_left_out(tmp_path):
    (tmp_path / "below" / ".hidden").mkdir(parents=True)
    files = (
        "b.PNG",
        "a.jpg",
        ".c.png",
        "._a.jpg",
        "n.npy",
        "1.txt",
        "2.txt",
        "3.txt",
        "4.txt",
        "below/d.gif",
        "below/.hidden/e.png",
    )
    for name in files:
        (tmp_path / name).touch()
    found = list_images(tmp_path)
    assert list(found.files) == ["a", "b"]
    assert found.left_out == [
        f"files in {tmp_path.name}/ that are no images by their suffix: "
        "5 (1.txt, 2.txt, 3.txt, ...)",
        f"folders in {tmp_path.name}/, which data.nested=true reads: 1 (below)",
    ]
    assert list(list_images(tmp_path, LABEL_SUFFIXES).files) == ["a", "b", "n"]
    nested = list_images(tmp_path, nested=True)
    assert list(nested.files) == ["a", "b", "below/d"]
    assert len(nested.left_out) == 1


def test_a_line_names_the_first_of_its_kind():
    assert name_some("masks", []) == []
    assert name_some("masks", "abc") == ["masks: 3 (a, b, c)"]
    assert name_some("masks", "abcd") == ["masks: 4 (a, b, c, ...)"]
