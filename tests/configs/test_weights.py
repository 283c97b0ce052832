"""Starts from another run's weights: those that fit are taken, the others are named."""

import pytest
import torch

from configs import load, resolve
from configs.run import build_model
from configs.weights import start_model
from interseg.checkpoints import digest
from interseg.errors import InputError
from lightning_modules.dynamic3d import Dynamic3D
from tests.helpers.commands import CROP, called, refused, succeeded, tiny
from tests.helpers.drawing import draw_classes, draw_folder
from tests.helpers.streams import TASKS, VOLUMES
from tests.helpers.volumes import draw_volumes

CLICKS = ("small.yaml", "brs.yaml", "two_in_one.yaml", "convert.yaml")
OPTIMISATION = (
    "{_target_: lightning_modules.optimisation.Optimisation, optimizer: adam, learning_rate: 0}"
)
STILL = ["model.optimisation.learning_rate=0", "model.optimisation.weight_decay=0"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 3)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return draw_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    return draw_volumes(tmp_path_factory.mktemp("volumes"), 5)


def weights_of(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def drawn(config, overrides, file):
    """Leave a checkpoint of a method with weights that no start has, each its own."""
    torch.manual_seed(7)
    state = build_model(resolve(load([config], overrides))).state_dict()
    state = {
        k: v + 0.1 * torch.rand_like(v) if v.is_floating_point() else v for k, v in state.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state}, file)
    return state


def running(key):
    """Tell a statistic that training changes without an optimiser."""
    return "running_" in key or "num_batches" in key


def assert_started(run, state, but=()):
    """A training at a rate of 0 ends with the weights that it started from."""
    ended = weights_of(run)
    assert ended.keys() >= state.keys()
    for key in state.keys() - {*but}:
        assert torch.equal(ended[key], state[key]), key


@pytest.mark.parametrize("method", CLICKS)
def test_every_click_method_starts_from_a_files_weights(method, data, tmp_path):
    file, run = tmp_path / "other" / "x.ckpt", tmp_path / "run"
    state = drawn(method, tiny(method), file)
    steps = [*tiny(method), f"loading.augment={CROP[0]}", "trainer.max_epochs=1", *STILL]
    line = ["--config", method, "--config", "data/folder.yaml", f"data.root={data}", *steps]
    printed = succeeded(called("train.py", *line, f"run={run}", f"weights={file}"))
    assert f"weights: {len(state)} of {len(state)} are those of {file}" in printed
    assert "missing" not in printed
    assert_started(run, state, but=filter(running, state))
    config = (run / "config.yaml").read_text()
    assert f"weights: {file}" in config
    assert digest(file) in config
    result = called(
        "evaluate.py",
        "--checkpoint",
        run,
        "max_clicks=1",
        "callbacks.report=null",
        f"run={tmp_path / 'e'}",
    )
    succeeded(result)
    refused(
        called("evaluate.py", "--checkpoint", run, f"weights={file}"),
        "is what train.py starts from",
    )


def test_clis_starts_from_a_files_weights(classes, tmp_path):
    file, run = tmp_path / "x.ckpt", tmp_path / "run"
    line = [
        *TASKS,
        f"data.root={classes}",
        "loading.augment=[]",
        "trainer.max_epochs=1",
        "model.optimisation.learning_rate=0",
    ]
    torch.save({"state_dict": start_state("clis.yaml", classes)}, file)
    printed = succeeded(
        called(
            "train.py",
            "--config",
            "clis.yaml",
            "--config",
            "data/class_folder.yaml",
            *line,
            f"run={run}",
            f"weights={file}",
        )
    )
    assert "are those of" in printed
    state = torch.load(file, weights_only=True)["state_dict"]
    assert_started(run, {key: value for key, value in state.items() if key.startswith("network.")})


def start_state(config, root):
    torch.manual_seed(7)
    given = [word for word in TASKS if word.startswith("model.")]
    model = build_model(
        resolve(load([config, "data/class_folder.yaml"], [*given, f"data.root={root}"]))
    )
    return {
        k: v + 0.1 * torch.rand_like(v) if v.is_floating_point() else v
        for k, v in model.state_dict().items()
    }


