"""Pretraining, sequences of tasks and the transfer matrix by a real Trainer.

Figures, resume, two ranks, satisfied users, bad input.
"""

import csv
import itertools
import json
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from benchmarks.clis import CANDIDATES, folder_of, name_candidate, print_rounds, start_of, strengths
from benchmarks.clis import METHODS as METHOD_LINES
from benchmarks.clis_annotations import markdown
from callbacks.annotation_loop import AnnotationLoop
from callbacks.checkpoint import LastCheckpoint
from callbacks.task_report import describe_kernels, draw_curve
from callbacks.transfer import Transfer
from datamodules.base import Loading
from datamodules.tasks import ClassFolderDataModule
from interseg.continual.consolidation import EWC, Consolidation, LwF, PackNet
from interseg.continual.embedding import ImageEmbedding
from interseg.continual.protocol import StreamProtocol
from interseg.continual.superpixels import SuperpixelUser
from interseg.errors import InputError
from interseg.evaluation.overlap import mean_iou
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.clis import CLIS
from lightning_modules.continual_baselines import ContinualBaseline
from lightning_modules.optimisation import Optimisation
from tests.helpers.drawing import draw, write
from tests.helpers.training import Kill, Killed, assert_equal, quiet_trainer

RATE = Optimisation("adam", learning_rate=3e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("classes")
    for i in range(9):
        image, ids = draw(i, 40, 56)
        image = cv2.GaussianBlur(image, (0, 0), 2)  # white noise has no superpixels
        write(root / "images" / f"{i}.png", image)
        write(root / "masks" / f"{i}.png", (ids > 0).astype(np.uint8))
    return root


def data(folder, kind="sequence", rounds=2, sequence=None, **options):
    protocol = {"sequences": 2, "rounds": rounds, "sequence": sequence}
    protocol = protocol if kind == "sequence" else {}
    given = {
        "classes": 2,
        "size": (40, 56),
        "pretraining_images": 4,
        "length": 3,
        "protocol": StreamProtocol(kind, **protocol),
        "loading": Loading(batch_size=2, num_workers=0),
    }
    return ClassFolderDataModule(str(folder), **given | options)


def clis(pretrained=None, **options):
    torch.manual_seed(3)
    network = CLISNetwork(2, 6, 8)
    given = {"samples": 3, "steps": 4, "optimisation": RATE} | options
    return CLIS(network, ImageEmbedding((16, 24), 5, 4), pretrained=pretrained, **given)


def baseline(kind=Consolidation):
    def make(pretrained=None, steps=4):
        torch.manual_seed(3)
        network = CLISNetwork(2, 6, 8, variational=False)
        return ContinualBaseline(
            network,
            kind(),
            relearn_pretraining=0,
            pretrained=pretrained,
            steps=steps,
            optimisation=RATE,
        )

    return make


METHODS = {
    "clis": clis,
    "naive": baseline(),
    "lwf": baseline(LwF),
    "ewc": baseline(EWC),
    "packnet": baseline(PackNet),
}


def trainer(root, *callbacks, epochs=2, devices=1, precision="32-true", user=None):
    loop = AnnotationLoop(user or SuperpixelUser(count=4, apart=25), segments=60)
    return quiet_trainer(
        root,
        [loop, Transfer(forward_after=1, backward_after=3), LastCheckpoint(1), *callbacks],
        epochs,
        devices,
        precision,
    )


@pytest.fixture(scope="module")
def pretrained(folder, tmp_path_factory):
    files = {}
    for name in ("clis", "naive"):
        epochs = 3  # so that something is left to be taught
        root = tmp_path_factory.mktemp(name)
        trainer(root, epochs=epochs).fit(METHODS[name](), data(folder, "offline"))
        files[name] = str(root / "checkpoints" / "last.ckpt")
    return files | dict.fromkeys(("lwf", "ewc", "packnet"), files["naive"])


def last(root):
    return torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)


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
    # four steps, and three draws or the one answer; CLIS' last round, its information
    expected = {"clis": {"7", "8"}, "naive": {"5"}}
    if name in expected:
        assert {r["passes"] for r in rounds if r["passes"]} == expected[name]
    if name == "clis":
        assert len(state["state_dict"]["memory.pairs"]) == 3  # of the second sequence only
        assert 0 < float(state["state_dict"]["memory.threshold"]) < np.inf
    if name == "packnet":
        assert int(state["state_dict"]["consolidation.tasks"]) == 1 + 3


