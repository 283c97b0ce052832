"""The command for a GPU, at a tiny size on the CPU: every line is a real measurement."""

import runpy
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from interseg.checkpoints import read_checkpoint
from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw_folder


def run_module(line):
    """A measurement in this process."""
    out = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(sys, "argv", list(line))
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(line[0], run_name="__main__")
    return ended.value.code or 0, out.getvalue(), ""


def done(proof, script, *line):
    """A command in this process."""
    if not proof.exists():
        result = called(script, *line)
        assert result.returncode == 0, result.stderr
        proof.touch()


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "run_module", run_module)
    monkeypatch.setattr(gpu, "run_once", done)
    threads = torch.get_num_threads()
    root = draw_folder(tmp_path / "data", 4)
    small = [*tiny("itis/once.yaml"), f"loading.augment={CROP[0]}", "max_clicks=3"]
    small += ["callbacks.report=null"]
    sizes = [
        "--batch",
        "2",
        "--workers",
        "0",
        "--sizes",
        "2",
        "--objects",
        "2",
        "--steps",
        "4",
        "--eager",
        "--accelerator",
        "cpu",
    ]
    yield [
        str(tmp_path / "out"),
        "--data",
        f"--config data/folder.yaml data.root={root}",
        *sizes,
        *small,
    ]
    torch.set_num_threads(threads)


def call(monkeypatch, *line):
    monkeypatch.setattr(sys, "argv", ["gpu", *line])
    gpu.main()


def test_rows_are_measured_and_what_is_trained_is_played_and_written(words, monkeypatch, tmp_path):
    rows = ["--rows", "one, bfloat16", "click, bfloat16", "kept"]
    monkeypatch.setattr(gpu, "COMPILED", [])
    call(monkeypatch, *words, "--minutes", "0.02", "--name", "trained", *rows)
    page = (tmp_path / "out" / "gpu.md").read_text()
    assert "failed" not in page
    assert page.count("objects a second") == 2
    assert "ratio" in page
    assert "encoding" in page
    assert "fine-tuned" in page
    assert "| noc@85 |" in page
    steps = int((tmp_path / "out" / "steps").read_text())
    assert f"trainer.max_steps={steps}`" in page
    assert (
        read_checkpoint(tmp_path / "out" / "run" / "checkpoints" / "last.ckpt")["global_step"]
        == steps
    )
    assert {
        value.dtype
        for value in read_checkpoint(tmp_path / "out" / "trained.ckpt")["state_dict"].values()
    } <= {torch.half, torch.uint8}
    monkeypatch.setattr(gpu, "run_module", None)
    monkeypatch.setattr(
        gpu,
        "run_once",
        lambda proof, *line: pytest.fail("done already") if not proof.exists() else None,
    )
    call(monkeypatch, *words, "--minutes", "0.02", "--name", "trained", *rows)
    assert (tmp_path / "out" / "gpu.md").read_text() == page


def test_a_measurement_that_fails_is_named_on_the_page(tmp_path):
    page = gpu.measure_row(tmp_path, "a click", ["json.tool", "--no-such-option"])
    assert "failed: " in page
    assert "--no-such-option" in page
    assert not [*Path(tmp_path).iterdir()]
