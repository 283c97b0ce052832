"""Benchmarks: every row is a config, parts of an array share the runs, tables are right."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import (
    dynamic3d,
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
from interseg.files import write_table
from tests.helpers.commands import called, tiny
from tests.helpers.drawing import draw_folder

COLUMNS = [
    "permutation",
    "seen",
    "volume",
    "round",
    "kind",
    "dice",
    "proxy",
    "agreement",
    "labour",
    "slices",
    "touched",
]


@pytest.fixture
def made(monkeypatch):
    """Record the runs that a call makes, folder and words; each is marked as finished."""
    runs = []

    def done(proof, script, *words):
        if not proof.exists():
            runs.append((proof.parent, words))
            proof.parent.mkdir(parents=True)
            proof.touch()

    monkeypatch.setattr(dynamic3d, "run_once", done)
    return runs


def finish(name, permutation, root, rows):
    """Leave what a finished run of a row leaves."""
    folder = dynamic3d.run_folder(root, name, permutation)
    folder.mkdir()
    (folder / "finished").touch()
    write_table(folder / "dice.csv", COLUMNS, rows)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["dynamic3d", *map(str, words)])
    dynamic3d.main()


def test_every_row_is_a_config(made, monkeypatch, tmp_path):
    for part in ("0/2", "1/2"):
        data = "--config data/msd.yaml data.seed=3"
        call(
            monkeypatch,
            tmp_path,
            "--data",
            data,
            "--part",
            part,
            "--permutations",
            "2",
            "--steps",
            "5",
            "--first",
            "10",
            "20",
        )
    assert len(made) == len({folder for folder, _ in made}) == 2 * (len(dynamic3d.ROWS) + 2)
    for folder, words in made:
        options = parser("").parse_intermixed_args(list(words))
        config = resolve(load(options.config, options.overrides))
        rounds = 1 if config["callbacks"]["loop"]["user"] is None else 6
        assert config["data"]["seed"] == 3, "one split for all rows"
        if not folder.name.startswith("offline"):
            assert (config["model"]["steps"], config["model"]["more_steps"]) == (30 // rounds, 0)
        assert ("pretrained" in config["model"]) == folder.name.startswith(("warm", "after"))
        number = folder.name.rpartition("-")[2]
        prefix = {
            f"offline_first-{count}-{number}": [int(number), count] for count in (10, 20)
        }.get(folder.name)
        assert config["data"].get("prefix") == prefix


TABLE_1 = {  # epochs, replay, smoothing
    "offline": (100, False, False),
    "dynamic": (1, False, False),
    "dynamic, replay": (1, True, False),
    "dynamic, smoothing": (1, False, True),
    "dynamic, replay, smoothing": (1, True, True),
}
STREAM, VOLUME = "permutation", "volume"
# learned from, what begins anew, replay, smoothing, guided, confidence, registration, slices a
# plane, satisfied, rounds
OTHERS = {
    "interactive": ("rest", STREAM, False, False, False, "none", "dis", 1, None, 6),
    "interactive, replay": ("rest", STREAM, True, False, False, "none", "dis", 1, None, 6),
    "interactive, replay, weighted": (
        "rest",
        STREAM,
        True,
        False,
        False,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "interactive, replay, weighted, guided": (
        "rest",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "interactive, replay, weighted, guided, smoothing": (
        "rest",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "interactive, replay, weighted, guided, smoothing, 2 + 2": (
        "rest",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        2,
        None,
        6,
    ),
    "cold": ("held_out", VOLUME, True, False, False, "none", "dis", 1, None, 6),
    "cold, guided": ("held_out", VOLUME, True, False, True, "none", "dis", 1, None, 6),
    "cold, guided, weighted": ("held_out", VOLUME, True, False, True, "step", "dis", 1, None, 6),
    "warm, guided": ("held_out", VOLUME, True, False, True, "none", "dis", 1, None, 6),
    "warm, guided, weighted": ("held_out", VOLUME, True, False, True, "step", "dis", 1, None, 6),
    "cold, guided, weighted, as a stream": (
        "held_out",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "warm, guided, weighted, as a stream": (
        "held_out",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "after interaction, as a stream": (
        "held_out",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "after 2 + 2, as a stream, 2 + 2": (
        "held_out",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        2,
        None,
        6,
    ),
    "until 0.85, interactive": ("rest", STREAM, False, False, False, "none", "dis", 1, 0.85, 30),
    "until 0.85, replay, weighted, guided": (
        "rest",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        0.85,
        30,
    ),
}
OTHERS["interactive, replay, weighted, guided, smoothing, copied slices"] = (
    "rest",
    STREAM,
    True,
    True,
    True,
    "step",
    "copy",
    1,
    None,
    6,
)


def test_rows_are_what_they_are_called(made, monkeypatch, tmp_path):
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--part",
        "0/2",
        "--permutations",
        "1",
    )
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--part",
        "1/2",
        "--permutations",
        "1",
    )
    found = {}
    for folder, words in made:
        options = parser("").parse_intermixed_args(list(words))
        config = resolve(load(options.config, options.overrides))
        found[folder.name] = (
            config["model"],
            config["data"],
            config["callbacks"]["loop"],
            config["trainer"]["max_epochs"],
        )
    assert TABLE_1.keys() | OTHERS.keys() == dynamic3d.ROWS.keys()
    for name, expected in TABLE_1.items():
        model, data, loop, epochs = found[dynamic3d.run_folder(tmp_path, name, 0).name]
        assert (epochs, model["replay"] is not None, model.get("smoothing", True)) == expected, name
        assert (loop["user"], data["rounds"], model.get("start_anew") == "never") == (
            None,
            1,
            name == "offline",
        ), name
        assert model["steps"] == (1 if name == "offline" else sum(10 + 5 * k for k in range(6))), (
            "of all rounds"
        )
    for name, expected in OTHERS.items():
        model, data, loop, epochs = found[dynamic3d.run_folder(tmp_path, name, 0).name]
        first = (
            data.get("learn_from", "rest"),
            model.get("start_anew", "permutation"),
            model["replay"] is not None,
        )
        user = (
            loop["user"]["guided"],
            loop["confidence"],
            loop["registration"],
            loop["user"]["count"],
            loop.get("satisfied"),
        )
        assert (*first, model.get("smoothing", True), *user, data["rounds"]) == expected, name
        assert (
            epochs,
            model["samples"],
            model["steps"],
            model["more_steps"],
            loop["user"]["axes"],
        ) == (1, 4, 10, 5, [0, 1]), name
    starts = {
        name: Path(model["pretrained"]).parts[-3]
        for name, (model, *_) in found.items()
        if "pretrained" in model
    }
    assert starts == {
        dynamic3d.run_folder(tmp_path, name, 0).name: dynamic3d.run_folder(tmp_path, start, 0).name
        for name, start in {
            "warm, guided": "offline",
            "warm, guided, weighted": "offline",
            "warm, guided, weighted, as a stream": "offline",
            "after interaction, as a stream": "interactive, replay, weighted, guided, smoothing",
            "after 2 + 2, as a stream, 2 + 2": (
                "interactive, replay, weighted, guided, smoothing, 2 + 2"
            ),
        }.items()
    }


def test_another_setting_needs_another_folder(made, monkeypatch, tmp_path):
    call(
        monkeypatch, tmp_path, "--data", "--config data/msd.yaml", "--part", "0/9", "--tables", "7"
    )
    for other in (["--config data/brats.yaml"], ["--config data/msd.yaml", "--steps", "9"]):
        with pytest.raises(SystemExit, match="give another folder"):
            call(monkeypatch, tmp_path, "--data", *other, "--part", "0/9", "--tables", "7")


@pytest.mark.parametrize("part", ["2/2", "1", "-1/2"])
def test_a_part_that_is_none_is_refused(made, monkeypatch, tmp_path, part):
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path, "--data", "--config data/msd.yaml", f"--part={part}")
    assert not made


def test_a_row_and_the_one_that_it_starts_from_are_of_one_part(made, monkeypatch, tmp_path):
    parts = []
    for part in range(3):
        before = len(made)
        call(monkeypatch, tmp_path, "--data", "--config data/msd.yaml", "--part", f"{part}/3")
        parts.append([folder.name for folder, _ in made[before:]])
    for name, start in dynamic3d.STARTS.items():
        for permutation in range(3):
            both = [dynamic3d.run_folder(tmp_path, row, permutation).name for row in (start, name)]
            (part,) = [part for part in parts if both[1] in part]
            assert part.index(both[0]) < part.index(both[1])


def test_the_table_of_slices_counts_the_last_rounds(made, monkeypatch, tmp_path, capsys):
    for number, (name, permutation) in enumerate(
        (n, p) for n in dynamic3d.UNTIL_ROWS for p in range(2)
    ):
        rows = []
        for volume in range(5):
            for round in range(2):
                proxy = 0.5 + 0.4 * round - 0.1 * (volume == 4)
                figures = {
                    "proxy": proxy,
                    "labour": 0.2 * (round + 1),
                    "slices": (round + 1) * (number + 1),
                    "touched": 50,
                }
                rows.append({"seen": volume + 1, "round": round, "kind": "round"} | figures)
        finish(name, permutation, tmp_path, rows)
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--tables",
        "7",
        "--permutations",
        "2",
    )
    first, second, whole = capsys.readouterr().out.strip().splitlines()[-3:]
    cells = [cell.strip() for cell in first.split("|")[2:-1]]
    assert cells[0] == "3.0 ± 1.4"  # 2 and 4 slices of the first volume
    assert cells[4] == "15.0 ± 7.1"
    assert cells[5:] == ["0.400 ± 0.000", "1.0 ± 0.0"]
    assert "35.0" in second
    assert whole.split("|")[2].strip() == "50.0 ± 0.0"


def test_offline_training_on_the_first_volumes_stands_in_the_row_of_offline_training(
    made, monkeypatch, tmp_path, capsys
):
    for name, seen, held_out in [
        *((row, 15, 0.8) for row in dynamic3d.LABELLED_ROWS),
        (dynamic3d.prefix_row(10), 10, 0.6),
    ]:
        for permutation in range(2):
            rows = [{"kind": "held_out", "seen": seen, "dice": held_out + permutation / 10}]
            finish(
                name,
                permutation,
                tmp_path,
                rows + [{"kind": "unseen", "seen": seen, "dice": 0.5}] * (seen < 15),
            )
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--first",
        "10",
        "--permutations",
        "2",
        "--tables",
        "2",
    )
    assert not made, "all is there"
    printed = capsys.readouterr().out
    assert "| | 10 | 15 |" in printed
    assert "| offline | 0.650 / 0.500 | 0.850 / - |" in printed
    assert "| dynamic | - / - | 0.850 / - |" in printed


def test_tables_of_dice_are_means_over_volumes_then_over_permutations(capsys):
    def rows(kind, seen, values, **more):
        return [
            {"kind": kind, "seen": str(seen), "dice": str(v), "proxy": str(v), "labour": "0.25"}
            | more
            for v in values
        ]

    runs = [
        rows("unseen", 1, [0.2, 0.4]) + rows("held_out", 1, [0.5]) + rows("held_out", 2, last)
        for last in ([0.6, 0.8], [0.8, 0.8])
    ]
    dynamic3d.held_out({"row": runs, "other": runs})
    printed = capsys.readouterr().out.splitlines()
    assert (
        printed[2]
        == "| row | 0.750 ± 0.071 | 0.050 ± 0.071 | 0.700 ± 0.141 | 0.800 ± 0.000 | 0.700, 0.800 |"
    )
    dynamic3d.by_seen({"row": runs, "other": runs})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "| | 1 | 2 |"
    assert printed[2:] == [f"| {name} | 0.500 / 0.300 | 0.750 / - |" for name in ("row", "other")]
    runs = [
        rows("round", 1, values, round="0") + rows("round", 1, [0.9], round="1")
        for values in ([0.1, 0.3], [0.5, 0.9])
    ]
    dynamic3d.by_round({"row": runs})
    printed = capsys.readouterr().out.splitlines()
    assert printed[2:] == [
        "| row | 0.450 [0.30, 0.60] | 0.900 [0.90, 0.90] |",
        "| its labour | 25% | 25% |",
    ]
    runs = [
        [
            {
                "kind": "round",
                "round": str(k),
                "dice": str(0.1 * k),
                "proxy": str(v),
                "agreement": "0.5",
            }
            for k in range(3)
            for v in values
        ]
        for values in ([0.1, 0.3], [0.8, 0.8])
    ]
    dynamic3d.three_curves({"row": runs})
    printed = capsys.readouterr().out.splitlines()
    assert (
        printed[0]
        == "| | "
        + " | ".join(
            f"round {k}: {name}"
            for k in (2, 3)
            for name in ("F and Y", "proxy and Y", "F and proxy")
        )
        + " |"
    )
    assert printed[2:] == ["| row | 0.100 | 0.500 | 0.500 | 0.200 | 0.500 | 0.500 |"]


def test_inner_rounds_and_memory_are_compared_at_equal_time(monkeypatch, tmp_path, capsys):
    took, runs = {"memory": 0.5, "inner_rounds": 2.0}, {}

    def done(proof, script, *words):
        run = Path(next(word.removeprefix("run=") for word in words if word.startswith("run=")))
        run.mkdir(parents=True, exist_ok=True)
        if script == "evaluate.py":
            (run / "report.json").write_text(json.dumps(dict.fromkeys(rounds.FIGURES, 3.5)))
            return
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


def test_a_step_on_kept_features_is_timed_against_encoding(monkeypatch, tmp_path, capsys):
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
            noc={"noc@85": np.array(noc, float)}, curves=np.array([[value, 0.9] for value in start])
        )

    two_in_one.print_by_start(
        {
            "boundary": [played([9, 4, 1], [0.3, 0.5, 0.9]), played([7, 6, 1], [0.2, 0.45, 1.0])],
            "signed": [played([5, 4, 2], [0.3, 0.5, 0.9]), played([5, 8, 2], [0.2, 0.45, 1.0])],
        }
    )
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert rows[0][2:] == ["boundary", "signed", "signed fewer than boundary by"]
    assert rows[2:] == [
        ["0 to 0.4", "2", "8.00", "5.00", "+3.00 [+2.00, +4.00]"],
        ["0.4 to 0.6", "2", "5.00", "6.00", "-1.00 [-2.00, +0.00]"],
        ["0.8 to 1", "2", "1.00", "2.00", "-1.00 [-1.00, -1.00]"],
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
