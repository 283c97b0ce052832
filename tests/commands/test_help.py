"""Help of the commands: examples, methods and data, from the folder of configs."""

import re

import pytest

from tests.helpers.commands import called


@pytest.mark.parametrize("name", ["train.py", "evaluate.py"])
def test_help_lists_what_the_folder_of_configs_has(name, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "mine.yaml").write_text("# A method of mine.\nmodel:\n  _target_: a.B\n")
    (tmp_path / "over.yaml").write_text("# No method.\nmodel: {width: 3}\n")
    (tmp_path / "data" / "heaps.yaml").write_text("# Heaps of photos.\ndata: {}\n")
    shown = called(name, "--help").stdout
    assert f"examples:\n  python {name} --" in shown
    assert re.search(r"^  itis\.yaml +ITIS \(Mahadevan et al\., BMVC 2018\)", shown, re.MULTILINE)
    assert "itis/distance.yaml" in shown
    assert re.search(r"^  itis/once\.yaml +A frozen encoder", shown, re.MULTILINE), (
        "it stands alone"
    )
    assert "  data/folder.yaml " in shown
    assert "gpu.yaml  " not in shown, "what names no model is no method"
    assert max(map(len, shown.splitlines())) <= 150
    monkeypatch.setattr("configs.options.FOLDER", tmp_path)
    shown = called(name, "--help").stdout
    assert "  mine.yaml                    A method of mine." in shown
    assert "over.yaml" not in shown
    assert "data/heaps.yaml              Heaps of photos." in shown
