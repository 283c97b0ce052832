"""Rounds of volumes by a real Trainer: a step's loss, targets, weights, controls."""

import itertools

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import nn

from callbacks.slice_loop import SliceLoop
from callbacks.volume_report import VolumeReport
from interseg.errors import InputError
from interseg.volumes.measures import (
    dice,
    falling_confidence,
    step_confidence,
)
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import BACKENDS
from interseg.volumes.slices import index
from interseg.volumes.users import SliceUser
from lightning_modules.dynamic3d import Dynamic3D
from tests.helpers.volume_streams import data, method, rows, trainer
from tests.helpers.volumes import draw_volumes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_volumes(tmp_path_factory.mktemp("volumes"))


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
        method(), data(folder, stream=2)
    )
    assert len(asked) == 4


def test_permutations_are_labelled_by_draws_of_their_own(folder, tmp_path):
    labelled = {}

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            labelled.setdefault(batch["sequence"], {})[int(batch["id"])] = {
                k: tuple(v) for k, v in batch["labelled"].items()
            }

    unguided = trainer(tmp_path, Watch(), loop=SliceLoop(SliceUser(guided=False)))
    unguided.fit(method(), data(folder, rounds=1))
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

    pages = [VolumeReport(volumes=1)] if precision == "bf16-true" else []
    trainer(tmp_path, Watch(), *pages, epochs=1, precision=precision).fit(method(), data(folder))
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
        trainer(tmp_path / name, epochs=1).fit(learner, data(folder, stream=1, rounds=1))
        found[name] = torch.cat([p.detach().ravel() for p in learner.network.parameters()])
    assert not torch.allclose(found["none"], found["flips"])
    assert not torch.allclose(found["flips"], found["turns"])


def test_wholly_labelled_volumes_are_the_truth_and_a_satisfied_user_labels_no_more(
    folder, tmp_path
):
    trainer(tmp_path / "full", epochs=1).fit(method(), data(folder, labels="whole"))
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
    trainer(tmp_path / "first", epochs=1).fit(method(), data(folder, stream=1, rounds=1))
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
    trainer(tmp_path, Watch(), devices=2, epochs=1).fit(learner, data(folder, rounds=1))
    for batch in range(3):
        (mean, count), (other, seen) = (
            torch.load(tmp_path / f"{batch}.{rank}.pt", weights_only=True) for rank in (0, 1)
        )
        assert torch.equal(mean, other)
        assert count == seen > 0
