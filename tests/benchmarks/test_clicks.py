"""Benchmarks of clicks: rows are trained for equal times, tables are right."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import (
    equal_time,
    first_click,
    methods,
    refinement,
    rounds,
    training_step,
    two_in_one,
)
from configs import load, resolve
from configs.options import parser
from lightning_modules.itis import ITIS
from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw_folder


def test_an_objects_seeds_count_once():
    leads = two_in_one.mean_of_each(np.array([4, 1, 4, 1, 2]), np.array([1.0, 2, 3, 4, 9]))
    assert leads.tolist() == [3, 9, 2]


def test_inner_rounds_and_memory_are_compared_at_equal_time(monkeypatch, tmp_path, capsys):
    took, runs, probes = {"memory": 0.5, "inner_rounds": 2.0}, {}, set()

    def done(proof, script, *words):
        run = Path(next(word.removeprefix("run=") for word in words if word.startswith("run=")))
        run.mkdir(parents=True, exist_ok=True)
        if script == "evaluate.py":
            (run / "report.json").write_text(json.dumps(dict.fromkeys(rounds.FIGURES, 3.5)))
            return
        if run.name.endswith("-probe"):
            probes.add((run.name, words))
        options = parser("").parse_intermixed_args(list(words))
        config = resolve(load(options.config, options.overrides))
        runs[run.name] = steps = (
            config["trainer"]["max_steps"],
            config["callbacks"]["loop"],
            config["model"]["loss"],
            config["loading"],
        )
        elapsed = {"time_elapsed": {"train": steps[0] * took[run.name.rpartition("-")[0]]}}
        (run / "checkpoints").mkdir(exist_ok=True)
        torch.save(
            {"global_step": steps[0], "callbacks": {"Timer": elapsed}},
            run / "checkpoints" / "last.ckpt",
        )

    monkeypatch.setattr(equal_time, "run_once", done)
    words = [
        "--rows",
        "memory",
        "inner rounds",
        "--minutes",
        "2",
        "--seeds",
        "2",
        "--data",
        "--config data/samples.yaml",
    ]
    monkeypatch.setattr(sys, "argv", ["rounds", str(tmp_path), *words])
    rounds.main()
    assert len(probes) == 2, "one a row: another line would be refused in its folder"
    assert {name: run[0] for name, run in runs.items() if "probe" not in name} == {
        **dict.fromkeys(("memory-0", "memory-1"), 240),
        **dict.fromkeys(("inner_rounds-0", "inner_rounds-1"), 60),
    }
    (_, memory, loss, loading) = runs["memory-0"]
    (_, inner, other_loss, other) = runs["inner_rounds-0"]
    assert (memory["iterative"], memory["inner_rounds"]) == (True, 0)
    assert (inner["iterative"], inner["inner_rounds"]) == (False, 3)
    assert loss == other_loss
    assert (loading["initial"]["_target_"], other["initial"]["_target_"]) == (
        "interseg.clicks.initial.InitialClicks",
        "interseg.clicks.initial.RitmInitialClicks",
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| memory | 240 ± 0 | 120 ± 0 | 3.5 ± 0 |")
    assert lines[3].startswith("| inner rounds | 60 ± 0 | 120 ± 0 |")


@pytest.mark.parametrize("crop", [[], ["callbacks.features.crop=0.5"]], ids=["whole", "parts"])
def test_a_step_on_kept_features_is_timed_against_encoding(crop, monkeypatch, tmp_path, capsys):
    trained = []
    segment = ITIS.segment
    monkeypatch.setattr(
        ITIS, "segment", lambda s, b: trained.append(b["image"].shape[-1]) or segment(s, b)
    )
    view = "loading.augment=[{_target_: albumentations.Resize, height: 64, width: 64}]"
    network = [
        f"model.network.{part}"
        for part in ("encoder=test_vit", "pretrained=null", "width=32", "outlines=8", "blocks=1")
    ]
    data = [
        "--config",
        "data/folder.yaml",
        f"data.root={draw_folder(tmp_path, 2)}",
        view,
        "loading.batch_size=2",
    ]
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "training_step",
            "--features",
            "--steps",
            "2",
            "--config",
            "itis/once.yaml",
            *data,
            *network,
            *crop,
        ],
    )
    training_step.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    found = {
        row[0]: [float(value) for value in row[1:]]
        for row in rows
        if row and row[0] in training_step.WAYS
    }
    assert list(found) == list(training_step.WAYS)
    assert found["kept"][1] == 1
    assert trained[:3] == ([32, 32, 64] if crop else [64] * 3), "kept, encoded, fine-tuned"
    assert all(seconds > 0 and ratio > 0 for seconds, ratio in found.values())


def test_methods_are_trained_alike_and_their_weights_counted(monkeypatch, tmp_path, capsys):
    made = []

    def done(proof, script, *words):
        if not proof.exists():
            made.append((script, words))
            assert called(script, *words).returncode == 0
            proof.touch()

    monkeypatch.setattr(equal_time, "run_once", done)
    monkeypatch.chdir(tmp_path)
    data = f"--config data/folder.yaml data.root={draw_folder(tmp_path / 'data', 2)}"
    tiny_words = [
        *tiny("ritm.yaml"),
        f"loading.augment={CROP[0]}",
        "model.long_side=64",
        "max_clicks=5",
        "callbacks.report=null",
        "logger=null",
    ]
    line = [
        "methods",
        str(tmp_path / "runs"),
        "--rows",
        "RITM",
        "--steps",
        "2",
        "--seeds",
        "2",
        "--data",
        data,
        *tiny_words,
    ]
    monkeypatch.setattr(sys, "argv", line)
    methods.main()
    assert [script for script, _ in made] == ["train.py", "evaluate.py"] * 2
    first = capsys.readouterr().out.splitlines()[-3:]
    methods.main()
    assert len(made) == 4, "what is finished is not done again"
    assert capsys.readouterr().out.splitlines()[-3:] == first
    heading, _, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in first)
    cells = dict(zip(heading, row, strict=True))
    assert cells["data"] == "folder"
    assert cells["steps"] == "2 ± 0"
    assert cells["weights (M)"] == cells["of them learned"] == "0.25"
    reports = [
        json.loads((tmp_path / "runs" / f"RITM-{seed}" / "test" / "report.json").read_text())
        for seed in (0, 1)
    ]
    assert (
        cells["mIoU@5"].split(" ± ")[0] == f"{sum(report['miou@5'] for report in reports) / 2:.4g}"
    )
    assert float(cells["seconds per click"].split()[0]) > 0
    monkeypatch.setattr(sys, "argv", [*line, "--first-seed", "1"])
    methods.main()
    row = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")[1:-1]]
    assert dict(zip(heading, row, strict=True))["steps"] == "2", "the second seed alone"


@pytest.mark.parametrize("row", methods.ROWS)
def test_every_row_of_the_methods_is_a_config_on_any_data(row):
    words = [*methods.ROWS[row], "--config", "benchmarks/sources.yaml", "data.root=somewhere"]
    options = parser("").parse_intermixed_args(words)
    config = resolve(load(options.config, options.overrides))
    assert config["data"]["_target_"] == "datamodules.joined.JoinedDataModule"
    assert config["model"]["_target_"] == "lightning_modules.itis.ITIS"
    assert config["callbacks"]["loop"].get("inner_rounds", 0) == (0 if row == "ITIS" else 3)


def test_time_or_steps_are_given(monkeypatch, tmp_path, capsys):
    for words in ([], ["--minutes", "1", "--steps", "2"]):
        monkeypatch.setattr(
            sys, "argv", ["methods", str(tmp_path), "--data", "--config data/samples.yaml", *words]
        )
        with pytest.raises(SystemExit):
            methods.main()
        assert "--minutes" in capsys.readouterr().err


def test_a_first_click_is_judged_under_its_threshold_and_the_best():
    mask = np.array([[1, 1, 1, 1], [0, 0, 0, 255]], np.uint8)
    probabilities = np.array([[0.9, 0.9, 0.35, 0.35], [0.6, 0.15, 0.0, 1.0]], np.float32)
    judged = first_click.judge(probabilities, mask)
    assert judged.share == pytest.approx(4 / 7)
    assert (judged.iou, judged.best_threshold) == (2 / 5, 4 / 5), (
        "2 of the object and 1 beside it; above .3 all 4"
    )
    assert (judged.precision, judged.recall, judged.area) == (2 / 3, 1 / 2, 3 / 4)
    nothing = first_click.judge(np.zeros((2, 4), np.float32), mask)
    assert (nothing.iou, nothing.best_threshold, nothing.precision, nothing.recall) == (0, 0, 0, 0)


def test_first_clicks_are_shown_by_the_size_of_the_object():
    judged = [first_click.Judged(share, share, 1, 1, 1, 1) for share in (0.5, 0.1, 0.3, 0.4, 0.2)]
    _, _, every, *quarters = first_click.table(judged).splitlines()
    assert every.startswith("| all | 5 | 0.300 | 0.300 |")
    assert [line.split("|")[2].strip() for line in quarters] == ["2", "1", "1", "1"]
    assert quarters[0].startswith("| quarter 1 | 2 | 0.150 |")
    assert quarters[3].startswith("| quarter 4 | 1 | 0.500 |")


def test_refinements_are_paired_by_the_iou_that_they_start_from(capsys):
    def played(noc, start):
        return SimpleNamespace(
            names=[f"{k} {k}.jpg" for k in range(4)],
            noc={"noc@85": np.array(noc, float)},
            curves=np.array([[value, 0.9] for value in start]),
        )

    starts, others = [0.3, 0.5, 0.9, 0.9], [0.45, 0.2, 1.0, 0.9]
    two_in_one.print_by_start(
        {
            "boundary": [played([9, 4, 1, 1], starts), played([6, 7, 1, 1], others)],
            "signed": [played([5, 4, 2, 3], starts), played([8, 5, 2, 3], others)],
        }
    )
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert rows[0][2:] == ["boundary", "signed", "signed fewer than boundary by"]
    assert rows[2:] == [
        ["0 to 0.4", "2 of 2", "8.00", "5.00", "+3.00 [-9.71, +15.71]"],
        ["0.4 to 0.6", "2 of 2", "5.00", "6.00", "-1.00 [-13.71, +11.71]"],
        ["0.8 to 1", "4 of 2", "1.00", "2.50", "-1.50 [-7.85, +4.85]"],
    ]


def test_a_forward_pass_stands_beside_its_refinements(capsys):
    figures = dict.fromkeys(("noc@85", "noc@90", "failures@90", "miou@5", "auc"), 0.5) | {
        "clicked": 8,
        "answers": 4,
    }
    forward = figures | {"clicked_wrong": 2, "network_seconds_per_click": 0.2}
    cost = {"refinements": 2, "refinement_evaluations": 5, "refinements_failed": 1}
    refinement.print_markdown(
        {
            "forward": forward,
            "brs": figures | cost | {"clicked_wrong": 0, "network_seconds_per_click": 0.3},
        }
    )
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert rows[2][6:] == ["75.00 %", "0 of 4", "0", "-", "1.00", "-"]
    assert rows[3][6:] == ["100.00 %", "2 of 4", "1", "2.5", "1.50", "1.00"]
