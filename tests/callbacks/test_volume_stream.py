"""Streams of volumes by a real Trainer: figures, resume, two ranks, controls, bad input."""

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from callbacks.checkpoint import LastCheckpoint
from callbacks.dice import VolumeDice
from callbacks.slice_loop import SliceLoop
from callbacks.volume_report import VolumeReport, draw_labour
from configs import build, load, resolve
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.protocol import StreamProtocol
from interseg.errors import InputError
from interseg.volumes.measures import (
    count_touched,
    dice,
    falling_confidence,
    labour,
    residual,
    step_confidence,
)
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import BACKENDS
from interseg.volumes.slices import index
from interseg.volumes.users import SliceUser
from lightning_modules.dynamic3d import Dynamic3D, flip_and_turn
from tests.helpers.training import Killed, assert_equal, quiet_trainer
from tests.helpers.volumes import case, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("volumes")
    for i in range(6):
        image, mask = case(i)
        save(image, root / "images" / f"c{i}.nii.gz")
        save(mask, root / "labels" / f"c{i}.nrrd")
    return root


PLAYED = ("kind", "sequences", "sequence", "rounds", "labels", "volumes", "first")


def data(folder, **options):
    played = {key: options.pop(key) for key in PLAYED if key in options}
    if played.get("kind") != "offline":
        whole = played.get("labels") == "whole"
        played = {"sequences": 2, "rounds": 1 if whole else 2} | played
    given = {
        "size": (8, 16, 14),
        "held_out": 2,
        "stream": 3,
        "protocol": StreamProtocol(**played),
        "margin": 2,
        "cache": str(folder / "cache"),
    }
    return VolumeFolderDataModule(str(folder), **given | options)


def method(**options):
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.ReLU(), nn.Conv3d(6, 1, 3, padding=1)
    )
    return Dynamic3D(
        network,
        divisor=8,
        **{"replay": {"slots": 4, "size": 3}, "samples": 2, "steps": 3, "more_steps": 1} | options,
    )


def trainer(root, *callbacks, epochs=2, devices=1, precision="32-true", loop=None):
    return quiet_trainer(
        root,
        [loop or SliceLoop(SliceUser()), VolumeDice(every=2), LastCheckpoint(1), *callbacks],
        epochs,
        devices,
        precision,
    )


def rows(root):
    return list(csv.DictReader((root / "dice.csv").open()))


def last(root):
    return torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)


def test_rounds_and_evaluations_of_every_permutation_are_written(folder, tmp_path):
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

    trainer(tmp_path, Watch()).fit(method(), data(folder))
    found, figures = rows(tmp_path), json.loads((tmp_path / "dice.json").read_text())
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


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """The folder of a run of two permutations that nothing disturbs."""
    root = tmp_path_factory.mktemp("whole")
    trainer(root).fit(method(), data(folder))
    return root


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
        trainer(cut, KillBatch()).fit(method(), data(folder))
    again = trainer(cut)
    again.fit(
        method(), data(folder), ckpt_path=cut / "checkpoints" / "last.ckpt", weights_only=True
    )
    for part in ("state_dict", "optimizer_states", "replay"):
        assert_equal(last(whole)[part], last(cut)[part], part)
    assert (whole / "dice.csv").read_text() == (cut / "dice.csv").read_text()


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
        trainer(tmp_path / kind, Watch()).fit(method(), data(folder, kind=kind))
    assert [a is None for a, _ in answers["stream"]] == [True, True]
    assert [n for _, n in answers["stream"]] == [0, 0]
    assert [a is None for a, _ in answers["static"]] == [True, True]
    assert [a is None for a, _ in answers["offline"]] == [True, False]
    assert answers["offline"][1][1] == 3


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
    trainer(tmp_path, epochs=1).fit(method(), data(folder, volumes="held_out"))
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


