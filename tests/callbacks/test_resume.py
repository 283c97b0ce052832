"""A training that was killed goes on as if it had not been; two ranks learn what one learns."""

import json
from functools import cache
from shutil import copytree

import pytest
import torch
from pytorch_lightning import Callback
from torch.multiprocessing import ProcessRaisedException

from callbacks.checkpoint import LastCheckpoint
from callbacks.noc import NumberOfClicks
from callbacks.report import Report
from callbacks.user_loop import UserLoop
from configs.run import AtomicCheckpointIO
from datamodules.base import Loading
from datamodules.folder import FolderDataModule
from interseg.errors import InputError
from interseg.evaluation.metrics import OUTCOME
from interseg.evaluation.records import EvaluationRecord
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import refiner_of
from interseg.networks.brs_network import BRSNetwork
from interseg.networks.click_network import ClickNetwork
from interseg.networks.ritm_network import RITMNetwork
from interseg.networks.simpleclick_network import SimpleClickNetwork
from interseg.networks.two_in_one_network import TwoInOneNetwork
from lightning_modules.brs import BRS
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.drawing import draw, write
from tests.helpers.hrnet import TINY_HRNET
from tests.helpers.small_network import ENCODER
from tests.helpers.training import AUGMENT, Kill, Killed, assert_equal, memory, quiet_trainer

EPOCHS, STEPS = 3, 2  # 10 objects in batches of 4, the odd ones dropped


def module(dropout=0.5, inference=None):
    torch.manual_seed(3)
    options = {"decoder_channels": 16, "encoder_output_stride": 16, "decoder_aspp_dropout": dropout}
    network = ClickNetwork(encoder=ENCODER, pretrained=None, guidance_channels=3, options=options)
    optimisation = Optimisation(learning_rate=1e-3, schedule="cosine", warmup=2)
    return ITIS(network, optimisation=optimisation, inference=inference)


def two_phases():
    """BRS, whose fine decoder begins to learn in the second of three epochs."""
    torch.manual_seed(3)
    network = BRSNetwork(ENCODER, None, width=8, norm="group")
    return BRS(
        network,
        coarse_epochs=1,
        optimisation=Optimisation(
            "adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine"
        ),
    )


def selection_and_refinement():
    """Two-in-one, whose refinement begins to learn in the second of three epochs."""
    torch.manual_seed(3)
    network = TwoInOneNetwork(ENCODER, None, width=16, crop_size=16, norm="group")
    optimisation = Optimisation("adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine")
    return TwoInOne(network, selection_epochs=1, selected=(0.0, 1.0), optimisation=optimisation)


def ritm():
    """RITM's network, whose norms are live."""
    torch.manual_seed(3)
    return ITIS(
        RITMNetwork(TINY_HRNET, None),
        optimisation=Optimisation("adamw", learning_rate=1e-3),
    )


def simpleclick():
    """SimpleClick's network, whose head drops channels."""
    torch.manual_seed(3)
    network = SimpleClickNetwork("test_vit", None, widths=(16, 16, 16, 16), width=16)
    return ITIS(
        network,
        mask_map="probabilities",
        optimisation=Optimisation("adamw", learning_rate=1e-3),
    )


def trainer(
    root,
    *callbacks,
    devices=1,
    every=1,
    epochs=EPOCHS,
    reset=0.3,
    precision="32-true",
):
    loop = UserLoop(reset_probability=reset, max_clicks=4, targets=(0.9,))
    return quiet_trainer(
        root,
        [loop, NumberOfClicks((0.9,)), LastCheckpoint(every), *callbacks],
        epochs,
        devices,
        precision,
    )


def data(folder, batch_size=4, workers=0):
    return FolderDataModule(
        str(folder),
        loading=Loading(
            num_workers=workers,
            batch_size=batch_size,
            augment=AUGMENT,
            eval_batch_size=3,
            distances=True,
        ),
    )


def state(root):
    return torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)


def interrupted(root, source, kill, batch_size=4, workers=0, method=module, **options):
    """Train until the kill, then go on from what is left on the disk."""
    with pytest.raises((Killed, ProcessRaisedException)):
        trainer(root, kill, **options).fit(method(), data(source, batch_size, workers))
    file = root / "checkpoints" / "last.ckpt"
    trainer(root, **options).fit(
        method(),
        data(source, batch_size, workers),
        ckpt_path=file if file.exists() else None,
        weights_only=True,
    )
    return state(root)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    for i in range(5):
        image, ids = draw(i, width=96 if i < 4 else 80)
        write(root / "folder" / "images" / f"{i}.png", image)
        write(root / "folder" / "masks" / f"{i}.png", ids)
    trainer(root).fit(module(), data(root / "folder"))
    return root


