"""The table of users: its arithmetic, and the benchmark at a tiny size, played by evaluate.py."""

import json
import sys

import numpy as np
import pytest

from benchmarks import robustness
from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation
from interseg.evaluation.intervals import interval
from interseg.evaluation.robustness import COLUMNS, decile_gap, robustness_table, user_row
from tests.helpers.commands import TINY, called
from tests.helpers.drawing import draw_folder
from tests.helpers.evaluations import evaluation

CURVES = [[0.5, 0.7, 0.9], [0.9, 0.9, 0.9], [0.1, 0.2, 0.3]]  # NoC 3, 1, 3
OTHERS = [
    [[0.9, 0.9, 0.9], [0.2, 0.9, 0.9], [0.1, 0.2, 0.9]],
    [[0.5, 0.9, 0.9], [0.2, 0.3, 0.9], [0.1, 0.2, 0.9]],
]  # 1, 2, 3; 2, 3, 3


def test_a_row_is_paired_object_by_object_and_seeds_are_averaged(tmp_path):
    base = evaluation(tmp_path / "base", CURVES)
    runs = [evaluation(tmp_path / f"{seed}", curves, seed) for seed, curves in enumerate(OTHERS)]
    row = user_row(runs, base, 0.85)
    assert row["noc"] == pytest.approx((2 + 8 / 3) / 2)
    assert row["deviation"] == pytest.approx(np.std([2, 8 / 3], ddof=1))
    assert row["more"] == pytest.approx(0)
    differences = np.array([1.5 - 3, 2.5 - 1, 3 - 3])
    assert row["difference"] == pytest.approx([differences.mean(), *interval(differences)])
    assert user_row(runs[:1], base, 0.85)["more"] == pytest.approx(100 * (2 / (7 / 3) - 1))
    assert user_row(runs[:1], base, 0.85)["deviation"] is None
    gap = decile_gap({1: [base], 5: runs[:1], 10: runs[1:]}, 0.85)
    assert (gap["best"], gap["worst"]) == (5, 10)
    assert gap["clicks"] == pytest.approx(2 / 3)
    assert gap["percent"] == pytest.approx(100 / 3)
    assert (gap["deepest"], gap["shallowest"]) == (1, 10)
    shallow = np.array([2 - 3, 3 - 1, 3 - 3])
    assert gap["difference"] == pytest.approx([shallow.mean(), *interval(shallow)])
    with pytest.raises(InputError, match="not noc@90"):
        user_row(runs, base, 0.9)
    with pytest.raises(InputError, match="different objects"):
        user_row([evaluation(tmp_path / "other", CURVES, names="xyz")], base, 0.85)


def test_the_benchmark_plays_every_user_and_does_nothing_twice(tmp_path, monkeypatch, capsys):
    draw_folder(tmp_path / "data", 1)
    lines = []

    def done(proof, script, *words):
        if not proof.exists():
            lines.append(words)
            result = called(script, *words)
            assert result.returncode == 0, result.stderr

    monkeypatch.setattr(robustness, "run_once", done)
    network = "model.network={_target_: tests.helpers.tiny_network.TinyNetwork}"
    model = f"tiny=--trust tests --config small.yaml '{network}'"
    data = f"--config data/folder.yaml data.root={tmp_path / 'data'}"
    line = [
        "robustness",
        tmp_path / "out",
        "--model",
        model,
        "--data",
        data,
        *TINY,
        "max_clicks=2",
        "--seeds",
        "2",
        "--target",
        "0.85",
    ]
    line += [
        "--users",
        "deterministic",
        "worst",
        "sampled",
        "--deciles",
        "1",
        "10",
        "--",
        "callbacks.report=null",
    ]
    monkeypatch.setattr(sys, "argv", [*map(str, line)])
    robustness.main()
    assert len(lines) == 1 + 1 + 2 + 2 * 2
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "robustness.json").read_text())
    assert robustness_table(found["models"]) in printed
    rows = found["models"]["tiny"]["users"]
    assert list(rows) == ["deterministic", "worst", "sampled", "decile 1", "decile 10"]
    assert rows["deterministic"]["difference"] == [0, 0, 0]
    assert rows["sampled"]["seeds"] == 2
    folders = [
        tmp_path / "out" / "tiny" / name
        for name in ("deterministic-0", "sampled-0", "sampled-1", "worst-0")
    ]
    clicks = [Evaluation(folder).clicks[0].tolist() for folder in folders]
    assert len({str(c) for c in clicks}) == 4
    robustness.main()
    assert len(lines) == 8
    out = tmp_path / "out"
    compared = called("compare.py", f"a={out}", f"b={out}", "--out", tmp_path / "users.html")
    assert compared.returncode == 0, compared.stderr
    assert "| worst | a |" in compared.stdout
    assert (tmp_path / "users.html").read_text().count("<td>worst</td>") == len(COLUMNS)
    assert "given twice" in called("compare.py", out, out).stderr
    (out / "robustness.json").write_text("{")
    assert "no complete robustness.json" in called("compare.py", out).stderr
