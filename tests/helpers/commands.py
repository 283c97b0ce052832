"""The commands as a person calls them, made small enough for two cores."""

import importlib
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from configs.console import run_guarded
from tests.helpers.hrnet import TINY_HRNET
from tests.helpers.small_network import ENCODER

ROOT = Path(__file__).parent.parent.parent
CLOSED = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
TINY = [
    "loading.num_workers=0",
    "loading.batch_size=4",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
]
CROP = [
    "[{_target_: albumentations.HorizontalFlip},"
    "{_target_: albumentations.PadIfNeeded, min_height: 64, min_width: 64},"
    "{_target_: albumentations.CropNonEmptyMaskIfExists, height: 64, width: 64}]"
]
LIGHT = [f"model.network.encoder={ENCODER}", "model.network.pretrained=null"]
OWN = {
    "brs.yaml": [
        *LIGHT,
        "model.coarse_epochs=1",
        "model.network.norm=group",
        "model.network.width=8",
    ],
    "two_in_one.yaml": [
        *LIGHT,
        *("model.network.norm=group", "model.network.width=16", "model.network.crop_size=16"),
        *("model.selection_epochs=1", "model.selected=[0,1]"),
    ],
    "two_in_one/once.yaml": [
        *(
            "model.network.width=32",
            "model.network.outlines=8",
            "model.network.blocks=1",
            "model.network.crop_size=16",
        ),
        *(
            "model.selection_epochs=1",
            "model.selected=[0,1]",
            "model.long_side=[64,64]",
            "callbacks.features.folder=null",
        ),
    ],
    "convert.yaml": [
        f"model.network.encoder_name={ENCODER}",
        "model.network.decoder_channels=[32,16,16,8,8]",
    ],
    "ritm.yaml": [f"model.network.encoder={TINY_HRNET}", "model.network.pretrained=null"],
    "simpleclick.yaml": [
        *("model.network.encoder=test_vit", "model.network.pretrained=null", "model.long_side=64"),
        *(
            "model.network.widths=[16,16,16,16]",
            "model.network.width=16",
            "model.optimisation.learning_rate=3e-4",
        ),
    ],
    "itis/once.yaml": [
        *("model.network.width=32", "model.network.outlines=8", "model.network.blocks=1"),
        *("model.long_side=[64,64]", "callbacks.features.folder=null"),
    ],
}
"""What makes a method tiny, where it is not a `ClickNetwork`'s."""


def tiny(method):
    return [*TINY, *OWN.get(method, [*LIGHT, "model.network.options.decoder_channels=16"])]


def called(name, *arguments, cwd=ROOT):
    """A command in this process, which spares the seconds that its imports take."""
    main = importlib.import_module(name.removesuffix(".py")).main
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setenv("INTERSEG_STAMP", "called")
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_guarded(main)
    torch.set_float32_matmul_precision("highest")
    return SimpleNamespace(
        returncode=ended.value.code or 0, stdout=out.getvalue(), stderr=err.getvalue()
    )


def succeeded(result):
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(result, *parts):
    """One line that says what was got and what to do."""
    assert result.returncode == 2, result.stdout
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    for part in parts:
        assert part in error
    return error
