"""YAMLs that are laid over a method's, trained and evaluated on tiny data; classical methods."""

import json
import sys

import pytest

import evaluate
import train
from configs import load
from tests.helpers.commands import CROP, ROOT, tiny
from tests.helpers.drawing import draw_folder

OVERLAYS = [("small.yaml", "gpu.yaml"), ("brs.yaml", "gpu.yaml"), ("brs.yaml", "brs/small.yaml")]
OVERLAYS += [
    ("two_in_one.yaml", f"two_in_one/{p.name}")
    for p in sorted((ROOT / "configs" / "two_in_one").glob("*.yaml"))
    if p.name not in ("once.yaml", "zoomed.yaml")
]
OVERLAYS += [("two_in_one/once.yaml", f"two_in_one/{name}.yaml") for name in ("pnr", "zoomed")]
OVERLAYS += [
    ("small.yaml", f"itis/{p.name}")
    for p in sorted((ROOT / "configs" / "itis").glob("*.yaml"))
    if p.name != "once.yaml"
]
OVERLAYS += [("ritm.yaml", "ritm/small.yaml"), ("simpleclick.yaml", "simpleclick/small.yaml")]
OVERLAYS += [(method, "gpu.yaml") for method in ("itis/once.yaml", "ritm.yaml", "simpleclick.yaml")]
OVERLAYS += [("itis/once.yaml", "finetune.yaml")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 2)


USERS = ("itis", "cluster", "random", "brs")


def users_of(method, overlay):
    """List the users of each overlay: all for one, one each for the others, in turn."""
    return (
        USERS
        if overlay == "itis/mask.yaml"
        else [USERS[OVERLAYS.index((method, overlay)) % len(USERS)]]
    )


@pytest.mark.parametrize(("method", "overlay"), OVERLAYS)
def test_every_overlay_is_fitted_and_evaluated(method, overlay, data, tmp_path, monkeypatch):
    arguments = [
        "--config",
        method,
        "--config",
        overlay,
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        f"run={tmp_path / 'run'}",
    ]
    phases = 2 if method.startswith(("brs", "two_in_one")) else 1
    steps = [*tiny(method), f"loading.augment={CROP[0]}", f"trainer.max_epochs={phases}"]
    if overlay == "gpu.yaml":
        # traced, but no compiler is needed; twice, since every network hands it on in one way
        traced = method in ("small.yaml", "itis/once.yaml")
        steps += [f"model.network.compile.{'backend=eager' if traced else 'disable=true'}"]
    if overlay == "finetune.yaml":
        steps += ["weights=null"]  # of a network of another size
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments, *steps])
    train.main()
    signed = not method.startswith("two_in_one") or overlay == "two_in_one/pnr.yaml"
    for user in users_of(method, overlay) if signed else ("",):
        played = tmp_path / f"played{user}"
        line = [
            "--checkpoint",
            tmp_path / "run",
            *(["--config", f"users/{user}.yaml"] if user else []),
            "max_clicks=2",
            "callbacks.report=null",
            f"run={played}",
        ]
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, line)])
        assert evaluate.main() == 0
        assert json.loads((played / "report.json").read_text())["objects"] == 4


@pytest.mark.parametrize("method", ["ritm.yaml", "simpleclick.yaml"])
def test_ritms_training_is_one_whatever_the_network(method):
    own, shared = load([method], []), load(["small.yaml", "itis/ritm.yaml"], [])
    assert own["callbacks"]["loop"]["inner_rounds"] == 3
    assert own["callbacks"]["loop"] == {
        key: shared["callbacks"]["loop"][key] for key in own["callbacks"]["loop"]
    }
    for key in ("guidance", "loss", "mask_map"):
        assert own["model"][key] == shared["model"][key]
    assert own["loading"]["initial"] == shared["loading"]["initial"]


@pytest.mark.parametrize(
    "config", sorted(p.name for p in (ROOT / "configs" / "classical").glob("*.yaml"))
)
def test_classical_methods_play_without_training(config, tmp_path, monkeypatch):
    line = [
        "--config",
        f"classical/{config}",
        "--config",
        "data/folder.yaml",
        f"data.root={draw_folder(tmp_path / 'data', 3)}",
        "max_clicks=3",
        "full_curves=true",
    ]
    quiet = [
        "trainer.accelerator=cpu",
        "callbacks.progress=null",
        "trainer.enable_progress_bar=false",
        "loading.num_workers=0",
    ]
    quiet += [] if config == "geodesic.yaml" else ["callbacks.report=null"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *line, *quiet, f"run={tmp_path / 'run'}"])
    assert evaluate.main() == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["objects"] == 6
    assert report["miou@0"] == 0
    assert report["miou@3"] > 0.4
    assert report["effort"][0]["clicks"] >= 1