def assert_same_training(expected, resumed):
    assert resumed["global_step"] == EPOCHS * STEPS
    assert len(memory(resumed)["clicks"]) > 10
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(expected[part], resumed[part], part)
    assert_equal(memory(expected), memory(resumed))


@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "step", [1, STEPS, STEPS + 1, EPOCHS * STEPS - 1]
)  # at the ends, at an epoch's and behind it
def test_killed_anywhere_it_goes_on_with_the_same_order_clicks_and_weights(
    undisturbed, tmp_path, step, early
):
    assert_same_training(
        state(undisturbed), interrupted(tmp_path, undisturbed / "folder", Kill(step, early))
    )


@pytest.fixture(scope="module")
def whole(undisturbed, tmp_path_factory):
    """State that a method's run has learned which nothing disturbs.

    It is trained when it is first asked for.
    """

    @cache
    def trained(method):
        root = tmp_path_factory.mktemp("whole")
        trainer(root).fit(method(), data(undisturbed / "folder"))
        return state(root)

    return trained


@pytest.mark.parametrize("method", [two_phases, selection_and_refinement])
@pytest.mark.parametrize("step", [1, 5])
def test_a_run_of_two_phases_goes_on_in_either(undisturbed, whole, tmp_path, step, method):
    assert_same_training(
        whole(method),
        interrupted(tmp_path, undisturbed / "folder", Kill(step, True), method=method),
    )


@pytest.mark.parametrize("method", [ritm, simpleclick])
def test_networks_of_other_recipes_go_on_too(undisturbed, whole, tmp_path, method):
    assert_same_training(
        whole(method), interrupted(tmp_path, undisturbed / "folder", Kill(3, True), method=method)
    )


def test_a_checkpoint_of_an_epochs_end_is_enough(undisturbed, tmp_path):
    assert_same_training(
        state(undisturbed), interrupted(tmp_path, undisturbed / "folder", Kill(5, True), every=None)
    )


def test_resumed_with_loader_processes(undisturbed, tmp_path):
    assert_same_training(
        state(undisturbed), interrupted(tmp_path, undisturbed / "folder", Kill(3, True), workers=2)
    )


