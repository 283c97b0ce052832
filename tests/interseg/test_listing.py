"""Names of files: what counts as an image, and what is left out."""

import os
import unicodedata
from pathlib import Path

import pytest

from interseg.errors import InputError
from interseg.listing import (
    LABEL_SUFFIXES,
    list_images,
    list_photos,
    name_some,
    plain_name,
)


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
    ]
    assert found.folders == ["below"]
    assert list(list_images(tmp_path, LABEL_SUFFIXES).files) == ["a", "b", "n"]
    nested = list_images(tmp_path, nested=True)
    assert list(nested.files) == ["a", "b", "below/d"]
    assert len(nested.left_out) == 1
    assert not nested.folders


def test_folders_behind_links_are_listed_once(tmp_path):
    (tmp_path / "photos" / "own").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.png").touch()
    (tmp_path / "photos" / "own" / "b.png").touch()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "photos" / "alias").symlink_to(tmp_path / "photos" / "own")
    (tmp_path / "photos" / "up").symlink_to(tmp_path)
    (tmp_path / "store" / "round").symlink_to(tmp_path / "photos")
    assert list(list_images(tmp_path / "photos", nested=True).files) == ["linked/a", "own/b"]


def test_names_that_tables_cannot_hold_are_left_out_and_told(tmp_path):
    for name in (b"a.png", b"caf\xe9.png"):
        open(os.path.join(os.fsencode(tmp_path), name), "wb").close()
    found = list_images(tmp_path)
    assert list(found.files) == ["a"]
    (line,) = found.left_out
    assert "that are not UTF-8; rename them: 1 ('caf\\udce9.png')" in line
    line.encode()


def test_photos_are_listed_without_links_that_lead_out(tmp_path):
    (tmp_path / "photos" / "below").mkdir(parents=True)
    (tmp_path / "b.png").touch()
    (tmp_path / "photos" / "a.png").touch()
    (tmp_path / "photos" / "b.png").symlink_to(tmp_path / "b.png")
    files, notes = list_photos(tmp_path / "photos")
    assert files == {"a.png": tmp_path / "photos" / "a.png"}
    assert notes[0] == "folders in photos/: 1 (below)"
    assert notes[1].endswith(f"b.png leads out of {tmp_path / 'photos'}")
    with pytest.raises(InputError, match="holds no photos"):
        list_photos(tmp_path / "photos" / "below")
    with pytest.raises(InputError, match="there is no folder"):
        list_photos(tmp_path / "none")


def test_a_line_names_the_first_of_its_kind():
    assert name_some("masks", []) == []
    assert name_some("masks", "abc") == ["masks: 3 (a, b, c)"]
    assert name_some("masks", "abcd") == ["masks: 4 (a, b, c, ...)"]
