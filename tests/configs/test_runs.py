"""Parts of an evaluation, full disks, and finished evaluations."""

import json
import re
import resource

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from configs.loggers import keep_rows
from tests.configs.short_run import arguments, evaluated
from tests.helpers.commands import called, refused


def test_parts_of_an_evaluation_make_the_whole(run, tmp_path):
    evaluated(run, tmp_path / "whole")
    for part in (2, 0, 1):
        assert "the same command without shard=" in evaluated(
            run, tmp_path / "parts", f"shard={part}/3"
        )
        assert not (tmp_path / "parts" / "report.json").exists()
    merged = evaluated(run, tmp_path / "parts")
    assert "going on after 10 objects" in merged
    assert (tmp_path / "parts" / "report.html").read_text().count("<figcaption>click") > 10
    whole, parts = ((tmp_path / name / "objects.csv").read_text() for name in ("whole", "parts"))
    assert whole == parts
    figures = [
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "parts")
    ]
    assert (
        len({json.dumps({k: v for k, v in f.items() if "seconds" not in k}) for f in figures}) == 1
    )


@pytest.mark.parametrize(("shard", "folder"), [("3/3", True), ("1", True), ("0/2", False)])
def test_a_part_that_is_none_is_named(run, tmp_path, shard, folder):
    result = called(
        "evaluate.py",
        "--checkpoint",
        run,
        f"shard={shard}",
        *([f"run={tmp_path}"] if folder else []),
    )
    assert result.returncode == 2
    assert "give shard=K/N" in result.stderr


def test_the_progress_bar_tells_the_clicks_so_far_and_the_time_left(run, tmp_path):
    bar = (
        "callbacks.progress={_target_: pytorch_lightning.callbacks.TQDMProgressBar, refresh_rate: "
        "1}"
    )
    line = [
        "--checkpoint",
        run,
        f"run={tmp_path}",
        "max_clicks=3",
        "loading.eval_batch_size=2",
        "logger=csv",
        "callbacks.report=null",
        bar,
    ]
    result = called("evaluate.py", *line, "trainer.enable_progress_bar=true")
    assert result.returncode == 0, result.stderr
    shown = re.findall(
        r"(\d)/5 \[\d\d:\d\d<(\d\d:\d\d).*?NoC@85=([\d.]+)", result.stdout + result.stderr
    )
    assert [int(batches) for batches, *_ in shown][-1] == 5
    rows = (tmp_path / "objects.csv").read_text().splitlines()
    place = rows[0].split(",").index("noc@85")
    clicks = [float(row.split(",")[place]) for row in rows[1:]]
    assert float(shown[-1][2]) == pytest.approx(sum(clicks) / len(clicks), abs=0.005)


def limited(size, name, *line):
    """A command whose files may have so many bytes, as on a disk that fills up."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        return called(name, *line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_ends_training_with_one_error_and_a_whole_checkpoint(data, tmp_path):
    run = tmp_path / "run"
    assert called("train.py", *arguments(data, run)).returncode == 0
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    more = [*arguments(data, run), "trainer.max_epochs=3", "checkpoint=last"]
    result = limited(len(before) // 2, "train.py", *more)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "cannot be written" in errors[0]
    assert "checkpoint=last" in errors[0]
    assert "Traceback" not in result.stderr
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert called("train.py", *more).returncode == 0
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_full_disk_ends_an_evaluation_that_goes_on_later(run, tmp_path):
    evaluated(run, tmp_path / "whole", "callbacks.report=null")
    line = [
        "--checkpoint",
        run,
        f"run={tmp_path / 'cut'}",
        "max_clicks=3",
        "loading.eval_batch_size=2",
        "logger=csv",
    ]
    config = (tmp_path / "whole" / "config.yaml").stat().st_size
    result = limited(3 * config, "evaluate.py", *line)
    assert result.returncode == 2, result.stdout
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    evaluated(run, tmp_path / "cut")
    assert (tmp_path / "whole" / "objects.csv").read_text() == (
        tmp_path / "cut" / "objects.csv"
    ).read_text()
    page = tmp_path / "cut" / "report.html"
    page.unlink()
    (tmp_path / "cut" / "report.json").unlink()  # which is written last
    evaluated(run, tmp_path / "cut")
    assert page.exists()


def test_a_table_of_metrics_is_replaced_in_one_move(tmp_path, monkeypatch):
    file = tmp_path / "metrics.csv"
    file.write_text(
        "epoch,step,loss\n0,0,1\n0,10,2\n0,20,3\n0,1"
    )  # a full disk has cut the last row

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("csv.DictWriter.writerows", full)
        with pytest.raises(OSError, match="No space"):
            keep_rows(CSVLogger(tmp_path, name="", version=""), file, 20)
    assert file.read_text().endswith("0,1")
    keep_rows(CSVLogger(tmp_path, name="", version=""), file, 20)
    assert file.read_text().split() == ["epoch,step,loss", "0,0,1", "0,10,2"]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_results_that_are_to_be_overwritten_stay_where_nothing_takes_their_place(run, tmp_path):
    folder = tmp_path / "eval"
    evaluated(
        run, folder, "callbacks.report=null"
    )  # logs to CSV: a dashboard's run would stay open
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    line = ["--checkpoint", run, f"run={folder}", "overwrite=true", "max_clicks=2", "logger=csv"]
    for wrong in ("trainer.accelerator=gpu", "callbacks.noc=null", "trainer.devices=0"):
        assert called("evaluate.py", *line, wrong).returncode == 2
        assert {name: (folder / name).read_bytes() for name in files} == files
    assert f"evaluation: {folder}" in evaluated(run, folder, "callbacks.report=null")


def test_a_finished_evaluation_is_not_played_again(run, tmp_path, monkeypatch):
    folder = tmp_path / "eval"
    first = evaluated(run, folder)
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".yaml"}
    with monkeypatch.context() as patch:
        patch.setattr("callbacks.user_loop.UserLoop.play", None)
        again = evaluated(run, folder)
        assert again == first[first.index(again) :]
        evaluated(run, folder, "shard=0/2")
        evaluated(run, folder, "loading.eval_batch_size=1")
    assert {
        file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".yaml"
    } == files
    assert "going on after 10 objects" in evaluated(run, folder, "callbacks.report=null"), (
        "the record tells their outcomes again"
    )
    for damaged in (files["objects.csv"][:-20], b""):
        (folder / "objects.csv").write_bytes(damaged)
        assert "going on after 10 objects" in evaluated(run, folder, "callbacks.report=null")
        assert (folder / "objects.csv").read_bytes() == files["objects.csv"]
    (record,) = folder.glob("objects.*.jsonl")
    record.write_text(record.read_text().replace("0.", "0.9"))
    result = called(
        "evaluate.py",
        *("--checkpoint", run, f"run={folder}", "max_clicks=3", "shard=0/2", "overwrite=true"),
        *("loading.eval_batch_size=2", "logger=csv"),
    )
    refused(result, "its parts cannot replace one by one")
    for change, rounds, objects in (
        (["overwrite=true"], 3, 10),
        (["max_clicks=2", "overwrite=true"], 2, 10),
        (["trainer.limit_test_batches=1", "overwrite=true"], 3, 2),
        (["trainer.limit_test_batches=1"], 3, 2),
        (["overwrite=true"], 3, 10),
    ):
        evaluated(run, folder, "callbacks.report=null", *change)
        report = json.loads((folder / "report.json").read_text())
        assert (report["max_clicks"], report["objects"]) == (rounds, objects)
        if rounds == 3 and objects == 10:
            assert (folder / "objects.csv").read_bytes() == files["objects.csv"]