def test_a_checkpoint_carries_its_config_and_is_replaced_in_one_move(
    undisturbed, tmp_path, monkeypatch
):
    (tmp_path / "config.yaml").write_text("name: mine")
    trainer(tmp_path, epochs=1).fit(module(), data(undisturbed / "folder"))
    assert state(tmp_path)["config"] == "name: mine"
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()

    def full(content, file):
        file.write(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"No space left.*the one before it is whole"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


class KillTest(Callback):
    """Ends an evaluation before a batch."""

    def __init__(self, batch):
        self.batch = batch

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if batch_idx == self.batch:
            raise Killed


def evaluated(root, source, *callbacks, **options):
    """Play all objects, in batches of three, from what an evaluation in the same folder had
    finished; the figures without seconds.
    """
    objects = data(source)
    objects.record = EvaluationRecord(root, {"name": "x"}, objects.names("test"))
    test = trainer(root, Report(spread=2, hardest=2), *callbacks, **options)
    test.test(module(), objects, verbose=False)
    figures = json.loads((root / "report.json").read_text())
    return {key: value for key, value in figures.items() if "seconds" not in key}, (
        root / "objects.csv"
    ).read_text()


@pytest.fixture(scope="module")
def evaluation(undisturbed, tmp_path_factory):
    """The folder of an evaluation that nothing disturbs, and its figures."""
    root = tmp_path_factory.mktemp("evaluation")
    return root, evaluated(root, undisturbed / "folder")


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_killed_evaluation_goes_on_to_the_same_figures_and_pictures(
    undisturbed, evaluation, tmp_path, batch
):
    root, whole = evaluation
    with pytest.raises(Killed):
        evaluated(tmp_path / "cut", undisturbed / "folder", KillTest(batch))
    (record,) = (tmp_path / "cut").glob("objects.*.jsonl")
    record.write_text(record.read_text() + '{"id": [7')  # cut while a line was written
    names = data(undisturbed / "folder").names("test")
    assert (
        len(EvaluationRecord(tmp_path / "cut", {"name": "x"}, names).read_ids())
        == [0, 3, 6, 8][batch]
    )
    assert evaluated(tmp_path / "cut", undisturbed / "folder") == whole
    pages = [(folder / "report.html").read_text() for folder in (root, tmp_path / "cut")]
    assert pages[0].count("data:image/jpeg") == pages[1].count("data:image/jpeg") > 4
    assert [line for line in pages[0].splitlines() if "jpeg" in line] == [
        line for line in pages[1].splitlines() if "jpeg" in line
    ]


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


def test_objects_that_are_added_between_a_kill_and_a_resume_do_not_mix(undisturbed, tmp_path):
    source = copytree(undisturbed / "folder", tmp_path / "folder")
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    with pytest.raises(Killed):
        evaluated(cut, source, KillTest(2))
    for kind in ("images", "masks"):
        (source / kind / "4.png").rename(
            source / kind / "00.png"
        )  # the first object now, the others' ids move up
    assert evaluated(cut, source) == evaluated(whole, source)


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


class KeepMemory(Callback):
    """Leaves every rank's memory in a file."""

    def on_train_end(self, trainer, pl_module):
        loop = next(c for c in trainer.callbacks if isinstance(c, UserLoop))
        torch.save(loop.state_dict(), f"{trainer.default_root_dir}/memory{trainer.global_rank}.pt")


def trained(root, source, devices, method):
    """Three epochs in batches of four objects, in float64, shared among processes."""
    learner = method()  # before the Trainer, whose seed the ranks have in common
    fit = trainer(root, KeepMemory(), devices=devices, precision="64-true")
    fit.fit(learner, data(source, batch_size=4 // devices))
    return state(root)


@pytest.mark.parametrize(
    "method",
    [lambda: module(dropout=0.0), two_phases, selection_and_refinement],
    ids=["itis", "brs", "two_in_one"],
)
def test_two_ranks_learn_what_one_does_and_remember_the_same_clicks(undisturbed, tmp_path, method):
    one, two = (
        trained(tmp_path / str(devices), undisturbed / "folder", devices, method)
        for devices in (1, 2)
    )
    assert one["global_step"] == two["global_step"] == EPOCHS * STEPS
    for name, weights in one["state_dict"].items():
        assert torch.allclose(weights, two["state_dict"][name], atol=1e-5), name
    ranks = [torch.load(tmp_path / "2" / f"memory{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert len(ranks[0]["ids"]) == 10
    assert_equal(ranks[0], ranks[1])
    assert_equal(ranks[0], memory(one))


def test_two_ranks_resume_with_equal_weights_and_clicks(undisturbed, tmp_path):
    options = {"devices": 2, "batch_size": 2}
    trainer(tmp_path / "whole", devices=2).fit(module(), data(undisturbed / "folder", batch_size=2))
    resumed = interrupted(tmp_path / "cut", undisturbed / "folder", Kill(3, True), **options)
    assert_same_training(state(tmp_path / "whole"), resumed)


@pytest.mark.parametrize(("objects", "refiner"), [(10, None), (7, None), (10, "f_brs_b")])
def test_two_ranks_evaluate_what_one_does(undisturbed, tmp_path, objects, refiner):
    source = copytree(undisturbed / "folder", tmp_path / "folder")
    if objects == 7:  # an odd number: the ranks finish at different times
        for name in ("4.png",):
            (source / "images" / name).unlink()
            (source / "masks" / name).unlink()
    written = []
    for devices in (1, 2):
        root = tmp_path / str(devices)
        method = module(inference=InferenceOptions(refiner_of(refiner)))
        trainer(root, devices=devices, precision="64-true").test(
            method, data(source), verbose=False
        )
        written.append((root / "objects.csv").read_text())
    assert written[0] == written[1]
    assert len(written[0].splitlines()) > 8


@pytest.mark.parametrize(
    "broken", [False, True], ids=["fewer objects than ranks", "a rank without a readable one"]
)
def test_a_rank_that_has_nothing_to_tell_holds_up_no_other(tmp_path, broken):
    for i in range(1 + broken):
        image, ids = draw(i, objects=1)
        write(tmp_path / "folder" / "images" / f"{i}.png", image)
        write(tmp_path / "folder" / "masks" / f"{i}.png", ids)
    if broken:
        objects = data(tmp_path / "folder").objects("test")
        (tmp_path / "folder" / "images" / "1.png").write_bytes(
            (tmp_path / "folder" / "images" / "1.png").read_bytes()[:200]
        )
        assert len(objects) == 2
    written = []
    for devices in (1, 2):
        root = tmp_path / str(devices)
        trainer(root, Report(), devices=devices, precision="64-true").test(
            module(), data(tmp_path / "folder"), verbose=False
        )
        report = json.loads((root / "report.json").read_text())
        assert (report["objects"], len(report["errors"])) == (1, int(broken))
        written.append((root / "objects.csv").read_text())
    assert written[0] == written[1]
