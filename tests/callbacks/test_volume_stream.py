"""Streams of volumes by a real Trainer: what is written and measured, resume, two ranks."""

import json

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from callbacks.dice import VolumeDice
from callbacks.slice_loop import SliceLoop
from callbacks.volume_report import VolumeReport, draw_labour
from interseg.errors import InputError
from interseg.volumes.measures import (
    count_touched,
    dice,
    labour,
    residual,
)
from interseg.volumes.users import SliceUser
from tests.helpers.training import Killed, assert_equal, last, quiet_trainer
from tests.helpers.volume_streams import data, method, rows, trainer
from tests.helpers.volumes import draw_volumes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_volumes(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """The folder of a run of two permutations that nothing disturbs, and what its rounds were."""
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            labelled = {axis: list(numbers) for axis, numbers in trainer.callbacks[0].given.items()}
            answer = outputs["probabilities"][0, 0].numpy() > 0.5
            seen.append(
                (
                    batch["mask"][0].numpy().astype(bool),
                    answer,
                    batch["proxy"],
                    labelled,
                    batch["labour"],
                )
            )
            assert outputs["probabilities"].shape == batch["volume"].shape

    root = tmp_path_factory.mktemp("whole")
    trainer(root, Watch()).fit(method(), data(folder))
    return root, seen


def test_rounds_and_evaluations_of_every_permutation_are_written(whole):
    root, seen = whole
    found, figures = rows(root), json.loads((root / "dice.json").read_text())
    rounds = [r for r in found if r["kind"] == "round"]
    assert len(rounds) == 2 * 3 * 2
    for row, (truth, answer, proxy, labelled, cost) in zip(rounds, seen, strict=True):
        assert float(row["dice"]) == pytest.approx(dice(answer, truth))
        assert float(row["proxy"]) == pytest.approx(dice(proxy, truth))
        assert float(row["agreement"]) == pytest.approx(dice(answer, proxy))
        assert (int(row["slices"]), int(row["touched"])) == (
            sum(map(len, labelled.values())),
            sum(count_touched(truth)[a] for a in labelled),
        )
        assert float(row["labour"]) == pytest.approx(cost)
        assert cost == pytest.approx(labour(labelled, count_touched(truth)))
    held = [r for r in found if r["kind"] == "held_out"]
    assert len(held) == 2 * 2 * 2  # after 2 volumes and after all 3, in both permutations
    assert {r["seen"] for r in held} == {"2", "3"}
    assert len([r for r in found if r["kind"] == "unseen"]) == 2 * 1
    by = [
        [float(r["dice"]) for r in held if r["permutation"] == p and r["seen"] == "3"] for p in "01"
    ]
    assert figures["held_out"]["3"]["mean"]["mean"] == pytest.approx(
        np.mean([np.mean(v) for v in by])
    )
    assert figures["held_out"]["3"]["min"]["std"] == pytest.approx(
        np.std([min(v) for v in by], ddof=1)
    )
    assert figures["rounds"][1]["labour"] > figures["rounds"][0]["labour"]
    assert figures["rounds"][1]["proxy"] > figures["rounds"][0]["proxy"]


@pytest.mark.parametrize("step", [1, 5, 8])
def test_killed_in_a_stream_it_goes_on_with_equal_weights_replay_and_figures(
    step, folder, whole, tmp_path
):
    class KillBatch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if 6 * trainer.current_epoch + batch_idx == step:
                raise Killed

    cut = tmp_path / "cut"
    with pytest.raises(Killed):
        trainer(cut, KillBatch(), every=1).fit(method(), data(folder))
    again = trainer(cut)
    again.fit(
        method(), data(folder), ckpt_path=cut / "checkpoints" / "last.ckpt", weights_only=True
    )
    for part in ("state_dict", "optimizer_states", "replay"):
        assert_equal(last(whole[0])[part], last(cut)[part], part)
    assert (whole[0] / "dice.csv").read_text() == (cut / "dice.csv").read_text()


def test_two_ranks_give_what_one_gives(folder, tmp_path):
    for devices in (1, 2):
        learner = method()  # before the Trainer, whose seed the ranks have in common
        trainer(tmp_path / str(devices), devices=devices, precision="64-true", epochs=1).fit(
            learner, data(folder)
        )
    assert rows(tmp_path / "1") == rows(tmp_path / "2")
    for key, value in last(tmp_path / "1")["state_dict"].items():
        assert torch.allclose(value, last(tmp_path / "2")["state_dict"][key], atol=1e-5), key


def test_a_permutation_starts_anew_and_offline_epochs_do_not(folder, tmp_path):
    answers = {}

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 0:
                kind = trainer.datamodule.protocol.kind
                answers.setdefault(kind, []).append((batch["answer"], len(pl_module.replay)))

    for kind in ("stream", "offline", "static"):
        given = {} if kind == "offline" else {"rounds": 1}
        trainer(tmp_path / kind, Watch()).fit(method(), data(folder, kind=kind, stream=2, **given))
    assert [a is None for a, _ in answers["stream"]] == [True, True]
    assert [n for _, n in answers["stream"]] == [0, 0]
    assert [a is None for a, _ in answers["static"]] == [True, True]
    assert [a is None for a, _ in answers["offline"]] == [True, False]
    assert answers["offline"][1][1] == 2


def test_each_volume_by_itself_gives_the_same_in_any_order(folder, tmp_path):
    orders = {}
    for name, turn in (("forth", 1), ("back", -1)):
        source = data(folder, kind="static")
        order = source.order
        source.order = lambda permutation, order=order, turn=turn: order(permutation)[::turn]
        trainer(tmp_path / name, epochs=1).fit(method(), source)
        orders[name] = rows(tmp_path / name)
    assert {row["kind"] for row in orders["forth"]} == {"round"}, "nothing is learned for others"
    assert [row["volume"] for row in orders["forth"]] == [row["volume"] for row in orders["back"]][
        ::-1
    ]
    forth, back = (
        sorted(
            ({k: v for k, v in row.items() if k != "seen"} for row in orders[name]),
            key=lambda row: (row["volume"], row["round"]),
        )
        for name in ("forth", "back")
    )
    assert forth == back
    assert {int(row["volume"]) for row in forth} == set(data_split(folder)[0])


def data_split(folder):
    source = data(folder)
    source.objects("train")
    return source.split()


def test_a_stream_of_held_out_volumes_is_not_tested_on_them(folder, tmp_path):
    trainer(tmp_path, epochs=1).fit(method(), data(folder, volumes="held_out", rounds=1))
    assert {row["kind"] for row in rows(tmp_path)} == {"round"}
    assert {int(row["volume"]) for row in rows(tmp_path)} == set(data_split(folder)[0])


def test_offline_training_is_measured_after_its_last_epoch(folder, tmp_path):
    answers = []

    class Watch(Callback):
        def on_train_end(self, trainer, pl_module):
            for number in data_split(folder)[0]:
                batch = trainer.datamodule.one(number)
                answers.append(
                    dice(
                        pl_module.predict(batch)[0, 0].numpy() > 0.5,
                        batch["mask"][0].numpy() > 0,
                    )
                )

    offline = method(replay=None, smoothing=False)
    trainer(tmp_path, Watch(), epochs=3).fit(offline, data(folder, kind="offline"))
    held = [float(row["dice"]) for row in rows(tmp_path) if row["kind"] == "held_out"]
    assert held == pytest.approx(answers)
    assert {row["permutation"] for row in rows(tmp_path)} == {"2"}
    assert {(row["labour"], row["slices"]) for row in rows(tmp_path) if row["kind"] == "round"} == {
        ("1.0", row["touched"]) for row in rows(tmp_path) if row["kind"] == "round"
    }, "whole labels are all the slices of one plane"
    trainer(tmp_path, epochs=4).fit(
        method(replay=None, smoothing=False),
        data(folder, kind="offline"),
        ckpt_path=tmp_path / "checkpoints" / "last.ckpt",
        weights_only=True,
    )
    assert {row["permutation"] for row in rows(tmp_path)} == {"3"}, "a longer one is one training"


def test_offline_training_on_a_prefix_is_measured_on_the_rest_of_the_stream(folder, tmp_path):
    offline, source = (
        method(replay=None, smoothing=False),
        data(folder, kind="offline", first=(1, 2)),
    )
    trainer(tmp_path, epochs=3).fit(offline, source)
    learned = {row["volume"] for row in rows(tmp_path) if row["kind"] == "round"}
    unseen = {row["volume"] for row in rows(tmp_path) if row["kind"] == "unseen"}
    assert len(learned) == 2
    assert learned | unseen == {str(volume) for volume in source.streamed()}
    assert not learned & unseen
    assert {row["seen"] for row in rows(tmp_path) if row["kind"] != "round"} == {"2"}


def test_more_epochs_than_permutations_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"trainer\.max_epochs is 3, and the protocol plays 2"):
        trainer(tmp_path, epochs=3).fit(method(), data(folder))


