"""The installed command `interseg`: what its scripts do in a clone, under its own name."""

import re
import sys

import pytest

import interseg
from commands import entry
from tests.helpers.commands import ROOT, called
from tests.helpers.drawing import draw_folder


@pytest.fixture
def say(monkeypatch, capsys):
    """Call `interseg` with words; exit code, output, errors."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/interseg", *map(str, words)])
        try:
            code = entry.main()
        except SystemExit as ended:
            code = ended.code
        shown = capsys.readouterr()
        return code or 0, shown.out, shown.err

    return call


def test_it_says_which_it_is_and_what_there_is(say):
    assert say("--version") == (0, f"{interseg.__version__}\n", "")
    code, shown, _ = say()
    assert code == 0
    assert shown == say("--help")[1]
    assert re.findall(r"^  (\w+) ", shown, re.MULTILINE) == ["predict", "annotate", "check"]


def test_a_command_that_there_is_not_ends_in_2_and_names_those_that_there_are(say):
    assert say("train") == (
        2,
        "",
        "error: there is no command 'train'; use predict, annotate, check\n",
    )


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_help_is_that_of_the_script_under_the_installed_name(name, say):
    code, shown, _ = say(name, "--help")
    assert code == 0
    assert shown.startswith(f"usage: interseg {name} ")
    assert ".py" not in shown.split("\nmethods:")[0].split("\ndata:")[0].replace("see train.py", "")
    if name == "annotate":  # its script has the name of its package
        return
    _, script = called(f"{name}.py", "--help").stdout.split("\n\n", 1)
    assert shown.split("\n\n", 1)[1] == script.replace(f"python {name}.py", f"interseg {name}")


def test_it_checks_data_as_the_script_does(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = draw_folder(tmp_path / "data", 2)
    words = ("--config", "data/folder.yaml", f"data.root={data}", "--out")
    code, shown, _ = say("check", *words, tmp_path / "one.html")
    script = called("check.py", *words, tmp_path / "two.html", cwd=tmp_path)
    assert (code, shown.replace("one.html", "")) == (
        script.returncode,
        script.stdout.replace("two.html", ""),
    )
    assert "objects" in shown
    assert (tmp_path / "one.html").read_text() == (tmp_path / "two.html").read_text()


def test_what_a_person_can_mend_is_one_line(say, tmp_path):
    code, _, error = say(
        "predict",
        "--checkpoint",
        "interseg-lite",
        "--images",
        tmp_path,
        "--clicks",
        tmp_path / "no.csv",
        "--out",
        tmp_path,
    )
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_missing_extra_is_named(say, monkeypatch):
    def without(name, *_):
        raise ModuleNotFoundError("No module named 'starlette'", name="starlette")

    monkeypatch.setattr(entry.importlib, "import_module", without)
    code, _, error = say("annotate", "--checkpoint", "interseg-lite", "--images", ".")
    assert (code, error) == (
        2,
        "error: interseg annotate needs starlette; pip install 'interseg[annotate]'\n",
    )


def test_the_version_stands_in_one_place():
    assert "version = attr: interseg.__version__" in (ROOT / "setup.cfg").read_text()
    assert f"\nversion: {interseg.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {interseg.__version__}" in (ROOT / "CHANGELOG.md").read_text()
