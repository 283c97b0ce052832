"""Downloads of archives: once, checked, and with a hint where none is possible."""

import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datamodules import downloads
from datamodules.davis import DavisDataModule
from datamodules.downloads import SBD, expect
from datamodules.kitti import KittiDataModule
from datamodules.pascal import PascalDataModule
from datamodules.sbd import SbdDataModule
from interseg.errors import InputError


def test_a_closed_machine_is_told_what_to_put_where(tmp_path, monkeypatch):
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    with pytest.raises(
        InputError,
        match=(
            r"VOCdevkit/VOC2012 and could not be "
            r"downloaded.*VOCtrainval_11-May-2012.*data/samples.yaml needs no"
        ),
    ):
        PascalDataModule(str(tmp_path / "new")).prepare_data()
    with pytest.raises(InputError, match=r"benchmark.tgz"):
        SbdDataModule(str(tmp_path / "new")).prepare_data()
    with pytest.raises(InputError, match=r"VOCdevkit"):
        PascalDataModule(str(tmp_path / "new")).source("train")
    for module in (SbdDataModule, KittiDataModule, DavisDataModule):
        with pytest.raises(InputError, match=r"nowhere.*data.root=PATH"):
            module(str(tmp_path / "nowhere")).source("test")


def test_an_archive_is_fetched_once_and_its_sizes_are_checked(tmp_path, monkeypatch, capsys):
    fetched = []

    def download(url, root, name, md5):
        fetched.append((url, md5))
        (tmp_path / "made").mkdir()
        with tarfile.open(Path(root) / name, "w:gz") as archive:
            archive.add(tmp_path / "made", "benchmark_RELEASE/dataset")

    monkeypatch.setattr(downloads, "download_url", download)
    wanted = tmp_path / "benchmark_RELEASE" / "dataset"
    SBD.fetch(tmp_path, wanted, lambda: None)
    SBD.fetch(tmp_path, wanted, lambda: None)
    assert fetched == [(SBD.url, SBD.md5)]
    assert f"downloading {SBD.url}" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"train.txt lists 3 images, 8498 were published"):
        expect(SBD.what, {"train.txt": (3, 8498)})


def test_an_archive_appears_when_all_of_it_is_unpacked(tmp_path):
    (tmp_path / "new" / "devkit" / "2007").mkdir(parents=True)
    (tmp_path / "photo").write_bytes(bytes(range(256)) * 400)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("devkit/2012/a", "devkit/2012/b"):
            archive.add(tmp_path / "photo", name)
    cut = (tmp_path / "a.tar").read_bytes()[:150_000]
    (tmp_path / "cut.tar").write_bytes(cut)
    with pytest.raises(tarfile.ReadError):
        downloads.unpack(tmp_path / "cut.tar", tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["devkit", "2007"]
    downloads.unpack(tmp_path / "a.tar", tmp_path / "new")
    found = {path.name for path in (tmp_path / "new").rglob("*")}
    assert found == {"devkit", "2007", "2012", "a", "b"}


def test_who_waits_for_a_lock_that_is_removed_takes_the_next(tmp_path):
    path, held, most = tmp_path / "new" / ".lock", [], []

    def hold(_):
        with downloads.hold_lock(path):
            held.append(1)
            most.append(len(held))
            assert path.exists()
            time.sleep(0.01)
            held.pop()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(hold, range(18)))
    assert most == [1] * 18
    assert list(path.parent.iterdir()) == []
