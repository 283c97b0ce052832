"""Training on kept features.

They change no weight whoever computed them, and a photo is encoded once for all runs.
"""

import warnings

import albumentations
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from callbacks.checkpoint import LastCheckpoint
from callbacks.features import KeptFeatures, crop_cells
from callbacks.user_loop import UserLoop
from datamodules.base import Loading
from datamodules.folder import FolderDataModule
from interseg.clicks.guidance import DiskGuidance
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.losses import NormalizedFocal
from interseg.networks.once_network import OnceNetwork
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.drawing import draw_folder
from tests.helpers.training import Kill, Killed, assert_equal, last, quiet_trainer

VIEW = [albumentations.Resize(64, 64), albumentations.HorizontalFlip(p=0.5)]
EPOCHS, PHOTOS = 3, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), PHOTOS)


def module(**options):
    torch.manual_seed(3)
    network = OnceNetwork("test_vit", None, width=32, outlines=8, blocks=1, **options)
    optimisation = Optimisation("adamw", learning_rate=1e-3, schedule="cosine")
    return ITIS(network, DiskGuidance(), NormalizedFocal(), "mask", optimisation, [64, 64])


def fit(
    root,
    folder,
    kept,
    *more,
    network=None,
    devices=1,
    batch=4,
    precision="32-true",
    checkpoint=None,
    augment=VIEW,
    every=None,
):
    callbacks = [UserLoop(), *([kept] if kept else []), LastCheckpoint(every), *more]
    data = FolderDataModule(
        str(folder), loading=Loading(num_workers=0, batch_size=batch, augment=augment)
    )
    trainer = quiet_trainer(root, callbacks, EPOCHS, devices, precision)
    trainer.fit(network or module(), data, ckpt_path=checkpoint, weights_only=True)
    return trainer


def encoded(network):
    """Count the photos that a network's encoder is shown."""
    seen = []
    network.encoder.register_forward_hook(
        lambda encoder, inputs, output: seen.append(len(inputs[0]))
    )
    return seen


def test_what_is_kept_is_not_encoded_again_by_the_next_run_and_changes_no_weight(folder, tmp_path):
    runs = []
    for name in ("first", "second"):
        net = module()
        seen = encoded(net.network)
        fit(tmp_path / name, folder, KeptFeatures(str(tmp_path / "kept")), network=net)
        runs.append(sum(seen))
    assert 0 < runs[0] <= 2 * PHOTOS, (
        "each photo and its mirror image at most once, whatever objects it has"
    )
    assert runs[1] == 0
    assert_equal(last(tmp_path / "first")["state_dict"], last(tmp_path / "second")["state_dict"])
    assert not any("encoder.model" in key for key in last(tmp_path / "first")["state_dict"])


def test_features_of_less_precise_weights_lie_apart(folder, tmp_path):
    for precision in ("32-true", "bf16-true", "bf16-mixed"):
        kept = KeptFeatures(str(tmp_path / "kept"))
        fit(tmp_path / precision, folder, kept, precision=precision)
        assert kept.store.bytes > 0
    stores = {store.name: store for store in (tmp_path / "kept").iterdir()}
    (full, half) = sorted(stores)
    assert half == f"{full}-bfloat16"
    for entry in stores[full].rglob("*.safetensors"):
        rounded = stores[half] / entry.relative_to(stores[full])
        assert not torch.equal(load_file(entry)["0"], load_file(rounded)["0"])


def test_in_memory_or_on_disk_the_weights_are_the_same(folder, tmp_path):
    fit(tmp_path / "disk", folder, KeptFeatures(str(tmp_path / "kept")))
    fit(tmp_path / "memory", folder, KeptFeatures(None))
    assert_equal(last(tmp_path / "disk")["state_dict"], last(tmp_path / "memory")["state_dict"])
    fit(tmp_path / "none", folder, None)
    pairs = [
        (last(tmp_path / "none")["state_dict"][key], value)
        for key, value in last(tmp_path / "disk")["state_dict"].items()
    ]
    assert all(torch.allclose(one.float(), other.float(), atol=1e-2) for one, other in pairs), (
        "half precision of features is enough"
    )


@pytest.mark.parametrize("crop", [None, 0.5])
def test_killed_it_goes_on_to_the_same_weights_and_fills_the_rest(folder, tmp_path, crop):
    fit(tmp_path / "whole", folder, KeptFeatures(str(tmp_path / "one"), crop=crop))
    kept = KeptFeatures(str(tmp_path / "two"), crop=crop)
    with pytest.raises(Killed):
        fit(tmp_path / "cut", folder, kept, Kill(3, True), every=1)
    before = len(list((tmp_path / "two").rglob("*.safetensors")))
    file = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    fit(tmp_path / "cut", folder, KeptFeatures(str(tmp_path / "two"), crop=crop), checkpoint=file)
    assert_equal(last(tmp_path / "whole")["state_dict"], last(tmp_path / "cut")["state_dict"])
    assert 0 < before <= len(list((tmp_path / "two").rglob("*.safetensors")))


def test_two_ranks_fill_one_folder_and_learn_what_one_learns(folder, tmp_path):
    def train(name, **options):  # without noise, which each rank draws for itself
        fit(
            tmp_path / name,
            folder,
            KeptFeatures(str(tmp_path / f"{name} kept")),
            network=module(noise=0),
            precision="64-true",
            **options,
        )

    train("one")
    train("two", devices=2, batch=2)
    one, two = last(tmp_path / "one")["state_dict"], last(tmp_path / "two")["state_dict"]
    for key, value in one.items():
        assert torch.allclose(value.double(), two[key].double(), atol=1e-5), key
    first, second = (
        {path.name for path in (tmp_path / f"{name} kept").rglob("*.safetensors")}
        for name in ("one", "two")
    )
    assert first == second