def test_a_task_costs_its_embedding_and_its_gates_and_nothing_else(folder, pretrained, tmp_path):
    sizes = []
    for length in (3, 4, 5):
        module = clis(pretrained["clis"], steps=1)
        stream = data(folder, rounds=1, length=length)
        trainer(tmp_path / str(length), epochs=1).fit(module, stream)
        state = last(tmp_path / str(length))
        assert not state["optimizer_states"][0]["state"]
        sizes.append(
            sum(value.numel() * value.element_size() for value in state["state_dict"].values())
        )
    pair = 4 * (2 * module.embedding.latents + sum(module.network.counts))
    assert np.diff(sizes).tolist() == [pair, pair]


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


@pytest.mark.parametrize("name", ["clis", "lwf", "ewc", "packnet"])
@pytest.mark.parametrize("step", [3, 9])
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
        trainer(cut, KillBatch()).fit(METHODS[name](pretrained[name]), data(folder))
    again = trainer(cut)
    again.fit(
        METHODS[name](pretrained[name]),
        data(folder),
        ckpt_path=cut / "checkpoints" / "last.ckpt",
        weights_only=True,
    )
    assert_equal(last(whole(name))["state_dict"], last(cut)["state_dict"])
    assert (whole(name) / "transfer.csv").read_text() == (cut / "transfer.csv").read_text()


def test_killed_in_pretraining_it_goes_on_with_equal_weights(folder, tmp_path):
    trainer(tmp_path / "whole", epochs=3).fit(clis(), data(folder, "offline"))
    with pytest.raises(Killed):
        trainer(tmp_path / "cut", Kill(3, True), epochs=3).fit(clis(), data(folder, "offline"))
    file = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    trainer(tmp_path / "cut", epochs=3).fit(
        clis(), data(folder, "offline"), ckpt_path=file, weights_only=True
    )
    assert_equal(last(tmp_path / "whole")["state_dict"], last(tmp_path / "cut")["state_dict"])


@pytest.mark.parametrize("name", ["clis", "ewc"])
def test_two_ranks_give_what_one_gives(name, folder, pretrained, tmp_path):
    for devices in (1, 2):
        root = tmp_path / str(devices)
        method = METHODS[name](
            pretrained[name]
        )  # before the Trainer, whose seed the ranks have in common
        trainer(root, devices=devices, precision="64-true", epochs=1).fit(
            method, data(folder, sequence=1)
        )
    rows = [list(csv.DictReader((tmp_path / n / "transfer.csv").open())) for n in ("1", "2")]
    assert rows[0] == rows[1]
    weights = [last(tmp_path / n)["state_dict"] for n in ("1", "2")]
    for key, value in weights[0].items():
        assert torch.allclose(value.double(), weights[1][key].double(), atol=1e-5), key


class Satisfied(SuperpixelUser):
    """Annotates nothing."""

    def annotate(self, scene, generator, scale=1.0):
        return np.full(scene.mask.shape, 255, np.uint8), 0


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
        baseline()(pretrained["naive"], steps=30), data(folder)
    )
    assert len(losses) >= 3
    assert np.mean([after < before for before, after in losses]) > 0.7
    trainer(tmp_path / "packnet", Watch(), epochs=1).fit(
        METHODS["packnet"](pretrained["packnet"]), data(folder)
    )
    for (owner, before), (_, after) in itertools.pairwise(owned):
        assert torch.equal(before[owner < 255], after[owner < 255])
    assert not torch.equal(owned[0][1], owned[-1][1])


def test_any_baselines_pretraining_serves_the_others(folder, tmp_path):
    for first, second in (("ewc", "packnet"), ("packnet", "lwf")):
        trainer(tmp_path / first, epochs=1).fit(METHODS[first](), data(folder, "offline"))
        file = str(tmp_path / first / "checkpoints" / "last.ckpt")
        learner = METHODS[second](file)
        trainer(tmp_path / f"{first}-{second}", epochs=1).fit(learner, data(folder))
        given = torch.load(file, weights_only=True)["state_dict"]["network.convolutions.3.weight"]
        start = learner.beginning["network.convolutions.3.weight"]
        kept = start != 0  # PackNet has pruned the others
        assert torch.equal(start[kept], given[kept])
        assert kept.all() == (second != "packnet")


