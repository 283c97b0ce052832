"""Evaluations that were killed, and the records that they go on from."""

import json
from shutil import copytree

import pytest
import torch
from pytorch_lightning import Callback

from callbacks.report import Report
from interseg.evaluation.metrics import OUTCOME
from interseg.evaluation.records import EvaluationRecord
from tests.helpers.click_runs import data, module, trainer
from tests.helpers.training import Killed


class KillTest(Callback):
    """Ends an evaluation before a batch."""

    def __init__(self, batch):
        self.batch = batch

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if batch_idx == self.batch:
            raise Killed


def evaluated(root, source, *callbacks, batches=1.0, page=True):
    """Play all objects, in batches of three, from what an evaluation in the same folder had
    finished; the figures without seconds.
    """
    objects = data(source)
    objects.record = EvaluationRecord(root, {"name": "x"}, objects.names("test"))
    pages = [Report(spread=2, hardest=2)] if page else []
    test = trainer(root, *pages, *callbacks)
    test.limit_test_batches = batches
    test.test(module(), objects, verbose=False)
    figures = json.loads((root / "report.json").read_text())
    return {key: value for key, value in figures.items() if "seconds" not in key}, (
        root / "objects.csv"
    ).read_text()


@pytest.fixture(scope="module")
def evaluation(photos, tmp_path_factory):
    """The folder of an evaluation that nothing disturbs, and its figures."""
    root = tmp_path_factory.mktemp("evaluation")
    return root, evaluated(root, photos)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_killed_evaluation_goes_on_to_the_same_figures_and_pictures(
    photos, evaluation, tmp_path, batch
):
    root, whole = evaluation
    with pytest.raises(Killed):
        evaluated(tmp_path / "cut", photos, KillTest(batch))
    (record,) = (tmp_path / "cut").glob("objects.*.jsonl")
    record.write_text(record.read_text() + '{"id": [7')  # cut while a line was written
    names = data(photos).names("test")
    assert (
        len(EvaluationRecord(tmp_path / "cut", {"name": "x"}, names).read_ids())
        == [0, 3, 6, 8][batch]
    )
    assert evaluated(tmp_path / "cut", photos) == whole
    pages = [(folder / "report.html").read_text() for folder in (root, tmp_path / "cut")]
    assert pages[0].count("data:image/jpeg") == pages[1].count("data:image/jpeg") > 4
    assert [line for line in pages[0].splitlines() if "jpeg" in line] == [
        line for line in pages[1].splitlines() if "jpeg" in line
    ]


