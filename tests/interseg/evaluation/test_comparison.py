"""Comparison of evaluations against plain arithmetic."""

import json
import re
from pathlib import Path

import pytest

from configs.arguments import with_defaults
from interseg.clicks.layout import BOUNDARY, REGION
from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation, methods, most_different, note_data, note_ends
from tests.helpers.evaluations import evaluation


@pytest.fixture
def runs(tmp_path):
    a = [
        evaluation(tmp_path / f"a{s}", [[0.5, 0.9], [0.2, 0.3], [0.9, 0.9 + s / 100]], s)
        for s in range(2)
    ]
    b = [
        evaluation(
            tmp_path / f"b{s}",
            [[0.9, 0.9], [0.2, 0.3], [0.5, 0.6 + s / 100]],
            s,
            model={"width": 3},
        )
        for s in range(2)
    ]
    return a, b


def test_an_evaluation_is_read_in_the_order_of_ids(runs):
    run = runs[0][1]
    assert run.names == ["0 a", "1 b", "2 c"]
    assert run.curves.tolist() == [[0.5, 0.9], [0.2, 0.3], [0.9, 0.91]]
    assert run.noc["noc@85"].tolist() == [2, 2, 1]
    assert run.clicks[0].tolist() == [[3, 4, 1, REGION], [5, 6, 0, REGION], [7, 8, 1, BOUNDARY]]


def test_runs_that_differ_in_their_seed_are_one_method(runs):
    first, second = methods(
        [(None, run) for run in (runs[0][0], runs[1][0], runs[0][1], runs[1][1])]
    )
    assert (len(first.runs), len(second.runs)) == (2, 2)
    assert (first.name, second.name) == ("x", "x, width=3")
    assert first.curves[2].tolist() == pytest.approx([0.9, 0.905])
    assert first.figure("noc@85") == (pytest.approx(5 / 3), 0)
    assert second.noc("noc@85").tolist() == [1, 2, 2]
    assert first.figure("miou@3") is None
    one, two = methods([("p", runs[0][0]), ("q", runs[0][1])])
    assert (one.name, two.name, len(one.runs)) == ("p", "q", 1)


def test_draws_of_one_network_and_user_are_one_method(tmp_path):
    user = {"_target_": "interseg.clicks.users.SampledUser"}
    drawn = [
        evaluation(
            tmp_path / f"draw{n}", [[0.5, 0.9]], callbacks={"loop": {"user": user, "seed": seed}}
        )
        for n, seed in enumerate(["${seed}", 1, 2])
    ]
    (method,) = methods([(None, run) for run in drawn])
    assert len(method.runs) == 3
    again = evaluation(
        tmp_path / "again", [[0.5, 0.9]], callbacks={"loop": {"user": user, "seed": 0}}
    )
    with pytest.raises(InputError, match=r"draw0 and .*again are both of seed 0"):
        methods([(None, run) for run in (*drawn, again)])


def test_a_name_that_is_anothers_own_drops_neither(runs):
    with pytest.raises(InputError, match="is given twice"):
        methods([("x", runs[0][0]), (None, runs[0][0])])


def test_objects_are_ordered_by_how_much_methods_differ(runs):
    found = methods([(None, run) for part in runs for run in part])
    assert most_different(found, 5) == [2, 0]
    assert most_different(found, 1) == [2]


def test_games_to_different_ends_are_told(runs, tmp_path):
    curves = [[0.9, 0.9], [0.2, 0.3], [0.5, 0.6]]
    whole = evaluation(tmp_path / "whole", curves, 0, full_curves=True)
    ended = [(None, run) for run in runs[0]]
    assert note_ends(methods(ended)) == []
    assert note_ends(methods([("whole", whole)])) == []
    (line,) = note_ends(methods([*ended, ("whole", whole)]))
    assert line.startswith(f"{tmp_path / 'whole'} was played to the last click")


