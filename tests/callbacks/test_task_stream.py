"""Sequences of tasks by a real Trainer: figures and transfer, resume, two ranks, bad input."""

import csv
import json
from functools import cache

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from callbacks.transfer import Transfer
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.clis import CLIS
from tests.helpers.drawing import draw_classes
from tests.helpers.task_streams import METHODS, clis, data, trainer
from tests.helpers.training import Killed, assert_equal, last


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_classes(tmp_path_factory.mktemp("classes"), 9)


@pytest.fixture(scope="module")
def whole(folder, pretrained, tmp_path_factory):
    """The folder of a method's run of two sequences that nothing disturbs, by its name.

    It is played when it is first asked for.
    """

    @cache
    def played(name):
        root = tmp_path_factory.mktemp(name)
        trainer(root).fit(METHODS[name](pretrained[name]), data(folder))
        return root

    return played


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_its_sequences_and_their_transfer_is_written(name, whole):
    figures = json.loads((whole(name) / "transfer.json").read_text())
    rows = list(csv.DictReader((whole(name) / "transfer.csv").open()))
    assert set(figures["sequences"]) == {"0", "1"}
    answers = [r for r in rows if r["kind"] == "answer"]
    assert len(answers) == 2 * 3 * 3
    assert len([r for r in rows if r["kind"] == "refined"]) == 2 * 3
    matrix = {
        (int(r["task"]), int(r["image"])): float(r["basic"])
        for r in answers
        if r["sequence"] == "1"
    }
    found = figures["sequences"]["1"]
    assert found["forward"] == pytest.approx((matrix[0, 1] + matrix[0, 2]) / 2)
    assert found["backward"] == pytest.approx((matrix[2, 0] + matrix[2, 1]) / 2)
    basic = [float(r["basic"]) for r in rows if r["kind"] == "refined" and r["sequence"] == "1"]
    assert found["basic"] == pytest.approx(np.mean(basic))
    refined = [r for r in rows if r["kind"] == "refined" and r["sequence"] == "1"]
    assert found["whole_basic"] == pytest.approx(np.mean([float(r["iou"]) for r in refined]))
    later = [r for r in answers if r["sequence"] == "1" and r["task"] == "2" and r["image"] != "2"]
    assert found["whole_backward"] == pytest.approx(np.mean([float(r["iou"]) for r in later]))
    assert figures["mean"]["forward"] == pytest.approx(
        np.mean([s["forward"] for s in figures["sequences"].values()])
    )
    assert all(0 <= float(r["iou"]) <= 1 for r in rows)
    assert (
        sum(float(r["annotated"]) > 0 for r in rows if r["kind"] == "refined") >= 3
    )  # the user had something to teach
    state = last(whole(name))
    assert state["epoch"] == 1
    assert state["optimizer_states"][0]["state"] == {}
    rounds = [r for r in rows if r["kind"].startswith("round")]
    assert any(r["passes"] for r in rounds)
    assert all(r["passes"] for r in rounds if r["kind"] == "round 0" and float(r["annotated"]) > 0)
    assert not any(r["passes"] for r in rounds if float(r["annotated"]) == 0)
    assert [r["kind"] for r in figures["rounds"]] == ["round 0", "round 1"]
    for row in figures["rounds"]:
        taught = [r for r in rounds if r["kind"] == row["kind"] and r["passes"]]
        assert row["basic"] == pytest.approx(
            np.mean([float(r["basic"]) for r in rounds if r["kind"] == row["kind"]])
        )
        assert (row["seconds"] is None) == (not taught)
        assert row["passes"] == (
            pytest.approx(np.mean([float(r["passes"]) for r in taught])) if taught else None
        )
    # two steps, and three draws or the one answer; CLIS' last round, its information
    expected = {"clis": {"5", "6"}, "naive": {"3"}}
    if name in expected:
        assert {r["passes"] for r in rounds if r["passes"]} == expected[name]
    if name == "clis":
        assert len(state["state_dict"]["memory.pairs"]) == 3  # of the second sequence only
        assert 0 < float(state["state_dict"]["memory.threshold"]) < np.inf
    if name == "packnet":
        assert int(state["state_dict"]["consolidation.tasks"]) == 1 + 3


def test_a_task_costs_its_embedding_and_its_gates_and_nothing_else(folder, pretrained, tmp_path):
    sizes = []
    for length in (3, 4):
        module = clis(pretrained["clis"], steps=1)
        stream = data(folder, rounds=1, length=length)
        trainer(tmp_path / str(length), epochs=1).fit(module, stream)
        state = last(tmp_path / str(length))
        assert not state["optimizer_states"][0]["state"]
        sizes.append(
            sum(value.numel() * value.element_size() for value in state["state_dict"].values())
        )
    pair = 4 * (2 * module.embedding.latents + sum(module.network.counts))
    assert np.diff(sizes).tolist() == [pair]