def test_a_stream_of_volumes_starts_warm_from_a_files_weights(volumes, tmp_path, monkeypatch):
    given = ["model.network.channels=[4,8,8,8]"]
    file, run = tmp_path / "x.ckpt", tmp_path / "run"
    state = drawn("dynamic3d.yaml", given, file)
    line = ["--config", "dynamic3d.yaml", "--config", "data/volume_folder.yaml", *VOLUMES, *given]
    line += [f"data.root={volumes}", f"data.cache={volumes / 'cache'}", "protocol.rounds=1"]
    line += [f"model.optimisation={OPTIMISATION}", "callbacks.report=null"]
    met, begin_round = [], Dynamic3D.begin_round
    monkeypatch.setattr(
        Dynamic3D, "begin_round", lambda *given: met.append(begin_round(*given)) or met[-1]
    )
    succeeded(called("train.py", *line, f"run={tmp_path / 'cold'}"))
    assert [answer is None for answer in met] == [True, False] * 2, (
        "a cold stream has no first answer"
    )
    met.clear()
    succeeded(called("train.py", *line, f"run={run}", f"weights={file}"))
    assert len(met) == 4
    assert all(answer is not None for answer in met)
    assert_started(run, {key: value for key, value in state.items() if key != "before"})


def test_weights_that_do_not_fit_are_named_a_line_each_kind(data, tmp_path):
    base, run = tmp_path / "base" / "checkpoints" / "last.ckpt", tmp_path / "run"
    state = drawn("small.yaml", tiny("small.yaml"), base)
    masks = ["--config", "small.yaml", "--config", "itis/mask.yaml", "--config", "data/folder.yaml"]
    line = [
        *masks,
        *tiny("small.yaml"),
        f"loading.augment={CROP[0]}",
        "trainer.max_epochs=1",
        *STILL,
    ]
    line += [f"data.root={data}", f"run={run}", f"weights={tmp_path / 'base'}"]
    content = state | {"elsewhere.weight": torch.zeros(2)}
    lost = [key for key in state if ".decoder." in key][:2]
    torch.save(
        {"state_dict": {key: value for key, value in content.items() if key not in lost}}, base
    )
    printed = succeeded(called("train.py", *line)).splitlines()
    told = [text for text in printed if text.startswith("weights")]
    assert len(told) == 4
    assert f"weights missing there: 2, {', '.join(lost)}" in told
    assert "weights unknown here: 1, elsewhere.weight" in told
    (size,) = [text for text in told if "of another size there: 1" in text]
    first = size.split(", ")[1]
    fits = {key: value for key, value in state.items() if key not in (first, *lost)}
    assert_started(run, fits, but=filter(running, state))
    assert f"weights: {base}" in (run / "config.yaml").read_text(), (
        "a run's folder means its last checkpoint"
    )


def test_nothing_that_fits_is_an_error(data, tmp_path):
    file = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"elsewhere.weight": torch.zeros(2)}}, file)
    line = [
        "--config",
        "small.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        *tiny("small.yaml"),
    ]
    refused(
        called("train.py", *line, f"weights={file}", f"run={tmp_path / 'run'}"),
        "nothing in it fits ITIS",
    )
    file.write_bytes(b"junk")
    refused(
        called("train.py", *line, f"weights={file}", f"run={tmp_path / 'run'}"),
        "cannot be read as a checkpoint",
    )
    assert not (tmp_path / "run").exists()


def test_an_encoders_weights_are_fetched_only_where_the_file_lacks_some(tmp_path, monkeypatch):
    def unreachable(*_):
        raise InputError("asked for ImageNet weights")

    monkeypatch.setattr("interseg.networks.pretrained.download", unreachable)
    overrides = [*tiny("small.yaml"), "model.network.pretrained=null"]
    file = tmp_path / "x.ckpt"
    state = drawn("small.yaml", overrides, file)
    config = resolve(
        load(["small.yaml"], [*overrides, "model.network.pretrained=hub", f"weights={file}"])
    )
    model, _ = start_model(config)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    key = next(key for key in state if ".encoder." in key)
    torch.save({"state_dict": {k: v for k, v in state.items() if k != key}}, file)
    with pytest.raises(InputError, match="asked for ImageNet weights"):
        start_model(config)


def test_a_run_that_goes_on_keeps_what_it_learned_since(data, tmp_path):
    file, run = tmp_path / "x.ckpt", tmp_path / "run"
    start = drawn("small.yaml", tiny("small.yaml"), file)
    line = [
        "--config",
        "small.yaml",
        "--config",
        "data/folder.yaml",
        *tiny("small.yaml"),
        f"data.root={data}",
    ]
    line += [
        f"loading.augment={CROP[0]}",
        f"weights={file}",
        "model.optimisation.schedule=constant",
    ]
    succeeded(called("train.py", *line, f"run={run}", "trainer.max_epochs=1"))
    learned = weights_of(run)
    assert any(not torch.equal(learned[key], value) for key, value in start.items())
    succeeded(called("train.py", *line, f"run={run}", "trainer.max_epochs=2", "checkpoint=last"))
    succeeded(called("train.py", *line, f"run={tmp_path / 'whole'}", "trainer.max_epochs=2"))
    assert_started(run, weights_of(tmp_path / "whole"))