@pytest.mark.parametrize("name", ["naive", "packnet"])
def test_clis_pretraining_serves_the_others_whose_answers_are_its_own(
    name, folder, pretrained, tmp_path
):
    trainer(tmp_path / name, epochs=1, user=Satisfied()).fit(
        METHODS[name](pretrained["clis"]), data(folder, sequence=0)
    )
    state = torch.load(pretrained["clis"], weights_only=True)["state_dict"]
    assert bool(state["plain"])
    found = last(tmp_path / name)["state_dict"]["network.convolutions.3.weight"]
    kept = found != 0
    assert torch.equal(found[kept], state["network.convolutions.3.weight.mean"][kept])
    assert kept.all() == (name == "naive")
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(
                (
                    batch["probabilities"].clone(),
                    pl_module.network(batch["image"], sample=0.0).softmax(1),
                )
            )

    plain = baseline()(pretrained["clis"])
    plain.load_pretrained(pretrained["clis"])
    trainer(tmp_path / "clis", Watch(), epochs=1).fit(
        clis(pretrained["clis"]), data(folder, sequence=0)
    )
    first = data(folder).images_of(0)[0]
    answer = plain.predict_current(data(folder).batch_of([first])["image"]).probabilities
    assert torch.allclose(
        seen[0][1], answer, atol=1e-4
    )  # the first task's mean answer is the plain network's


def test_spare_kernels_come_with_the_tasks_and_are_opened_by_them(folder, pretrained, tmp_path):
    def spare(pretrained):
        torch.manual_seed(3)
        network = CLISNetwork(2, 6, 8, spare=2)
        options = {
            "samples": 3,
            "steps": 4,
            "update": "isolated",
            "optimisation": RATE,
            "pretrained": pretrained,
        }
        return CLIS(network, ImageEmbedding((16, 24), 5, 4), **options)

    trainer(tmp_path, epochs=1).fit(spare(pretrained["clis"]), data(folder))
    start, end = (
        torch.load(pretrained["clis"], weights_only=True)["state_dict"],
        last(tmp_path)["state_dict"],
    )
    assert end["network.convolutions.3.weight.mean"].shape == (10, 10, 3, 3)
    given = start["network.convolutions.3.weight.mean"]
    assert torch.allclose(0.9 * end["network.convolutions.3.weight.mean"][:8, :8], given, atol=1e-5)
    assert end["network.head.weight.mean"][:, 8:].abs().sum() > 0
    assert (end["memory.pairs"][:, 2 * 5 :].split([8, *[10] * 13], 1)[3][:, 8:] > 0.5).all()
    with pytest.raises(InputError, match="spare kernels come with the tasks"):
        spare(None)


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


def test_annotations_of_earlier_rounds_stay_and_the_next_round_sees_the_refined_answer(
    folder, pretrained, tmp_path
):
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(
                (
                    batch["task"],
                    batch["round"],
                    batch["annotation"].clone(),
                    batch["mask"],
                    outputs["probabilities"].shape,
                )
            )

    trainer(tmp_path, Watch(), epochs=1).fit(clis(pretrained["clis"]), data(folder))
    for (task, round, first, mask, shape), (_, _, second, _, _) in zip(
        seen[::2], seen[1::2], strict=True
    ):
        assert round == 0
        assert shape == (1, 2, 40, 56)
        given = first != 255
        assert (second[given] == first[given]).all()
        assert (first[given] == mask[given]).double().mean() > 0.8 or not given.any(), task
    assert [s[0] for s in seen] == [0, 0, 1, 1, 2, 2]


def test_log_variances_learn_at_their_own_rate(folder, tmp_path):
    spreads = []
    for rate in (1, 20):
        module = clis(
            optimisation=Optimisation("adam", learning_rate=1e-3, rates={"variances": rate}),
            pretraining="variational",
        )
        trainer(tmp_path / str(rate), epochs=5).fit(module, data(folder, "offline"))
        assert last(tmp_path / str(rate))["optimizer_states"][0]["state"]
        found = [
            value.flatten()
            for name, value in module.named_parameters()
            if name.endswith("log_variance")
        ]
        spreads.append(torch.cat(found).std().item())
    assert spreads[1] > 5 * spreads[0]


