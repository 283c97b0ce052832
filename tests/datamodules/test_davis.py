"""DAVIS 2016 with initial masks, drawn in miniature."""

import numpy as np
import pytest

from configs import build, load, resolve
from datamodules.davis import DavisDataModule
from interseg.evaluation.overlap import iou
from tests.helpers.drawing import draw, write


@pytest.fixture
def davis(tmp_path):
    """Draw two videos of three frames; the initial mask of frame k is shifted by 4 k pixels.

    The object is not in one frame of the second video.
    """
    for v, video in enumerate(("bear", "swan")):
        for frame in range(3):
            image, ids = draw(v, objects=1)
            if (v, frame) == (1, 2):
                ids[:] = 0
            write(tmp_path / "JPEGImages" / "480p" / video / f"{frame:05d}.jpg", image)
            write(
                tmp_path / "Annotations" / "480p" / video / f"{frame:05d}.png",
                (ids > 0).astype(np.uint8) * 255,
            )
            write(
                tmp_path / "initial" / video / f"{frame:05d}.png",
                np.roll(ids > 0, 4 * frame, 1).astype(np.uint8) * 255,
            )
    (tmp_path / "ImageSets" / "2016").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2016" / "val.txt").write_text("bear\nswan\n")
    return tmp_path


def test_davis_gives_the_worst_initial_masks_of_each_video(davis):
    source = DavisDataModule(str(davis)).source("test")
    assert [source.name(i) for i in range(len(source))] == ["bear/00002.jpg", "swan/00001.jpg"]
    sample = source.read(0)
    truth = draw(0, objects=1)[1] > 0
    assert np.array_equal(sample.mask == 1, truth)
    assert np.array_equal(sample.previous, np.roll(truth, 8, 1))
    assert 0 < iou(sample.previous, sample.mask) < 1
    assert len(DavisDataModule(str(davis), worst=None).source("test")) == 5
    lines = [
        f"/JPEGImages/480p/bear/{i:05d}.jpg /Annotations/480p/bear/{i:05d}.png" for i in range(3)
    ]
    (davis / "ImageSets" / "480p").mkdir()
    (davis / "ImageSets" / "480p" / "val.txt").write_text("\n".join(lines))
    assert len(DavisDataModule(str(davis), worst=None).source("test")) == 3


def test_what_systems_leave_and_photos_that_are_cut_do_not_stop_the_others(davis):
    (davis / "Annotations" / "480p" / "bear" / "._00000.png").touch()
    (davis / "JPEGImages" / "480p" / "bear" / "00001.jpg").write_bytes(b"cut")
    source = DavisDataModule(str(davis), worst=None).source("test")
    assert len(source) == 4
    (line,) = source.problems
    assert "bear/00001.jpg" in line


def test_initial_masks_reach_the_batch_and_bad_ones_are_named(davis):
    data = DavisDataModule(
        str(davis), loading=build(resolve(load([], ["loading.num_workers=0"]))["loading"])
    )
    (batch,) = list(data.test_dataloader())
    assert batch["previous"].shape == (2, 72, 96)
    assert batch["previous"].any()
    write(davis / "initial" / "bear" / "00002.png", np.ones((5, 5), np.uint8))
    (davis / "initial" / "swan" / "00001.png").unlink()
    source = DavisDataModule(str(davis)).source("test")
    assert [source.name(i) for i in range(len(source))] == ["bear/00001.jpg", "swan/00000.jpg"]
    assert "initial masks have the frame's size" in source.problems[0]
    assert "00001.png does not exist" in source.problems[1]