def test_a_step_is_the_gradient_of_the_mean_loss_of_the_volume_and_its_replayed_samples(
    folder, tmp_path
):
    """Algorithm 5, lines 16 to 21, written out.

    Plain gradient descent, two volumes, one round each.
    """
    from interseg.losses import weighted_cross_entropy_and_dice
    from lightning_modules.optimisation import Optimisation

    given = {
        "augment": False,
        "steps": 3,
        "more_steps": 2,
        "optimisation": Optimisation("sgd", learning_rate=0.1, momentum=0.0),
    }
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append((batch["volume"], batch["target"], batch["confidence"]))

    learner = method(**given)
    expected = method(**given).double()
    source = data(folder, sequences=1, rounds=2, stream=2)
    trainer(tmp_path, Watch(), epochs=1, precision="64-true").fit(learner, source)
    network, previous, buffer = expected.network, None, {}
    for number, (volume, proxy, weight) in enumerate(seen):
        t, i = divmod(number, 2)
        if i == 0:
            previous = (
                torch.zeros_like(proxy) if t == 0 else expected.predict({"volume": volume}).double()
            )
        share = 1.0 if t == 0 else 0.98
        target = (1 - share) * previous + share * proxy
        others = [sample for key, sample in buffer.items() if key != t]
        for _ in range(3 + 2 * i):
            losses = [
                weighted_cross_entropy_and_dice(expected.segment({"volume": x}), y, w)
                for x, y, w in [(volume, target, weight), *others]
            ]
            gradients = torch.autograd.grad(sum(losses) / len(losses), list(network.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient
        buffer[t] = tuple(part.half().double() for part in (volume, target, weight))
    for ours, plain in zip(learner.network.parameters(), network.parameters(), strict=True):
        assert torch.allclose(ours, plain, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "confidence", "backend", "inclusive"),
    [
        ({}, lambda shape, labelled: step_confidence(shape, labelled, 4.0), "dis", False),
        (
            {"omega": 2.0, "registration": "copy"},
            lambda shape, labelled: step_confidence(shape, labelled, 2.0),
            "copy",
            False,
        ),
        (
            {"confidence": "falling", "reach": 3.0},
            lambda shape, labelled: falling_confidence(shape, labelled, 3.0),
            "dis",
            False,
        ),
        (
            {"confidence": "none", "inclusive": True},
            lambda shape, labelled: np.ones(shape),
            "dis",
            True,
        ),
    ],
)
def test_a_rounds_target_and_weights_are_those_of_its_settings(
    options, confidence, backend, inclusive, folder, tmp_path
):
    """And the user is guided by what the segmenter has said, from the second round of a cold
    stream on.
    """
    asked = []

    class User(SliceUser):
        def annotate(self, proxy, truth, probabilities, labelled, generator):
            asked.append(None if probabilities is None else probabilities.copy())
            return super().annotate(proxy, truth, probabilities, labelled, generator)

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            volume, truth = batch["volume"][0, 0].numpy(), batch["mask"][0].numpy().astype(bool)
            proxy = ProxyMask(volume, BACKENDS[backend])
            for axis, numbers in batch["labelled"].items():
                proxy.label(axis, {number: truth[index(axis, number)] for number in numbers})
            assert np.array_equal(
                batch["target"][0, 0].numpy() > 0.5, proxy.merge(inclusive=inclusive)
            )
            assert np.allclose(
                batch["confidence"][0, 0].numpy(), confidence(truth.shape, batch["labelled"])
            )
            cold = batch["task"] == batch["round"] == 0
            assert (
                asked[-1] is None
                if cold
                else np.array_equal(asked[-1], pl_module.predict(batch)[0, 0])
            )

    trainer(tmp_path, Watch(), epochs=1, loop=SliceLoop(User(), **options)).fit(
        method(), data(folder)
    )
    assert len(asked) == 6


def test_permutations_are_labelled_by_draws_of_their_own(folder, tmp_path):
    labelled = {}

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            labelled.setdefault(batch["sequence"], {})[int(batch["id"])] = {
                k: tuple(v) for k, v in batch["labelled"].items()
            }

    trainer(tmp_path, Watch(), loop=SliceLoop(SliceUser(guided=False))).fit(method(), data(folder))
    assert labelled[0].keys() == labelled[1].keys()
    assert labelled[0] != labelled[1]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_what_a_stream_says_and_is_measured_by_is_of_its_precision(precision, folder, tmp_path):
    answers, held = [], []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch["round"]:
                assert np.array_equal(
                    batch["answer"], answers[-1]
                )  # nothing was learned in between

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            answers.append(outputs["probabilities"][0, 0].numpy())
            if batch["last_round"] and batch["task"] == 2:
                for number in trainer.datamodule.split()[0]:
                    one = trainer.datamodule.one(number)
                    with trainer.precision_plugin.forward_context():
                        answer = pl_module.predict(one)[0, 0].numpy()
                    held.append(dice(answer > 0.5, one["mask"][0].numpy() > 0))

    trainer(tmp_path, Watch(), VolumeReport(), epochs=1, precision=precision).fit(
        method(), data(folder)
    )
    assert answers[0].dtype == np.float32
    assert [
        float(row["dice"])
        for row in rows(tmp_path)
        if row["kind"] == "held_out" and row["seen"] == "3"
    ] == held


def test_weights_that_have_diverged_end_the_stream(folder, tmp_path):
    class Diverge(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            for parameter in pl_module.parameters():
                parameter.data.fill_(float("nan"))

    with pytest.raises(InputError, match="answers with NaN: its weights have diverged, or"):
        trainer(tmp_path, Diverge(), epochs=1).fit(method(), data(folder))


def test_targets_are_smoothed_the_more_the_further_the_stream_down_to_a_floor(folder, tmp_path):
    seen = []

    class Watching(Dynamic3D):
        def _step(self, samples, place):
            seen.append((self.before.clone(), samples[0][1].clone()))
            return super()._step(samples, place)

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            before, target = seen[-1]
            share = (1.0, 0.7, 0.6)[batch["task"]]
            assert torch.allclose(target, (1 - share) * before + share * batch["target"])
            assert batch["task"] == 0 or not torch.equal(target, batch["target"])

    learner = Watching(
        method().network, divisor=8, steps=1, smoothing_floor=0.6, smoothing_rate=0.3
    )
    trainer(tmp_path, Watch(), epochs=1).fit(learner, data(folder))
    assert len(seen) == 3 * (1 + 6)


def test_augmentation_is_of_training_alone(folder, tmp_path):
    found = {}
    for name, options in {"none": {"augment": False}, "flips": {"turn": 0.0}, "turns": {}}.items():
        learner = method(**options)
        (tmp_path / name).mkdir()
        trainer(tmp_path / name, epochs=1).fit(learner, data(folder, stream=1, rounds=1))
        found[name] = torch.cat([p.detach().ravel() for p in learner.network.parameters()])
    assert not torch.allclose(found["none"], found["flips"])
    assert not torch.allclose(found["flips"], found["turns"])


def test_the_unseen_rest_is_measured_on_demand(folder, tmp_path):
    measured = quiet_trainer(
        tmp_path, [SliceLoop(SliceUser()), VolumeDice(every=1, unseen=False)], 1, 1, "32-true"
    )
    measured.fit(method(), data(folder))
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
        method(), data(folder)
    )
    assert len(drawn) == len(rounds) == 6
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


def test_wholly_labelled_volumes_are_the_truth_and_a_satisfied_user_labels_no_more(
    folder, tmp_path
):
    trainer(tmp_path / "full").fit(method(), data(folder, labels="whole"))
    assert all(
        r["proxy"] == "1.0" and r["labour"] == "1.0"
        for r in rows(tmp_path / "full")
        if r["kind"] == "round"
    )
    trainer(tmp_path / "happy", loop=SliceLoop(SliceUser(), satisfied=0.85)).fit(
        method(), data(folder, rounds=4)
    )
    found = [r for r in rows(tmp_path / "happy") if r["kind"] == "round"]
    stays = []
    for first, second in itertools.pairwise(found):
        if first["volume"] == second["volume"]:
            stays.append(float(first["proxy"]) > 0.85)
            assert (second["labour"] == first["labour"]) == stays[-1]
    assert {*stays} == {True, False}


def test_a_warm_start_guides_from_the_first_round(folder, tmp_path):
    trainer(tmp_path / "first", epochs=1).fit(method(), data(folder))
    file = str(tmp_path / "first" / "checkpoints" / "last.ckpt")
    answers = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            answers.append(batch["answer"])

    trainer(tmp_path / "second", Watch(), epochs=1).fit(
        method(pretrained=file), data(folder, kind="static")
    )
    assert all(a is not None for a in answers)
    torch.save({"state_dict": {"network.other": torch.zeros(1)}}, tmp_path / "other.ckpt")
    for wrong, message in (
        ("nowhere", "nowhere cannot be read"),
        (str(tmp_path / "other.ckpt"), "other.ckpt does not fit"),
    ):
        with pytest.raises(InputError, match=message):
            trainer(tmp_path / "third", epochs=1).fit(method(pretrained=wrong), data(folder))


def test_the_answer_has_the_volumes_size_whatever_the_networks_stride():
    module = method()
    assert module.predict({"volume": torch.rand(1, 1, 5, 9, 11)}).shape == (1, 1, 5, 9, 11)
    with pytest.raises(ValueError, match="no 'volume'"):
        module.segment({})


def test_a_volume_thinner_than_the_strides_of_the_configured_network_is_answered():
    config = resolve(load(["dynamic3d.yaml"]))
    assert build(config["model"]).predict({"volume": torch.rand(1, 1, 5, 7, 8)}).shape == (
        1,
        1,
        5,
        7,
        8,
    )


def test_a_network_of_another_size_answers_at_the_volumes_resolution(folder, tmp_path):
    learner = method(size=(4, 8, 8))
    trainer(tmp_path, epochs=1).fit(learner, data(folder, sequences=1))
    assert {tuple(part.shape) for sample in learner.replay.samples for part in sample} == {
        (1, 1, 4, 8, 8)
    }
    assert learner.predict({"volume": torch.rand(1, 1, 8, 16, 14)}).shape == (1, 1, 8, 16, 14)
    assert len(rows(tmp_path)) > 6


def test_a_smaller_network_loses_no_labelled_slice():
    learner = method(size=(4, 20, 5))  # smaller by 2.5, as large, larger
    for number in range(10):
        weights = torch.from_numpy(step_confidence((10, 20, 3), {0: [number]})).float()[None, None]
        shown = learner._show(weights)
        assert shown.shape == (1, 1, 4, 20, 5)
        assert shown.amax() > 2
    assert torch.allclose(learner._show(torch.full((1, 1, 10, 20, 3), 7.0)), torch.tensor(7.0))


def test_ranks_answer_with_the_same_running_statistics(folder, tmp_path):
    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            norm = pl_module.network[1]
            torch.save(
                (norm.running_mean, norm.num_batches_tracked),
                tmp_path / f"{batch_idx}.{trainer.global_rank}.pt",
            )

    learner = method(replay=None)
    learner.network[1] = nn.BatchNorm3d(6)
    trainer(tmp_path, Watch(), devices=2, epochs=1).fit(learner, data(folder))
    for batch in range(6):
        (mean, count), (other, seen) = (
            torch.load(tmp_path / f"{batch}.{rank}.pt", weights_only=True) for rank in (0, 1)
        )
        assert torch.equal(mean, other)
        assert count == seen > 0


NATIVE = """
import resource, sys
from pathlib import Path
import numpy as np, SimpleITK, torch
from configs import build, load, resolve
from tests.callbacks.test_volume_stream import trainer

torch.set_num_threads(1)
root = Path(sys.argv[1])
grid = np.indices((155, 240, 240), dtype=np.float32)
for i in range(2):
    parts = zip(grid, (70 + 9 * i, 110, 130), (30, 40, 50), strict=True)
    target = sum(((g - c) / r) ** 2 for g, c, r in parts) < 1
    image = np.random.default_rng(i).normal(size=target.shape).astype(np.float32) + 3 * target
    for name, pixels in (("images", image), ("labels", target.astype(np.uint8))):
        (root / name).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(root / name / f"{i}.nii"))
given = ["data.size=null", "data.crop=none", "model.size=[32,48,48]", "data.held_out=1"]
given += ["protocol.rounds=1", "protocol.sequences=1"]
given += ["model.steps=2"]  # more take no more memory
given += [f"data.root={root}", f"data.cache={root}/cache"]
config = resolve(load(["dynamic3d.yaml", "data/volume_folder.yaml"], given))
loop, report = (build(config["callbacks"][name]) for name in ("loop", "report"))
source = build(config["data"])
trainer(root, report, epochs=1, loop=loop).fit(build(config["model"]), source)
assert source.one(0)["mask"].shape == (1, 155, 240, 240)
print((root / "dice.csv").read_text(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_brain_at_its_own_resolution_takes_less_than_four_gigabytes(tmp_path):
    line = [sys.executable, "-c", NATIVE, str(tmp_path)]
    done = subprocess.run(
        line, cwd=Path(__file__).parent.parent.parent, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    _, *table, peak = done.stdout.split()
    assert sum(",round," in row for row in table) == 1
    assert sum(",held_out," in row for row in table) == 1
    assert int(peak) < 4e6, "kilobytes"


def test_augmentation_moves_all_parts_alike():
    volume = torch.rand(1, 1, 4, 12, 10)
    for seed in range(5):
        a, b = flip_and_turn([volume, volume.clone()], np.random.default_rng(seed))
        assert torch.equal(a, b)
        assert a.shape == volume.shape
        assert not torch.equal(a, volume)
    flips = {
        tuple(flip_and_turn([volume], np.random.default_rng(seed), 0.0)[0].ravel().tolist())
        for seed in range(60)
    }
    assert len(flips) == 8, "along each axis or not"
    ramp = torch.arange(40.0)[:, None].expand(40, 20)[None, None, None]
    for seed in range(5):
        y, x = torch.gradient(
            flip_and_turn([ramp], np.random.default_rng(seed), 30.0)[0][0, 0, 0, 15:25, 8:12]
        )
        assert torch.hypot(y, x).mean().item() == pytest.approx(1, abs=1e-3), (
            "pixels stay square whatever the sides"
        )
        assert x.abs().mean() > 0.01
    flat = torch.full((1, 1, 4, 12, 10), 3.0)
    assert torch.allclose(flip_and_turn([flat], np.random.default_rng(0))[0], flat)


def test_the_loss_is_entropy_and_dice_with_the_same_weights():
    from interseg.losses import weighted_cross_entropy_and_dice

    logits, target, weight = (
        torch.randn(2, 1, 2, 3, 4),
        torch.rand(2, 1, 2, 3, 4),
        torch.rand(2, 1, 2, 3, 4),
    )
    expected = 0.0
    for z, y, w in zip(logits, target, weight, strict=True):
        p, share = torch.sigmoid(z), w / w.sum()
        entropy = -(share * (y * p.log() + (1 - y) * (1 - p).log())).sum()
        expected += entropy + 1 - 2 * (share * p * y).sum() / (share * (p + y)).sum()
    assert weighted_cross_entropy_and_dice(logits, target, weight).item() == pytest.approx(
        expected.item() / 2, rel=1e-5
    )
    assert weighted_cross_entropy_and_dice(logits, target, 7 * weight).item() == pytest.approx(
        expected.item() / 2, rel=1e-5
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: method(replay={"policy": "lru"}), "policy is 'lru'"),
        (lambda: SliceLoop(confidence="high"), "confidence is 'high'"),
        (lambda: SliceLoop(registration="elastix"), "registration is 'elastix'"),
        (lambda: SliceLoop(threads=0), "threads=0"),
        (lambda: SliceUser(weight=2), "weight is 2"),
        (lambda: method(steps=0), "steps=0"),
        (lambda: method(samples=-1), "samples=-1"),
        (lambda: method(smoothing_floor=3), "smoothing_floor=3"),
        (lambda: VolumeDice(every=0), "every=0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
