"""Comparison of streams, of tasks and of volumes, against plain arithmetic."""

import json
import sys

import numpy as np
import pytest
from omegaconf import OmegaConf

import compare
from configs.arguments import with_defaults
from interseg.errors import InputError
from interseg.evaluation.stream_comparison import (
    VOLUME_FIGURES,
    names,
    read_run,
    stream_methods,
)
from interseg.evaluation.stream_tables import markdown, task_tables, transfer_table

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
        "kind,before,iou,basic,annotated",
        "round 0,0.5,0.99,0.7,0.01",
        "round 1,0.7,0.99,0.8,0.02",
        "answer,,0.1,,",
        "round 0,0.7,0.99,0.9,0.03",
    ]
    (folder / "transfer.csv").write_text("\n".join([*rows, "round 1,0.9,1,1,0.04"]))
    return read_run(folder, with_defaults)


def played(number):
    """The protocol of a run of one sequence."""
    return {"kind": "sequence", "sequences": 2, "sequence": number}


def test_runs_of_single_sequences_are_one_method_and_sequences_are_paired(tmp_path):
    array = [
        stream(
            tmp_path / f"a{k}",
            {k: {"drop": 0.1}},
            name="clis",
            protocol=played(k),
            data={"root": "r"},
        )
        for k in (1, 0)
    ]
    whole = stream(
        tmp_path / "b",
        {0: {}, 1: {"basic": 0.6}},
        name="ewc",
        protocol=played(None),
        data={"root": "r"},
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
    assert cells[5] == "+0.100 [-1.171, +1.371]"
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
    films = {"_target_": "datamodules.camvid.CamvidDataModule", "root": "r"}
    one = stream(tmp_path / "d", {0: {}}, data=films | {"films": True})
    with pytest.raises(
        InputError, match=r"films is True in .* and False in .* so that their sequences"
    ):
        stream_methods([("C", one), ("D", stream(tmp_path / "e", {0: {}}, data=films))])
    (tmp_path / "a" / "transfer.json").write_text("{}")
    with pytest.raises(InputError, match="holds no finished sequence"):
        read_run(tmp_path / "a")


def test_runs_of_before_lack_the_figures_of_whole_images(tmp_path):
    runs = [(name, stream(tmp_path / name, {0: {}, 1: {}})) for name in ("a", "b")]
    tables = task_tables({name: run.sequences for name, run in runs})
    assert [table[0][1] for table in tables.values()] == ["basic"] * 3
    for _, run in runs:
        file = run.folder / "transfer.json"
        figures = json.loads(file.read_text())["sequences"]
        for values in figures.values():
            for key in [key for key in values if key.startswith("whole_")]:
                del values[key]
        file.write_text(json.dumps({"sequences": figures}))
    runs = [(name, read_run(run.folder)) for name, run in runs]
    tables = task_tables({name: run.sequences for name, run in runs})
    first, second = tables
    assert first.endswith("that each method's user annotated")
    assert second.startswith("the official code's IoU")


def test_a_default_that_one_config_writes_is_no_difference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node = {"_target_": "datamodules.tasks.ClassFolderDataModule", "root": "r", "classes": 2}
    written = {"length": 8, "size": [256, 352], "root": str(tmp_path / "r"), "nested": False}
    transfer = {"_target_": "callbacks.transfer.Transfer"}
    runs = [
        stream(tmp_path / "a", {0: {}}, data=node, callbacks={"transfer": transfer}),
        stream(
            tmp_path / "b",
            {0: {}},
            data=node | written,
            callbacks={"transfer": transfer | {"forward_after": 4}},
        ),
    ]
    assert runs[0].setting == runs[1].setting
    assert runs[0].setting["length"] == 8
    assert runs[0].setting["forward_after"] == 4
    assert list(stream_methods([("A", runs[0]), ("B", runs[1])])) == ["A", "B"]


def test_the_command_prints_the_tables_of_streams(tmp_path, capsys, monkeypatch):
    for k in (0, 1):
        stream(tmp_path / f"a{k}", {k: {}}, protocol=played(k))
    stream(tmp_path / "b", {0: {}, 1: {"forward": 0.9}}, name="y", protocol=played(None))
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
    assert printed.count("drops less by") == 3
    assert "annotated pixels included" in printed
    page = (tmp_path / "c.html").read_text()
    assert page.count("<svg") == 1
    assert page.count("<td>0.800</td>") == 2 + 1  # basic of both, forward of one


def volumes(folder, shift, held_out=True, **config):
    """A finished stream of two permutations of two volumes, of two rounds each."""
    folder.mkdir()
    lines = ["permutation,seen,volume,round,kind,dice,proxy,labour"]
    for permutation in (0, 1):
        for seen, volume in ((1, 7), (2, 4)):
            for number in (0, 1):
                dice = 0.5 + 0.1 * seen + 0.05 * permutation + shift
                figures = f"{dice if number else 0.1},{0.9 - shift},{0.2 * (number + 1)}"
                lines.append(f"{permutation},{seen},{volume},{number},round,{figures}")
            if held_out:
                lines.append(f"{permutation},{seen},3,1,held_out,{0.3 * seen + shift},,")
    (folder / "dice.csv").write_text("\n".join(lines))
    node = {"name": folder.name, "protocol": {"kind": "stream"}, "data": {"held_out": 1}}
    OmegaConf.save(OmegaConf.create(node | config), folder / "config.yaml")
    return read_run(folder)


def test_runs_of_volumes_are_compared_by_the_last_rounds_of_their_permutations(tmp_path):
    methods = stream_methods(
        [("A", volumes(tmp_path / "a", 0.1)), ("B", volumes(tmp_path / "b", 0.0))]
    )
    assert all(method.of_volumes for method in methods.values())
    assert methods["A"].sequences["0"] == pytest.approx(
        {"dice": 0.75, "proxy": 0.8, "labour": 0.4, "held_out": 0.7}
    )
    assert np.allclose(methods["B"].curve(), [(0.2, 0.1), (0.4, 0.675)])
    table = transfer_table({k: m.sequences for k, m in methods.items()}, "", VOLUME_FIGURES)
    assert table[0][1:5] == ["dice", "proxy", "labour", "held_out"]
    assert table[0][7] == "A takes less labour by"
    assert table[2][1:5] == ["0.675", "0.900", "0.400", "0.600"]
    assert table[2][5] == "+0.100 [+0.100, +0.100]"
    assert table[2][6] == "-0.100 [-0.100, -0.100]"
    static = volumes(tmp_path / "s", 0.0, held_out=False, protocol={"kind": "static"})
    with pytest.raises(InputError, match=r"protocol.volumes is 'rest' in .* and 'held_out' in"):
        stream_methods([("A", read_run(tmp_path / "a")), ("S", static)])
    assert transfer_table({"S": static.sequences}, "", VOLUME_FIGURES)[0][1:4] == [
        *("dice", "proxy", "labour")
    ]


def test_offline_runs_of_other_lengths_are_other_methods(tmp_path):
    runs = []
    for epochs in (20, 60):
        run = tmp_path / f"off{epochs}"
        volumes(run, epochs / 100, protocol={"kind": "offline"}, trainer={"max_epochs": epochs})
        table = (run / "dice.csv").read_text().splitlines()
        rows = [line for line in table if not line.startswith("1,")]
        rows = [line.replace("0,", f"{epochs - 1},", 1) for line in rows]
        (run / "dice.csv").write_text("\n".join(rows))
        runs.append((None, read_run(run)))
    methods = stream_methods(runs)
    dice = [method.sequences["0"]["dice"] for method in methods.values()]
    assert dice == pytest.approx([0.85, 1.25])


def test_the_command_prints_the_table_of_volumes(tmp_path, capsys, monkeypatch):
    volumes(tmp_path / "a", 0.1)
    volumes(tmp_path / "b", 0.0)
    out = tmp_path / "c.html"
    line = ["compare.py", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", line)
    compare.main()
    assert "| a | 0.775 | 0.800 | 0.400 | 0.700 |" in capsys.readouterr().out
    page = out.read_text()
    assert "2 methods on 2 permutations of volumes" in page
    assert page.count("<svg") == 1