def test_objects_of_the_same_names_from_other_data_are_noted(tmp_path):
    node = {"_target_": "datamodules.folder.FolderDataModule", "root": "A", "kind": "soft"}
    digests = {"list.json": "1", "weights.ckpt": "2"}
    given = [
        ("same", node, digests),
        ("loaded", node | {"loading": {"eval_batch_size": 1}}, digests | {"weights.ckpt": "3"}),
        ("written", node | {"images": str(Path("A/images").resolve()), "split": None}, digests),
        ("other", node | {"root": "B", "kind": "binary"}, digests),
        ("edited", node | {"annotations": "list.json"}, digests | {"list.json": "4"}),
    ]
    runs = [
        (name, evaluation(tmp_path / name, [[0.5, 0.9]], data=data, digests=found))
        for name, data, found in given
    ]
    assert note_data(methods(runs[:3]), with_defaults) == []
    other, edited = note_data(methods(runs), with_defaults)
    assert re.search(r"data.root \(.*A, .*B\), data.images \(.*A/images, .*B/images\)", other)
    assert "the file list.json (None, 4)" in edited


def test_what_cannot_be_compared_is_named(runs, tmp_path):
    other = evaluation(tmp_path / "other", [[0.5, 0.9]] * 3, names="abz")
    with pytest.raises(InputError, match=r"different objects, e\.g\. 2 c"):
        methods([(None, runs[0][0]), (None, other)])
    longer = evaluation(tmp_path / "longer", [[0.5, 0.6, 0.9]] * 3)
    with pytest.raises(InputError, match="targets or max_clicks differ: noc@85 of 3 clicks"):
        methods([("a", runs[0][0]), ("b", longer)])
    with pytest.raises(InputError, match=r"a0 and .*a0 are both of seed 0; .*NAME=EVALUATION"):
        methods([(None, runs[0][0]), (None, runs[0][0])])
    (tmp_path / "other" / "report.json").write_text("{")
    with pytest.raises(InputError, match="holds no finished evaluation"):
        Evaluation(tmp_path / "other")


def test_two_checkpoints_of_one_run_are_no_two_seeds(tmp_path):
    early, late = (
        evaluation(tmp_path / name, [[0.5, 0.9]], weights=name) for name in ("early", "late")
    )
    for given in (None, "x"):
        with pytest.raises(InputError, match=r"early and .*late are both of seed 0"):
            methods([(given, early), (given, late)])
    assert [method.name for method in methods([("early", early), ("late", late)])] == [
        "early",
        "late",
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: text.rindex("0.9")], "line 4"),  # cut in the last line
        (lambda text: text.replace("0.3,", "?,"), "line 3"),
        (lambda text: text.replace("3:4:1", "3:4"), "line 2"),
        (lambda text: text.replace("boundary", "bound"), "line 2"),
        (lambda text: text.replace("id,name", "name"), "line 2"),
        (lambda text: text.splitlines()[0], "line 1: there is no object"),
        (lambda text: "", "line 0: there is no object"),
        (lambda text: "\n".join(text.splitlines()[:3]), "has 2 objects, its report.json 3"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(runs, damage, message):
    folder = runs[0][0].folder
    report, table = folder / "report.json", folder / "objects.csv"
    report.write_text(json.dumps(json.loads(report.read_text()) | {"objects": 3}))
    table.write_text(damage(table.read_text()))
    with pytest.raises(InputError, match=f"a0/objects.csv.*{message}"):
        Evaluation(folder)


def test_what_is_the_same_method(tmp_path):
    curves = [[0.5, 0.9, 0.9]]
    a = evaluation(tmp_path / "a", curves, model={"pretrained": "x/0.ckpt", "augment": [1]})
    b = evaluation(tmp_path / "b", curves, 1, model={"pretrained": "x/1.ckpt", "augment": [1]})
    c = evaluation(tmp_path / "c", curves, model={"pretrained": True, "augment": [1]})
    d = evaluation(tmp_path / "d", curves, model={"pretrained": "x/0.ckpt", "augment": [2]})
    found = methods([(None, run) for run in (a, b, c, d)])
    assert [len(method.runs) for method in found] == [2, 1, 1]
    assert len({method.name for method in found}) == 3
    assert found[0].areas == pytest.approx([(0.7 + 0.9) / 2])