def test_the_progress_bar_says_what_is_new(folder, tmp_path):
    kept = KeptFeatures(None)
    trainer = fit(tmp_path, folder, kept, augment=VIEW[:1])
    assert trainer.progress_bar_metrics["new"] == 0
    assert len(kept.store.memory) == PHOTOS


def test_a_full_store_warns_once_and_training_goes_on(folder, tmp_path):
    entry = 2 * 2 * 64 * 4 * 4
    kept = KeptFeatures(str(tmp_path / "kept"), limit=2.5 * entry / 1e9)
    with pytest.warns(
        UserWarning, match=r"kept.* have reached their limit of .* raise callbacks.features.limit"
    ) as warned:
        fit(tmp_path, folder, kept)
    assert sum("have reached their limit" in str(one.message) for one in warned) == 1
    assert last(tmp_path)["global_step"] == EPOCHS * 2


def test_networks_whose_features_change_are_refused(folder, tmp_path):
    with pytest.raises(
        InputError, match=r"OnceNetwork has no frozen encoder .*; give callbacks\.features=null"
    ):
        fit(tmp_path, folder, KeptFeatures(None), network=module(frozen=False))
    fit(tmp_path, folder, None, network=module(frozen=False))
    with pytest.raises(InputError, match=r"crop is 1\.5; it is a share"):
        KeptFeatures(None, crop=1.5)


def view(size=(32, 48)):
    """A batch whose every value says where in the view it is."""
    place = torch.arange(size[0] * size[1]).view(1, *size)
    levels = [
        torch.stack([place[:, :: size[0] // g, :: size[1] // (g * 3 // 2)]] * 2).float()
        for g in (4, 8)
    ]
    clicks = pad_clicks(
        [clicks_of([(3, 40, 1), (30, 2, 0), (20, 20, 1)]), clicks_of([(31, 47, 1)])]
    )
    return {
        "image": place.float().expand(2, 3, *size),
        "mask": (place % 2).expand(2, *size),
        "to_source": torch.stack(
            torch.meshgrid(*map(torch.arange, size), indexing="ij"), -1
        ).expand(2, *size, 2),
        "previous": (place % 3 == 0).expand(2, *size),
        "clicks": clicks,
        "features": levels,
    }


@pytest.mark.parametrize("seed", range(8))
def test_a_crop_holds_a_positive_click_and_everything_of_it_fits_together(seed):
    whole, batch = view(), view()
    crop_cells(batch, 0.5, [np.random.default_rng((seed, i)) for i in range(2)])
    assert batch["image"].shape == (2, 3, 16, 24)
    assert [level.shape[-2:] for level in batch["features"]] == [(2, 3), (4, 6)]
    for i in range(2):
        top, left = batch["to_source"][i, 0, 0].tolist()
        assert top % 8 == left % 8 == 0, "at the borders of the coarsest cells"
        window = slice(top, top + 16), slice(left, left + 24)
        assert torch.equal(batch["image"][i], whole["image"][i, :, *window])
        for key in ("mask", "previous", "to_source"):
            assert torch.equal(batch[key][i], whole[key][i, *window])
        for before, after in zip(whole["features"], batch["features"], strict=True):
            cell = 32 // before.shape[-2]
            assert torch.equal(
                after[i],
                before[
                    i,
                    :,
                    top // cell : top // cell + 16 // cell,
                    left // cell : left // cell + 24 // cell,
                ],
            )
        kept = [
            [y + top, x + left, label, kind]
            for y, x, label, kind in batch["clicks"][i].tolist()
            if label >= 0
        ]
        inside = [
            c
            for c in whole["clicks"][i].tolist()
            if top <= c[0] < top + 16 and left <= c[1] < left + 24 and c[2] >= 0
        ]
        assert kept == inside
        assert any(label == 1 for *_, label, _ in kept)


def test_cells_that_do_not_divide_the_view_are_named():
    batch = view()
    batch["image"] = batch["image"][..., :31, :]
    with pytest.raises(
        InputError,
        match=r"views of \(31, 48\) pixels cannot be cut at the cells of \[\(4, 6\), \(8, 12\)\]",
    ):
        crop_cells(batch, 0.5, [np.random.default_rng(0)] * 2)


@pytest.mark.parametrize(("share", "side"), [(0.3, 16), (0.6, 16), (0.8, 32), (1.0, 32)])
def test_a_crop_is_of_sizes_that_the_network_does_not_pad(share, side):
    batch = view()
    crop_cells(batch, share, [np.random.default_rng(i) for i in range(2)], divisor=16)
    assert batch["image"].shape[-2] == side
    assert batch["features"][0].shape[-2] == side // 8


def test_views_that_never_come_again_are_told_of_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("callbacks.features.LATE", 1)
    crops = [albumentations.Resize(96, 96), albumentations.RandomCrop(64, 64)]
    with pytest.warns(UserWarning, match=r"had to be encoded: .*callbacks.features=null") as warned:
        fit(tmp_path / "crops", folder, KeptFeatures(None), augment=crops)
    assert sum("had to be encoded" in str(one.message) for one in warned) == 1
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*had to be encoded")
        fit(tmp_path / "whole", folder, KeptFeatures(None), augment=VIEW[:1])
