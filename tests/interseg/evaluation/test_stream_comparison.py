"""Comparison of task streams against plain arithmetic."""

import json
import sys

import numpy as np
import pytest
from omegaconf import OmegaConf

import compare
from interseg.errors import InputError
from interseg.evaluation.stream_comparison import (
    StreamRun,
    markdown,
    names,
    stream_methods,
    transfer_table,
)

BASE = {"basic": 0.8, "forward": 0.7, "backward": 0.6, "drop": 0.2}


def stream(folder, sequences, **config):
    """A finished stream's files; the figures of each sequence differ from BASE by what is given."""
    folder.mkdir()
    figures = {
        str(k): dict.fromkeys(names(), 0.5) | BASE | change for k, change in sequences.items()
    }
    (folder / "transfer.json").write_text(json.dumps({"sequences": figures}))
    OmegaConf.save(
        OmegaConf.create({"name": "x", "run": str(folder)} | config), folder / "config.yaml"
    )
    rows = [
        "kind,before,iou,annotated",
        "round 0,0.5,0.7,0.01",
        "round 1,0.7,0.8,0.02",
        "answer,,0.1,",
        "round 0,0.7,0.9,0.03",
    ]
    (folder / "transfer.csv").write_text("\n".join([*rows, "round 1,0.9,1,0.04"]))
    return StreamRun(folder)


def test_runs_of_single_sequences_are_one_method_and_sequences_are_paired(tmp_path):
    array = [
        stream(
            tmp_path / f"a{k}", {k: {"drop": 0.1}}, name="clis", data={"sequence": k, "root": "r"}
        )
        for k in (1, 0)
    ]
    whole = stream(
        tmp_path / "b",
        {0: {}, 1: {"basic": 0.6}},
        name="ewc",
        data={"sequence": None, "root": "r"},
        trainer={"max_epochs": 2},
    )
    methods = stream_methods([(None, run) for run in (*array, whole)])
    assert {name: sorted(method.sequences) for name, method in methods.items()} == {
        "clis": ["0", "1"],
        "ewc": ["0", "1"],
    }
    assert np.allclose(methods["clis"].curve(), [(0, 0.6), (0.02, 0.8), (0.03, 0.9)])
    named = stream_methods([("A", array[0]), ("A", array[1]), ("B", whole)])
    table = transfer_table({name: method.sequences for name, method in named.items()})
    head, _, first, second = markdown(table).splitlines()
    assert head.split(" | ")[-1] == "A drops less by |"
    assert first.split(" | ")[1:5] == ["0.800", "0.700", "0.600", "0.100"]
    cells = second.split(" | ")
    assert cells[1] == "0.700"
    assert cells[5] == "+0.100 [+0.000, +0.200]"
    one = transfer_table({"A": {"0": whole.sequences["0"]}, "B": {"0": whole.sequences["1"]}})
    assert one[2][5] == "+0.200"
    assert cells[8] == "+0.100 [+0.100, +0.100] |"


def test_what_cannot_be_compared_is_named(tmp_path):
    a, b = stream(tmp_path / "a", {0: {}}), stream(tmp_path / "b", {1: {}}, model={"steps": 3})
    with pytest.raises(InputError, match="have not both played sequence 0"):
        stream_methods([(None, a), (None, b)])
    with pytest.raises(InputError, match="have both played sequence 0"):
        stream_methods([("A", a), ("A", a)])
    other = stream(tmp_path / "c", {0: {}}, seed=3, data={"seed": "${seed}"})
    with pytest.raises(
        InputError, match=r"seed is None in .*a and 3 in .*c, so that their sequences"
    ):
        stream_methods([("A", a), ("C", other)])
    (tmp_path / "a" / "transfer.json").write_text("{}")
    with pytest.raises(InputError, match="holds no finished sequence"):
        StreamRun(tmp_path / "a")


def test_the_command_prints_the_tables_of_streams(tmp_path, capsys, monkeypatch):
    for k in (0, 1):
        stream(tmp_path / f"a{k}", {k: {}}, data={"sequence": k})
    stream(tmp_path / "b", {0: {}, 1: {"forward": 0.9}}, name="y")
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "compare.py",
            *(str(tmp_path / name) for name in ("a0", "a1", "b")),
            "--out",
            str(tmp_path / "c.html"),
        ],
    )
    compare.main()
    printed = capsys.readouterr().out
    assert "| x | 0.800 | 0.700 |" in printed
    assert "| y | 0.800 | 0.800 |" in printed
    assert printed.count("drops less by") == 2
    assert "annotated pixels included" in printed
    page = (tmp_path / "c.html").read_text()
    assert page.count("<svg") == 1
    assert page.count("<td>0.800</td>") == 2 + 1  # basic of both, forward of one
