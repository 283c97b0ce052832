"""Kept features: computed once by whoever comes first, told apart by what was seen, within a
limit.
"""

import errno
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from interseg import features
from interseg.errors import InputError
from interseg.features import FeatureStore, cache_folder, key_of
from interseg.files import whole

IMAGES = (torch.arange(4 * 3 * 6 * 8).view(4, 3, 6, 8) % 256) / 255


class Counted:
    """An encoder of two levels that counts the photos that it was shown."""

    def __init__(self):
        self.count = 0

    def __call__(self, images):
        self.count += len(images)
        return [images.mean(1, keepdim=True) * 3, images[:, :, ::2, ::2] / 7]


def wanted(images):
    return [level.half().to(images.dtype) for level in Counted()(images)]


@pytest.fixture(params=["disk", "memory"])
def folder(request, tmp_path):
    return tmp_path if request.param == "disk" else None


def test_a_photo_is_encoded_once_and_given_back_in_half_precision(folder):
    store, encode = FeatureStore("a", folder), Counted()
    first, new = store.features(IMAGES[[0, 1, 0]], encode)
    assert (new, encode.count) == (2, 2), "twice in a batch is once"
    second, new = store.features(IMAGES[[2, 1, 0]], encode)
    assert (new, encode.count) == (1, 3)
    for found, rows in ((first, [0, 1, 0]), (second, [2, 1, 0])):
        for level, true in zip(found, wanted(IMAGES[rows]), strict=True):
            assert level.dtype == torch.float32
            assert torch.equal(level, true), "as rounded when it was new as when it was kept"


def test_what_was_filled_before_is_found_by_the_next_run(tmp_path):
    encode = Counted()
    FeatureStore("a", tmp_path).features(IMAGES[:2], encode)
    again = FeatureStore("a", tmp_path)
    assert again.bytes > 0
    _, new = again.features(IMAGES, encode)
    assert (new, encode.count) == (2, 4)


def test_another_encoder_view_or_flip_has_entries_of_its_own(folder):
    store, encode = FeatureStore("a", folder), Counted()
    store.features(IMAGES[:1], encode)
    assert store.features(IMAGES[:1].flip(-1), encode)[1] == 1
    assert store.features(IMAGES[:1, :, :4], encode)[1] == 1
    assert FeatureStore("b", folder).features(IMAGES[:1], encode)[1] == 1
    assert store.features(IMAGES[:1], encode)[1] == 0


def test_a_key_depends_on_pixels_and_size_alone():
    image = IMAGES[0]
    assert key_of(image) == key_of(image.double()) == key_of(image + 1e-4)
    assert key_of(image) != key_of(image.view(3, 8, 6))
    changed = image.clone()
    changed[1, 2, 3] += 1 / 255
    assert key_of(changed) != key_of(image)


def test_a_damaged_entry_is_encoded_again(tmp_path):
    encode, store = Counted(), FeatureStore("a", tmp_path)
    store.features(IMAGES[:1], encode)
    (entry,) = (tmp_path / "a").glob("??/*.safetensors")
    entry.write_bytes(entry.read_bytes()[:50])
    found, new = store.features(IMAGES[:1], encode)
    assert new == 1
    assert torch.equal(found[0], wanted(IMAGES[:1])[0])
    assert FeatureStore("a", tmp_path).features(IMAGES[:1], encode)[1] == 0


def test_an_entry_stays_where_the_disk_fails_to_give_it(tmp_path, monkeypatch):
    encode, store = Counted(), FeatureStore("a", tmp_path)
    store.features(IMAGES[:1], encode)
    (entry,) = (tmp_path / "a").glob("??/*.safetensors")

    def fail(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(features, "load_file", fail)
    before, kept = entry.stat().st_mtime_ns, store.bytes
    assert store.features(IMAGES[:1], encode)[1] == 1
    assert (entry.stat().st_mtime_ns, store.bytes) == (before, kept)


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    FeatureStore("a", tmp_path).features(IMAGES[:1], Counted())
    (entry,) = (tmp_path / "a").glob("??/*.safetensors")
    with whole(entry) as old, whole(entry.with_name("b.safetensors")) as new:
        old.write_bytes(b"half")
        new.write_bytes(b"half")
        os.utime(old, (0, 0))
        FeatureStore("a", tmp_path)
        assert not old.exists()
        assert new.exists()
        old.write_bytes(entry.read_bytes())


def test_what_comes_after_the_limit_is_given_but_not_kept(folder):
    entry = 2 * (6 * 8 + 3 * 3 * 4)
    encode, store = Counted(), FeatureStore("a", folder, limit=2.5 * entry / 1e9)
    found, new = store.features(IMAGES, encode)
    assert new == 4
    assert store.full
    assert torch.equal(found[1], wanted(IMAGES)[1])
    assert store.bytes == 2 * entry
    assert store.features(IMAGES, encode)[1] == 2


def fill(folder, rows, barrier, counts):
    encode, store = Counted(), FeatureStore("a", folder)
    barrier.wait()
    for _ in range(20):
        for row in rows:
            found, _ = store.features(IMAGES[[row]], encode)
            assert torch.equal(found[0], wanted(IMAGES[[row]])[0])
    counts.put(encode.count)


def test_two_processes_fill_one_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, counts = context.Barrier(2), context.Queue()
    rows = ([0, 1, 2, 3], [3, 2, 1, 0])
    others = [context.Process(target=fill, args=(tmp_path, part, barrier, counts)) for part in rows]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
        assert other.exitcode == 0
    assert counts.get() + counts.get() <= 8
    encode = Counted()
    assert FeatureStore("a", tmp_path).features(IMAGES, encode)[1] == 0
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".safetensors"
    ], "no part of a file is left"


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"file.* cannot be written .*; give another folder of features, or null"
    ):
        FeatureStore("a", tmp_path / "file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == Path(tmp_path, "interseg", "features")
