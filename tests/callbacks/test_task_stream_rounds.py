"""Rounds of a sequence: annotations that stay, what is learned of them, and users who give none."""

import csv
import itertools

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from interseg.continual.consolidation import PackNet
from interseg.errors import InputError
from interseg.evaluation.overlap import mean_iou
from tests.helpers.drawing import draw_classes
from tests.helpers.task_streams import METHODS, Satisfied, baseline, clis, data, trainer
from tests.helpers.training import assert_equal, last


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_classes(tmp_path_factory.mktemp("classes"), 9)


def test_a_satisfied_user_makes_rounds_no_ops_and_so_does_no_update(folder, pretrained, tmp_path):
    cases = [(f"user {name}", METHODS[name], Satisfied(), name) for name in METHODS]
    cases += [
        ("steps", lambda p: baseline()(p, steps=0), None, "naive"),
        ("clis steps", lambda p: clis(p, steps=0), None, "clis"),
    ]
    for name, method, user, kind in cases:
        trainer(tmp_path / name, epochs=1, user=user).fit(method(pretrained[kind]), data(folder))
        rows = list(csv.DictReader((tmp_path / name / "transfer.csv").open()))
        assert all(r["iou"] == r["before"] for r in rows if r["kind"] == "refined"), name
        if kind == "naive":
            assert_equal(
                torch.load(pretrained[kind], weights_only=True)["state_dict"],
                last(tmp_path / name)["state_dict"],
            )


def test_learning_lowers_the_loss_on_what_the_annotations_say_and_packnet_keeps_what_it_owns(
    folder, pretrained, tmp_path
):
    losses, owned = [], []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.before = batch["probabilities"].clone()

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if bool(batch["new"].any()):
                labels = outputs["propagated"][:, None].long()
                losses.append(
                    [
                        -p.gather(1, labels).log().mean().item()
                        for p in (self.before, outputs["probabilities"])
                    ]
                )
            if batch["last_round"] and isinstance(pl_module.consolidation, PackNet):
                owner = pl_module.consolidation.owner("convolutions.3.weight")
                owned.append(
                    (owner.clone(), pl_module.network.convolutions[3].weight.detach().clone())
                )

    trainer(tmp_path / "naive", Watch(), epochs=1).fit(
        baseline()(pretrained["naive"], steps=12), data(folder)
    )
    assert len(losses) >= 3
    assert np.mean([after < before for before, after in losses]) > 0.7
    trainer(tmp_path / "packnet", Watch(), epochs=1).fit(
        METHODS["packnet"](pretrained["packnet"]), data(folder)
    )
    for (owner, before), (_, after) in itertools.pairwise(owned):
        assert torch.equal(before[owner < 255], after[owner < 255])
    assert not torch.equal(owned[0][1], owned[-1][1])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_nothing_learned_changes_no_answer_of_draws(precision, folder, pretrained, tmp_path):
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.met = batch["probabilities"].clone()

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append((self.met, outputs["probabilities"]))
            assert pl_module.neighbour(batch["image"]) == [(batch["task"], 0.0, True)]

    trainer(tmp_path, Watch(), epochs=1, precision=precision, user=Satisfied()).fit(
        clis(pretrained["clis"]), data(folder, rounds=1)
    )
    assert len(seen) == 3
    assert all(torch.equal(met, refined) for met, refined in seen)


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("16-true", "trainer.precision is 16-true"),
        ("bf16-true", "trainer.precision is bf16-true, in which EWC's"),
    ],
)
def test_a_precision_in_which_nothing_is_learned_is_refused(
    precision, message, folder, pretrained, tmp_path
):
    with pytest.raises(InputError, match=message):
        trainer(tmp_path, epochs=1, precision=precision).fit(
            METHODS["ewc"](pretrained["ewc"]), data(folder)
        )


@pytest.fixture(scope="module")
def naive(folder, pretrained, tmp_path_factory):
    """The folder of a run of the naive baseline, and the batches and outputs of its rounds."""
    root, seen = tmp_path_factory.mktemp("naive"), []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append((batch | {"annotation": batch["annotation"].clone()}, outputs))

    trainer(root, Watch(), epochs=1).fit(baseline()(pretrained["naive"]), data(folder))
    return root, seen


def test_annotations_of_earlier_rounds_stay(naive):
    _, seen = naive
    for (batch, outputs), (later, _) in zip(seen[::2], seen[1::2], strict=True):
        first, second = batch["annotation"], later["annotation"]
        assert batch["round"] == 0
        assert outputs["probabilities"].shape == (1, 2, 40, 56)
        given = first != 255
        assert (second[given] == first[given]).all()
        right = (first[given] == batch["mask"][given]).double().mean() > 0.8
        assert right or not given.any(), batch["task"]
    assert [batch["task"] for batch, _ in seen] == [0, 0, 1, 1, 2, 2]


def test_what_annotations_say_is_measured_before_it_is_learned(naive):
    root, found = naive
    seen = []
    for batch, outputs in found:
        rest = torch.where(batch["annotation"] == 255, batch["mask"], 255)[0].numpy()
        seen.append(mean_iou(outputs["propagated"][0].numpy(), rest, 2))
    rows = [
        r for r in csv.DictReader((root / "transfer.csv").open()) if r["kind"].startswith("round")
    ]
    assert [float(row["propagated"]) for row in rows] == pytest.approx(seen)
    assert len(set(seen)) > 3