def test_the_unseen_rest_is_measured_on_demand(folder, tmp_path):
    measured = quiet_trainer(
        tmp_path, [SliceLoop(SliceUser()), VolumeDice(every=1, unseen=False)], 1, 1, "32-true"
    )
    measured.fit(method(), data(folder, rounds=1))
    assert {row["kind"] for row in rows(tmp_path)} == {"round", "held_out"}


def test_the_page_shows_what_its_panels_are_named_after(folder, tmp_path, monkeypatch):
    drawn, rounds = [], []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            rounds.append((batch, outputs["probabilities"][0, 0].numpy()))

    from callbacks.pages import draw_panels

    monkeypatch.setattr(
        "callbacks.volume_report.draw_panels",
        lambda panels, *rest: drawn.append(panels) or draw_panels(panels, *rest),
    )
    trainer(tmp_path, Watch(), VolumeReport(), epochs=1, loop=SliceLoop(SliceUser(weight=0.1))).fit(
        method(), data(folder, stream=2)
    )
    assert len(drawn) == len(rounds) == 4
    for panels, (batch, answer) in zip(drawn, rounds, strict=True):
        truth = batch["mask"][0].numpy()
        number = int(truth.sum((0, 1)).argmax())  # of the plane that nobody labels
        expected = {
            "image": batch["volume"][0, 0].numpy(),
            "truth": truth,
            "proxy": batch["proxy"],
            "answer": answer,
            "residual": residual(batch["proxy"], answer, batch["labelled"], 0.1),
            "confidence": batch["confidence"][0, 0].numpy(),
        }
        assert list(panels) == list(expected)
        for name, volume in expected.items():
            assert np.allclose(panels[name], volume[:, :, number]), name


def test_curves_are_means_over_volumes_against_mean_labour_and_over_the_stream():
    names = ("volume", "round", "proxy", "dice", "agreement", "labour")
    table = [
        (0, 0, 0.2, 0.3, 0.1, 0.1),
        (0, 1, 0.4, 0.5, 0.3, 0.2),
        (1, 0, 0.6, 0.1, 0.5, 0.3),
        (1, 1, 0.8, 0.9, 0.5, 0.4),
    ]
    left, middle, right = draw_labour([dict(zip(names, row, strict=True)) for row in table]).axes
    lines = {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in left.lines}
    assert np.allclose(lines["proxy mask and truth"], [[0.2, 0.3], [0.4, 0.6]])
    assert np.allclose(lines["answer and truth"], [[0.2, 0.3], [0.2, 0.7]])
    assert np.allclose(lines["answer and proxy mask"], [[0.2, 0.3], [0.3, 0.4]])
    assert [line.get_ydata().tolist() for line in middle.lines] == [
        pytest.approx(v) for v in ([0.4, 0.6], [0.5, 0.7], [0.3, 0.4])
    ]
    assert right.lines[0].get_ydata().tolist() == pytest.approx([0.2, 0.3])