def test_a_photo_that_was_damaged_since_it_was_played_costs_its_picture_alone(
    photos, evaluation, tmp_path
):
    source, cut = copytree(photos, tmp_path / "folder"), tmp_path / "cut"
    with pytest.raises(Killed):
        evaluated(cut, source, KillTest(2))
    names = data(photos).names("test")
    played = EvaluationRecord(cut, {"name": "x"}, names).read_ids()
    photo_of = [name.partition(":")[0] for name in names]
    left = {photo_of[id] for id in set(range(len(names))) - played}
    gone = set(photo_of) - left
    for name in gone:
        whole = (source / "images" / name).read_bytes()
        (source / "images" / name).write_bytes(whole[: len(whole) // 2])  # its header is there
    assert evaluated(cut, source) == evaluation[1]
    page = (cut / "report.html").read_text()
    assert "not drawn: " in page
    assert any(f"{name} cannot be read" in page for name in gone)


def test_an_evaluation_of_the_first_batches_begins_again(photos, tmp_path):
    whole = evaluated(tmp_path / "whole", photos, batches=2, page=False)
    assert whole[0]["objects"] == 6
    with pytest.raises(Killed):
        evaluated(tmp_path / "cut", photos, KillTest(1), batches=2, page=False)
    assert evaluated(tmp_path / "cut", photos, batches=2, page=False) == whole


def test_objects_without_what_a_method_contributes_by_now_are_played_again(tmp_path):
    record = EvaluationRecord(tmp_path, {}, ["a.png"])
    record.keep(0, outcome_of(4), OUTCOME)
    more = outcome_of(5) | {"of_a_method": torch.ones(1)}
    record.keep(0, more, [*OUTCOME, "of_a_method"])
    assert record.read_ids() == {4, 5}
    record.keys = (*OUTCOME, "of_a_method")
    assert record.read_ids() == {5}


def outcome_of(*ids):
    return {key: torch.zeros(len(ids), 2) for key in OUTCOME} | {
        "id": torch.tensor(ids),
        "curves": torch.full((len(ids), 2), 1 / 3),
    }


def test_an_evaluation_of_another_config_or_of_other_objects_takes_nothing_over(tmp_path):
    names = ["a.png", "b.png"]

    def record(names=names, **config):
        return EvaluationRecord(tmp_path, {"name": "x"} | config, names)

    outcome = outcome_of(4) | {"of_a_method": torch.ones(1, dtype=torch.int64)}
    record().keep(0, outcome, [*OUTCOME, "of_a_method"])
    (back,) = record().read_batches()
    assert torch.equal(back["curves"], torch.full((1, 2), 1 / 3, dtype=torch.float32).double())
    assert torch.equal(back["of_a_method"], outcome["of_a_method"])
    assert back["starts"].dtype == torch.float64
    for others in (["a.png"], ["a.png", "a2.png", "b.png"], ["b.png", "a.png"]):
        assert record(others).read_ids() == set()
    same = {
        "run": "elsewhere",
        "logger": "wandb",
        "trainer": {"accelerator": "cpu"},
        "callbacks": {"report": None},
        "overwrite": True,
    }
    assert record(**same).read_ids() == {4}
    assert not record(**same).has_others()
    trainers = [{"trainer": given} for given in ({"precision": "bf16"}, {"limit_test_batches": 2})]
    for other in (
        {"name": "y"},
        {"callbacks": {"loop": {"user": "z"}}},
        *trainers,
        {"digests": {"a": "1"}},
    ):
        assert record(**other).read_ids() == set()
        assert record(**other).has_others()


def test_a_file_that_is_replaced_under_its_path_is_another_evaluation(tmp_path):
    weights = tmp_path / "weights.ckpt"
    weights.write_bytes(b"one")

    def record():
        return EvaluationRecord(
            tmp_path, {"model": {"pretrained": str(weights)}, "refiner": None}, ["a.png"]
        )

    record().keep(0, outcome_of(0), OUTCOME)
    assert record().read_ids() == {0}
    weights.write_bytes(b"two")
    assert record().read_ids() == set()
    assert record().has_others()
    weights.write_bytes(b"one")
    assert record().read_ids() == {0}


def test_objects_that_are_added_between_a_kill_and_a_resume_do_not_mix(photos, tmp_path):
    source = copytree(photos, tmp_path / "folder")
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    with pytest.raises(Killed):
        evaluated(cut, source, KillTest(2), page=False)
    for kind in ("images", "masks"):
        (source / kind / "4.png").rename(
            source / kind / "00.png"
        )  # the first object now, the others' ids move up
    assert evaluated(cut, source, page=False) == evaluated(whole, source, page=False)


@pytest.mark.parametrize(
    "cut",
    [
        b'{"id": [7',
        b'{"id": [7]}',
        b"\x00\xff\xfe",
        b'{"id": "x"}\n',
        b"[]\n",
        b'{"id": [[1], [2, 3]]}\n',
    ],
)
def test_a_damaged_record_costs_its_own_line_only(tmp_path, cut):
    record = EvaluationRecord(tmp_path, {}, ["a.png"])
    record.keep(0, outcome_of(4), OUTCOME)
    (file,) = tmp_path.glob("objects.*")
    file.write_bytes(file.read_bytes() + cut)
    for id in (5, 6):
        record.keep(0, outcome_of(id), OUTCOME)
    assert record.read_ids() == {4, 5, 6}
