"""Commands that benchmarks run: once, by one line, and never on a part of the objects."""

import json
import os
import shutil
from pathlib import Path

import pytest

from benchmarks import running
from benchmarks.running import run_once, same_as_before


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Put a script in the place of the commands, which writes its arguments and may fail."""
    script = tmp_path / "evaluate.py"
    script.write_text(
        "import json, pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "errors = sys.argv[3:]\n"
        "(folder / 'report.json').write_text(json.dumps({'errors': errors, 'noc': sys.argv[2]}))\n"
        "sys.exit(len(errors))\n"
    )
    monkeypatch.setattr(running, "ROOT", tmp_path)
    return tmp_path / "out" / "run"


def test_what_is_finished_is_not_run_again_and_another_line_is_refused(ran):
    proof = ran / "report.json"
    run_once(proof, "evaluate.py", str(ran), "3.5")
    before = os.stat(proof).st_mtime_ns
    run_once(proof, "evaluate.py", str(ran), "3.5")
    assert os.stat(proof).st_mtime_ns == before
    with pytest.raises(
        SystemExit, match=r"run is of another line \(.*run\.line\):\n.* 3\.5\nnow it is\n.* 4"
    ):
        run_once(proof, "evaluate.py", str(ran), "4")
    run_once(proof, "evaluate.py", str(ran), "3.5", "run=elsewhere", "loading.num_workers=4")
    assert json.loads(proof.read_text())["noc"] == "3.5"
    assert [file.name for file in sorted(ran.parent.iterdir())] == ["run", "run.line"]


def test_a_folder_may_be_spelled_otherwise_or_moved(ran, tmp_path, monkeypatch):
    same_as_before(ran.parent / "a" / "test", ["evaluate.py", "--checkpoint", f"{ran.parent}/a"])
    (ran.parent / "a" / "test").mkdir(parents=True)
    same_as_before(ran.parent / "a" / "test", ["evaluate.py", "--checkpoint", f"{ran.parent}/a"])
    with pytest.raises(SystemExit):
        same_as_before(
            ran.parent / "a" / "test", ["evaluate.py", "--checkpoint", f"{ran.parent}/b"]
        )
    run_once(ran / "report.json", "evaluate.py", str(ran), f"weights={ran.parent}/first/last.ckpt")
    assert "weights=FOLDER/first" in (ran.parent / "run.line").read_text()
    monkeypatch.chdir(tmp_path)
    for place in (Path("out"), Path("moved")):
        if not place.exists():
            ran.parent.rename(place)
        same_as_before(place / "a" / "test", ["evaluate.py", "--checkpoint", f"{place}/a"])
        run = place / "run"
        weights = f"weights={place}/first/last.ckpt"
        run_once(run / "report.json", "evaluate.py", str(run), weights)
        with pytest.raises(SystemExit, match="is of another line"):
            run_once(run / "report.json", "evaluate.py", str(run), f"{weights}.old")


def test_an_evaluation_without_some_objects_is_no_figure(ran):
    line = [str(ran), "3.5", "a.png cannot be read"]
    with pytest.raises(SystemExit):
        run_once(ran / "report.json", "evaluate.py", *line)
    with pytest.raises(SystemExit, match=r"without 1 objects \(a\.png cannot be read\)"):
        run_once(ran / "report.json", "evaluate.py", *line)


def test_a_line_that_made_nothing_may_be_mended_and_one_whose_folder_is_gone_another(ran):
    with pytest.raises(SystemExit):
        run_once(ran / "report.json", "no_script.py", str(ran), "3.5")
    run_once(ran / "report.json", "evaluate.py", str(ran), "3.5")
    shutil.rmtree(ran)
    run_once(ran / "report.json", "evaluate.py", str(ran), "4")
    assert json.loads((ran / "report.json").read_text())["noc"] == "4"