def test_the_curve_is_against_the_annotations_that_were_given():
    rows = [(0, 0, 0.2, 0.4, 16), (0, 1, 0.4, 0.6, 20), (1, 0, 0.4, 0.8, 4), (1, 1, 0.8, 0.8, 4)]
    names = ("task", "round", "before", "after", "annotations")
    line = draw_curve([dict(zip(names, row, strict=True)) for row in rows]).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 10, 12]
    assert line.get_ydata().tolist() == pytest.approx([0.3, 0.6, 0.7])


def test_kernels_are_counted_by_what_is_on_and_what_has_changed():
    first = [np.array([0.9, 0.9]), np.array([0.05, 0.9, 0.9])]
    now = [np.array([0.9, 0.85]), np.array([0.88, 0.4, 0.75])]
    assert describe_kernels(now, first) == "4 of 5 on; 3 other than after the first task"
    assert describe_kernels([], []) == "0 of 0 on; 0 other than after the first task"


def test_what_annotations_say_is_measured_before_it_is_learned(folder, pretrained, tmp_path):
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            rest = torch.where(batch["annotation"] == 255, batch["mask"], 255)[0].numpy()
            seen.append(mean_iou(outputs["propagated"][0].numpy(), rest, 2))

    trainer(tmp_path, Watch(), epochs=1).fit(baseline()(pretrained["naive"]), data(folder))
    rows = [
        r
        for r in csv.DictReader((tmp_path / "transfer.csv").open())
        if r["kind"].startswith("round")
    ]
    assert [float(row["propagated"]) for row in rows] == pytest.approx(seen)
    assert len(set(seen)) > 3


def test_the_benchmark_of_annotations_pairs_each_order_with_random_ones():
    rows = {
        ("error_mass", 4): (0.5, 0.7),
        ("random", 4): (0.4, 0.5),
        ("error_mass", 8): (0.6, 0.8),
        ("random", 8): (0.6, 0.8),
    }
    found = {
        key: [{"before": "0.3", "basic": str(value)} for value in values]
        for key, values in rows.items()
    }
    assert markdown(found, "basic").splitlines() == [
        "| | 0 | 4 | 8 |",
        "|---|---|---|---|",
        "| error mass | 0.300 | 0.600, +0.150 [+0.100, +0.200] | 0.700, +0.000 [+0.000, +0.000] |",
        "| random | 0.300 | 0.450 | 0.700 |",
    ]


def test_the_benchmark_begins_every_method_with_the_one_pretraining():
    assert {start_of(method)[0] for method in METHOD_LINES} == {
        "pretrained",
        "pretrained-variational",
    }
    assert start_of("EWC, 100") == ("pretrained", [])
    assert start_of("CLIS, variational from scratch") == (
        "pretrained-variational",
        ["--config", "clis/variational.yaml"],
    )


def test_the_benchmark_takes_the_strengths_that_are_best_over_all_sets(tmp_path):
    for number, name in enumerate(("a", "b")):
        for method, candidates in CANDIDATES.items():
            for place, value in enumerate(
                candidates
            ):  # the first is best in a, the last in b, by more
                run = folder_of(tmp_path / name, name_candidate(method, value))
                run.mkdir(parents=True)
                figure = 0.6 - 0.1 * place if number == 0 else 0.4 + 0.2 * place
                (run / "transfer.json").write_text(
                    json.dumps({"mean": dict.fromkeys(("basic", "forward", "backward"), figure)})
                )
    found = strengths([tmp_path / "a", tmp_path / "b"])
    assert found == {
        method: list(candidates.values())[-1] for method, candidates in CANDIDATES.items()
    }
    assert strengths([tmp_path / "a"])["EWC"] == ["model.consolidation.weight=100"]
    assert strengths([]) == {}


def test_the_benchmark_prints_what_a_round_takes(capsys):
    rounds = [
        {"basic": 0.8, "seconds": 1.5, "passes": 110.0},
        {"basic": 0.85, "seconds": None, "passes": None},
    ]
    print_rounds({"CLIS": rounds})
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| CLIS | round 1 | 0.800 | 1.50 | 110 |",
        "| CLIS | round 2 | 0.850 |  |  |",
    ]


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
    for option in ("update", "targets", "retrieval", "pretraining"):
        with pytest.raises(InputError, match=f"{option} is 'half'"):
            clis(**{option: "half"})
    with pytest.raises(InputError, match="not variational"):
        CLIS(CLISNetwork(2, 4, 4, variational=False))
