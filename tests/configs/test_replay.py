"""Evaluations that are played again give the answers that were measured."""

import re

import numpy as np
import pytest

from configs.replay import answer_again, digest_evaluated, evaluated_file, evaluated_method
from datamodules.folder import FolderDataModule
from interseg.checkpoints import digest
from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation
from interseg.evaluation.drawing import jpeg, overlay
from interseg.evaluation.overlap import iou
from tests.helpers.commands import TINY, called
from tests.helpers.drawing import draw_folder


def test_pages_draw_the_answers_that_were_measured(tmp_path):
    draw_folder(tmp_path / "data", 1)
    line = [
        "--trust",
        "tests",
        "--config",
        "small.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={tmp_path / 'data'}",
    ]
    line += [
        "model.network={_target_: tests.helpers.tiny_network.TinyNetwork}",
        *TINY,
        "max_clicks=3",
        "callbacks.report=null",
    ]
    for seed in (3, 4):
        result = called("evaluate.py", *line, f"seed={seed}", f"run={tmp_path / str(seed)}")
        assert result.returncode == 0, result.stderr
    page = tmp_path / "compare.html"
    given = [f"{name}={tmp_path / str(seed)}" for name, seed in (("a", 3), ("b", 4))]
    result = called("compare.py", *given, "--trust", "tests", "--out", page)
    assert result.returncode == 0, result.stderr
    drawn = set(re.findall(r"base64,([^\"]+)\"", page.read_text()))
    source, seen = FolderDataModule(str(tmp_path / "data")).source("test"), 0
    for seed in (3, 4):
        run = Evaluation(tmp_path / str(seed))
        method = evaluated_method(run.folder, run.config, ["tests"])
        for index in range(len(source)):
            sample = source.read(index)
            mask = answer_again(method, sample.image, run.clicks[index], index)
            assert iou(mask, sample.mask) == pytest.approx(run.curves[index, -1], abs=1e-6)
            seen += (
                jpeg(
                    overlay(
                        sample.image,
                        mask,
                        run.clicks[index],
                        sample.mask,
                        220 / sample.image.shape[0],
                    )
                )
                in drawn
            )
    assert seen == len(drawn) > 0
    text = page.read_text()
    assert text.index("noc@") < text.index("clicked_wrong")
    called("compare.py", *given, "--trust", "tests", "--out", page, "--clicks-only")
    assert set(re.findall(r"base64,([^\"]+)\"", page.read_text())) != drawn


def test_what_a_person_drew_is_not_answered_again(tmp_path):
    config = {"name": "person", "seed": 0, "max_clicks": 20, "data": {"_target_": "a.B"}}
    with pytest.raises(InputError, match=r"holds what a person drew"):
        evaluated_method(tmp_path, config, [])


def test_the_checkpoint_of_an_earlier_versions_evaluation_is_known():
    digits = "0" * 63 + "a"
    assert digest_evaluated({"evaluated": digits, "weights": None}) == digits
    assert digest_evaluated({"evaluated": None, "weights": digits}) == digits
    assert digest_evaluated({"evaluated": None, "weights": "runs/a"}) is None
    assert digest_evaluated({}) is None


def test_a_checkpoint_is_found_by_its_content(tmp_path):
    folder = tmp_path / "run" / "evaluations" / "now"
    folder.mkdir(parents=True)
    (tmp_path / "run" / "checkpoints").mkdir()
    for name in ("a", "b"):
        (tmp_path / "run" / "checkpoints" / f"{name}.ckpt").write_bytes(
            np.arange(ord(name), dtype=np.uint8).tobytes()
        )
    wanted = tmp_path / "run" / "checkpoints" / "b.ckpt"
    assert evaluated_file(folder, digest(wanted)) == wanted.resolve()
    wanted.write_bytes(b"later")
    with pytest.raises(InputError, match="is not beside it"):
        evaluated_file(folder, digest(tmp_path / "run" / "checkpoints" / "a.ckpt")[::-1])
