"""Every method's YAML is trained and evaluated by the commands themselves, on tiny data."""

import csv
import json
import sys

import pytest
import torch

import evaluate
from tests.helpers.commands import CROP, ROOT, called, tiny
from tests.helpers.drawing import draw_folder

OTHERS = (
    "default.yaml",
    "finetune.yaml",
    "gpu.yaml",
    "jitter.yaml",
    "zoom.yaml",
    "clis.yaml",
    "dynamic3d.yaml",
)  # no method, or one of streams
METHODS = [
    *sorted(p.name for p in (ROOT / "configs").glob("*.yaml") if p.name not in OTHERS),
    "itis/once.yaml",
    "two_in_one/once.yaml",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 2)


@pytest.fixture(scope="module", params=METHODS)
def run(request, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.replace("/", "-"), numbered=True) / "trained"
    arguments = [
        "--config",
        request.param,
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        f"run={folder}",
    ]
    result = called(
        "train.py",
        *arguments,
        *tiny(request.param),
        "loading.batch_size=2",
        f"loading.augment={CROP[0]}",
        "trainer.max_epochs=2",
    )
    assert result.returncode == 0, result.stderr
    assert f"run: {folder}" in result.stdout
    result = called(
        "evaluate.py",
        "--checkpoint",
        folder,
        "max_clicks=3",
        f"run={folder / 'eval'}",
        "full_curves=true",
    )
    assert result.returncode == 0, result.stderr
    (folder / "eval" / "printed.txt").write_text(result.stdout)
    return folder


def test_a_trained_run_is_evaluated_and_reported(run, data):
    assert (run / "config.yaml").exists()
    assert "train/loss" in (run / "metrics.csv").read_text().splitlines()[0]
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1
    printed = (run / "eval" / "printed.txt").read_text()
    report = json.loads((run / "eval" / "report.json").read_text())
    rows = list(csv.DictReader((run / "eval" / "objects.csv").open()))
    assert report["objects"] == len(rows) == 4
    for figure, column in (("noc@85", "noc@85"), ("miou@3", "iou@3"), ("miou@1", "iou@1")):
        assert report[figure] == pytest.approx(sum(float(r[column]) for r in rows) / 4, abs=1e-5)
        assert figure in printed
    assert rows[0]["name"] == "0.png: object 1"
    assert all(len(r["clicks"].split()) == 3 for r in rows)
    page = (run / "eval" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 4
    assert "<svg" in page
    assert "http-equiv" not in page
    assert 'src="http' not in page


def test_batch_size_changes_no_figure_and_evaluations_are_compared(run):
    folder = run / "one"
    line = ["--checkpoint", run, "max_clicks=3", "full_curves=true", "callbacks.report=null"]
    result = called("evaluate.py", *line, f"run={folder}", "loading.eval_batch_size=1")
    assert result.returncode == 0, result.stderr
    one, batched = (json.loads((f / "report.json").read_text()) for f in (folder, run / "eval"))
    assert [one[k] for k in one if k.startswith(("noc", "fail"))] == [
        batched[k] for k in one if k.startswith(("noc", "fail"))
    ]
    compared = called("compare.py", folder, run / "eval", "--out", run / "compare.html")
    assert compared.returncode == 0, compared.stderr
    assert "eval_batch_size=1" in compared.stdout.splitlines()[0]
    assert "+0.000 [+0.000, +0.000]" in (run / "compare.html").read_text(), "the same clicks"
    assert "the fine decoder learns from" not in result.stdout
    if not run.parent.name.startswith(("small", "itis-once")):
        return  # one of each kind
    other = run / "flipped"
    assert called("evaluate.py", *line, f"run={other}", "flip=true").returncode == 0
    two = ["--objects", "2", "--out", run / "compare.html"]
    compared = called("compare.py", folder, other, *two)
    assert compared.returncode == 0, compared.stderr
    pictures = (run / "compare.html").read_text().count("<figure>")
    assert pictures == 4, "a picture of each method"


@pytest.mark.parametrize("run", ["brs.yaml"], indirect=True)
def test_an_evaluation_notes_that_the_fine_decoder_has_not_begun_to_learn(run):
    line = ["--checkpoint", run, "max_clicks=1", "callbacks.report=null", "refiner=null"]
    result = called(
        "evaluate.py", *line, f"run={run / 'coarse'}", "model.coarse_epochs=5", "flip=true"
    )
    assert result.returncode == 0, result.stderr
    assert "the fine decoder learns from epoch 5 on" in result.stdout


@pytest.mark.parametrize("run", [m for m in METHODS if "two_in_one" not in m], indirect=True)
def test_every_click_network_is_refined_and_zoomed(run, tmp_path, monkeypatch):
    photos = 2 if "once" in run.parent.name else 1  # on the first one it does all that is clicked
    few, clicked = draw_folder(tmp_path / "few", photos), {}
    points = "convert.yaml" not in run.parent.name
    for refiner in ("null", "brs", "f_brs_b") if points else ("null", "brs"):
        line = [
            "--checkpoint",
            run,
            f"refiner={refiner}",
            f"data.root={few}",
            "max_clicks=2",
            "full_curves=true",
            f"run={tmp_path / refiner}",
        ]
        line.append(
            "callbacks.report=null"
        )  # the pages of refined rounds are those of the runs whose YAML has a refiner
        zoom = (
            ["--config", "zoom.yaml", "zoom.long_side=64", "zoom.min_crop=24"]
            if refiner == "f_brs_b"
            else []
        )
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, line), *zoom])
        assert evaluate.main() == 0
        report = json.loads((tmp_path / refiner / "report.json").read_text())
        assert report["clicked"] == photos * 2 * 3
        assert 0 <= report["accuracy@2"] <= 1
        assert report["seconds@2"] > 0
        clicked[refiner] = (report.get("refinements"), report["clicked_wrong"])
        assert ("refinements" in report["contributed"]) == (refiner != "null")
    assert clicked["null"][0] is None
    assert clicked["brs"][0] > 0
    assert clicked["brs"][1] <= clicked["null"][1]
    if points:
        assert clicked["f_brs_b"][1] < clicked["null"][1]


@pytest.mark.parametrize("run", ["small.yaml"], indirect=True)
def test_a_bad_file_is_counted_named_and_seen_in_the_exit_code(run, data, tmp_path):
    import shutil

    spoiled = tmp_path / "spoiled"
    shutil.copytree(data, spoiled)
    (spoiled / "images" / "1.png").write_text("no image")
    result = called(
        "evaluate.py",
        "--checkpoint",
        run,
        "max_clicks=1",
        f"run={tmp_path / 'eval'}",
        f"data.root={spoiled}",
    )
    assert result.returncode == 1
    assert "1.png cannot be read as an image" in result.stderr
    assert "the figures are without this" in result.stderr
    assert json.loads((tmp_path / "eval" / "report.json").read_text())["objects"] == 2


@pytest.mark.parametrize("run", ["small.yaml"], indirect=True)
def test_damaged_and_foreign_checkpoints_are_named(run, tmp_path):
    import shutil

    for content, message in ((b"junk", "cannot be read as a checkpoint"), (None, "does not fit ")):
        copy = tmp_path / message.split()[0]
        shutil.copytree(run, copy)
        file = copy / "checkpoints" / "last.ckpt"
        if content:
            file.write_bytes(content)
        else:
            torch.save({"state_dict": {"other.weight": torch.zeros(2)}}, file)
        result = called("evaluate.py", "--checkpoint", file)
        assert result.returncode == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
