"""Mistakes that a person can mend: one line, and exit code two."""

import pytest

from tests.helpers.commands import called

CLASSICAL = ["--config", "classical/grabcut.yaml", "--config", "data/samples.yaml"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train.py", ["--config", "itis.yaml"], "PASCAL VOC 2012 is expected in"),
        ("train.py", [], "no model is configured"),
        ("train.py", ["--config", "itis.yaml", "trainer.max_epoch=2"], "did you mean max_epochs?"),
        (
            "train.py",
            ["--config", "small.yaml", "--config", "data/samples.yaml", "logger=tensorboard"],
            "logger is 'tensorboard'",
        ),
        (
            "train.py",
            ["--config", "small.yaml", "--config", "data/samples.yaml", "run=/proc/no/run"],
            "cannot be written",
        ),
        ("evaluate.py", ["--checkpoint", "nowhere"], "nowhere is no run"),
        ("evaluate.py", [*CLASSICAL, "refiner=brs"], "Classical has no click network"),
        (
            "train.py",
            ["--config", "small.yaml", "--config", "data/samples.yaml", "model.cascade=1"],
            "networks that read the probabilities",
        ),
        ("evaluate.py", [*CLASSICAL, "refiner=newton"], "refiner is 'newton'; use one of brs"),
        (
            "evaluate.py",
            [*CLASSICAL, "refiner.weight=1"],
            "refiner is {'weight': 1}; use one of brs",
        ),
        ("evaluate.py", [*CLASSICAL, "zoom.long_side=300"], "give zoom=true, or"),
        ("compare.py", ["nowhere"], "nowhere holds no finished evaluation"),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_exit_code_two(name, arguments, message, tmp_path):
    result = called(name, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stderr