@pytest.mark.parametrize("name", ["clis", "packnet"])
def test_images_smaller_than_the_pooling_are_played(name, folder, pretrained, tmp_path):
    stream = data(folder, rounds=1, size=(5, 7))
    trainer(tmp_path, epochs=1).fit(METHODS[name](pretrained[name]), stream)
    assert 0 < json.loads((tmp_path / "transfer.json").read_text())["mean"]["backward"] < 1


def test_a_sequence_begins_with_what_was_pretrained_whatever_came_before(
    folder, pretrained, whole, tmp_path
):
    for name in ("clis", "packnet"):
        both, alone = whole(name), tmp_path / name
        trainer(alone, epochs=1).fit(METHODS[name](pretrained[name]), data(folder, sequence=1))
        figures = [
            json.loads((root / "transfer.json").read_text())["sequences"]["1"]
            for root in (both, alone)
        ]
        assert figures[0] == figures[1]


@pytest.mark.parametrize(
    ("name", "step"), [("clis", 3), ("clis", 9), ("lwf", 9), ("ewc", 9), ("packnet", 9)]
)
def test_killed_in_a_sequence_it_goes_on_with_equal_weights_and_figures(
    name, step, folder, pretrained, whole, tmp_path
):
    class KillBatch(Callback):
        """Ends a training before a round, counted over the sequences."""

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if 6 * trainer.current_epoch + batch_idx == step:
                raise Killed

    cut = tmp_path / "cut"
    with pytest.raises(Killed):
        trainer(cut, KillBatch(), every=1).fit(METHODS[name](pretrained[name]), data(folder))
    again = trainer(cut)
    again.fit(
        METHODS[name](pretrained[name]),
        data(folder),
        ckpt_path=cut / "checkpoints" / "last.ckpt",
        weights_only=True,
    )
    assert_equal(last(whole(name))["state_dict"], last(cut)["state_dict"])
    assert (whole(name) / "transfer.csv").read_text() == (cut / "transfer.csv").read_text()


def test_ended_by_time_in_a_sequence_it_goes_on_with_the_next_round(
    folder, pretrained, whole, tmp_path
):
    class EndOfTime(Callback):
        """Ends a training behind a round of the second sequence, as Lightning's Timer does."""

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop = trainer.current_epoch == 1 and batch_idx == 2

    trainer(tmp_path, EndOfTime()).fit(METHODS["ewc"](pretrained["ewc"]), data(folder))
    file = tmp_path / "checkpoints" / "last.ckpt"
    again = trainer(tmp_path)
    again.fit(METHODS["ewc"](pretrained["ewc"]), data(folder), ckpt_path=file, weights_only=True)
    assert_equal(last(whole("ewc"))["state_dict"], last(tmp_path)["state_dict"])
    assert (whole("ewc") / "transfer.csv").read_text() == (tmp_path / "transfer.csv").read_text()


@pytest.mark.parametrize(("name", "rounds"), [("clis", 1), ("ewc", 2)])
def test_two_ranks_give_what_one_gives(name, rounds, folder, pretrained, tmp_path):
    for devices in (1, 2):
        root = tmp_path / str(devices)
        method = METHODS[name](
            pretrained[name]
        )  # before the Trainer, whose seed the ranks have in common
        trainer(root, devices=devices, precision="64-true", epochs=1).fit(
            method, data(folder, rounds=rounds, sequence=1)
        )
    rows = [list(csv.DictReader((tmp_path / n / "transfer.csv").open())) for n in ("1", "2")]
    assert rows[0] == rows[1]
    weights = [last(tmp_path / n)["state_dict"] for n in ("1", "2")]
    for key, value in weights[0].items():
        assert torch.allclose(value.double(), weights[1][key].double(), atol=1e-5), key


def test_what_does_not_fit_is_named(folder, pretrained, tmp_path):
    cases = [
        (lambda: clis(), "sequence", "protocol.kind is 'sequence' and model.pretrained is None"),
        (lambda: clis(pretrained["clis"]), "offline", "pretrain offline without a checkpoint"),
        (lambda: clis(pretrained["naive"]), "sequence", "does not fit"),
        (
            lambda: clis(str(folder / "images" / "0.png")),
            "sequence",
            "cannot be read as a checkpoint",
        ),
    ]
    for method, kind, message in cases:
        with pytest.raises(InputError, match=message):
            trainer(tmp_path).fit(method(), data(folder, kind))
    with pytest.raises(InputError, match=r"forward_after=1, backward_after=3 with 2 tasks"):
        trainer(tmp_path).fit(clis(pretrained["clis"]), data(folder, length=2))
    with pytest.raises(InputError, match=r"after=\[4\] leaves out tasks of .*backward_after=8"):
        Transfer(after=[4])
    trainer(tmp_path, epochs=1).fit(clis(), data(folder, "offline", length=2))  # plays no sequence
    for option in ("update", "targets", "retrieval", "pretraining"):
        with pytest.raises(InputError, match=f"{option} is 'half'"):
            clis(**{option: "half"})
    with pytest.raises(InputError, match="not variational"):
        CLIS(CLISNetwork(2, 4, 4, variational=False))
