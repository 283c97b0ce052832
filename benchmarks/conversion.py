"""Plain networks, trained without clicks, made interactive by BRS: the paper's three applications.

    python -m benchmarks.conversion classes FOLDER CAMVID
    python -m benchmarks.conversion saliency FOLDER COCO VOC_GSC
    python -m benchmarks.conversion cells FOLDER
        [--train key=value ...]

`classes` are street scenes, in which a click gives its pixel's class (section 4, Table 3);
`saliency` is the object that stands out (Fig. 11); `cells` are the coins of one half of a photo,
with those of the other half for training (Table 4).

train.py trains a U-Net like any network (with `--train`'s overrides), `Converted` adds the
interaction maps, and BRS finds the maps that give the clicked pixels their classes. Cases are
played as sessions by `RitmUser`, as evaluate.py plays them.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import segmentation_models_pytorch as smp
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.conversion_cases import Case, as_tensor, photos, tiles, write
from benchmarks.running import run_once
from configs import build, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config, without_download
from configs.run import build_model
from datamodules.coco import CocoDataModule
from datamodules.grabcut import GrabCutDataModule
from interseg.clicks.users import RitmUser
from interseg.evaluation.game import Game, play
from interseg.evaluation.overlap import confusion, iou
from interseg.inference.session import open_sessions
from interseg.networks.pretrained import load_encoder_weights
from lightning_modules.converted import ConvertedNetwork

CLICKS = 5
"""Number of clicks in the paper's tables."""
STREETS = [
    "loading.augment=[{_target_: albumentations.HorizontalFlip},"
    "{_target_: albumentations.Affine, translate_percent: [-0.1, 0.1], fill_mask: 255, p: 0.7},"
    "{_target_: albumentations.HueSaturationValue, "
    "hue_shift_limit: 10, sat_shift_limit: 20, val_shift_limit: 15, p: 0.7}]",
    "model.optimisation.optimizer=adam",
    "model.optimisation.schedule=constant",
    "model.optimisation.weight_decay=0",
]
"""Overrides for 180 photos: on mirror images alone, with AdamW and a cosine, rare classes are
hardly learned (mean IoU 45.1 % against 54.3 %)."""


class Turn(NamedTuple):
    """An answer and the click before it."""

    probabilities: NDArray[np.float32]
    """Probabilities (H, W) of the object, or (K, H, W) of classes."""
    click: NDArray[np.int64] | None
    """Place (y, x) of the click; None for the first turn."""


class UNet(smp.Unet):
    """A U-Net whose encoder carries its ImageNet weights with it."""

    def __init__(
        self,
        classes: int,
        encoder: str = "tu-tf_efficientnet_lite0",
        pretrained: str | None = "package",
    ) -> None:
        super().__init__(encoder, encoder_weights=None, classes=classes)
        load_encoder_weights(self.encoder, encoder, pretrained)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("application", choices=APPLICATIONS)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "roots", type=Path, nargs="*", help="of the data sets that the application names"
    )
    arguments.add_argument(
        "--train", nargs="*", default=[], metavar="key=value", help="overrides of the training"
    )
    options = arguments.parse_args()
    wanted = {"classes": 1, "saliency": 2, "cells": 0}[options.application]
    if len(options.roots) != wanted:
        arguments.error(
            f"{options.application} needs {wanted} folders of data after FOLDER, "
            f"got {len(options.roots)}"
        )
    APPLICATIONS[options.application](options.folder, options.roots, options.train)


def classes(folder: Path, roots: list[Path], overrides: list[str]) -> None:
    """Print pixel accuracy and mean IoU over the classes against clicks an image (Table 3)."""
    camvid = "_target_: datamodules.camvid.CamvidDataModule"
    images = f"{{{camvid}, size: [180, 240], pretraining_images: 180, root: {roots[0]}}}"
    given = [
        "--config",
        "convert.yaml",
        "--config",
        "data/class_images.yaml",
        f"data.images={images}",
    ]
    given += ["model.network={_target_: benchmarks.conversion.UNet, classes: 11}", *STREETS]
    method = load_trained(folder / "run", [*given, "trainer.max_epochs=20", *overrides])
    checkpoint = folder / "run" / "checkpoints" / "last.ckpt"
    config = resolve(trained_config(checkpoint, ["benchmarks"]))
    objects = build(config["data"]).objects("test")
    games = []
    for index in range(len(objects)):
        sample = objects.read(index)
        case = Case(as_tensor(sample.image), sample.mask)
        games.append((case, play_case(method, case)))
    print(f"{len(games)} images\n\n| clicks | pixels of their class | mean IoU |\n|---|---|---|")
    for k in range(CLICKS + 1):
        pairs = np.zeros((11, 11), np.int64)
        for case, turns in games:
            pairs += confusion(after(turns, k).argmax(0), case.truth, 11)
        right = np.diag(pairs)
        union = pairs.sum(0) + pairs.sum(1) - right
        known = union > 0
        accuracy = 100 * right.sum() / pairs.sum()
        ious = 100 * np.mean(right[known] / union[known])
        print(f"| {k} | {accuracy:.2f} % | {ious:.2f} % |")


def saliency(folder: Path, roots: list[Path], overrides: list[str]) -> None:
    """Print the greatest F-measure against clicks, and draw precision-recall curves (Fig. 11)."""
    coco = CocoDataModule(str(roots[0]), "images", "annotations/instances.json")
    write(folder / "data", {"train": photos(coco)})
    given = [*binary(folder / "data"), "trainer.max_epochs=10", *SALIENT, *overrides]
    method = load_trained(folder / "run", given)
    cases = photos(GrabCutDataModule(str(roots[1])))
    games = [(case, play_case(method, case)) for case in cases]
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    print(f"{len(games)} images\n\n| clicks | greatest F-measure |\n|---|---|")
    for k in range(CLICKS + 1):
        curves = [precision_recall(case.truth, after(turns, k)) for case, turns in games]
        precision, recall = np.nanmean(curves, axis=0)
        best = np.max(1.3 * precision * recall / (0.3 * precision + recall))
        grey = str(0.8 * (1 - k / CLICKS))
        axes.plot(recall, precision, label=f"{k} clicks, {best:.3f}", color=grey)
        print(f"| {k} | {best:.4f} |")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(title="greatest F")
    figure.savefig(folder / "saliency.svg")


def cells(folder: Path, roots: list[Path], overrides: list[str]) -> None:
    """Print the IoU against clicks, and the gain of each click on its annotated cell (Table 4)."""
    halves = tiles()
    write(folder / "data", {split: iter(half) for split, half in halves.items()})
    given = [*binary(folder / "data"), "loading.batch_size=4", "trainer.max_epochs=30"]
    method = load_trained(folder / "run", [*given, *overrides])
    games = [(case, play_case(method, case)) for case in halves["test"]]
    print("| clicks | mean IoU | mean gain on the annotated cells |\n|---|---|---|")
    for k in range(CLICKS + 1):
        ious = [iou(after(turns, k) > 0.5, case.truth) for case, turns in games]
        gains = [gain(case, turns[k - 1], turns[k]) for case, turns in games if 0 < k < len(turns)]
        gained = f"{100 * np.mean(gains):.1f} %" if gains else "-"
        print(f"| {k} | {100 * np.mean(ious):.1f} % | {gained} |")


APPLICATIONS: dict[str, Callable[[Path, list[Path], list[str]], None]] = {
    "classes": classes,
    "saliency": saliency,
    "cells": cells,
}
SALIENT = [
    "model.network={_target_: benchmarks.conversion.UNet, classes: 1}",
    "loading.augment=[{_target_: albumentations.Resize, height: 224, width: 224}, "
    "{_target_: albumentations.HorizontalFlip}, {_target_: albumentations.ColorJitter, "
    "brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.02}]",
]


def binary(root: Path) -> list[str]:
    """Return the words of train.py for a plain network on images and binary masks."""
    return [
        "--config",
        "convert.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={root}",
        "data.kind=binary",
        "loading.num_workers=1",
    ]


def load_trained(run: Path, line: list[str]) -> ConvertedNetwork:
    """Load the method of a run of train.py, made if it is missing; BRS answers its clicks."""
    run_once(
        run / "finished",
        "train.py",
        "--trust",
        "benchmarks",
        *line,
        "checkpoint=last",
        f"run={run}",
    )
    config = resolve(trained_config(run / "checkpoints" / "last.ckpt", ["benchmarks"]))
    config["refiner"] = "brs"
    without_download(config["model"])
    method = build_model(config, ["benchmarks"])
    load_weights(method, find_checkpoint(str(run))[1])
    assert isinstance(method, ConvertedNetwork)
    return method.eval()


def play_case(method: ConvertedNetwork, case: Case) -> list[Turn]:
    """Play a case, and return the network's own answer and its answers after 1, 2, ... clicks.

    There are fewer answers once nothing is wrong any more.
    """
    (session,) = open_sessions(method, case.image[None])
    play([Game(session, case.truth, RitmUser(), CLICKS)])
    turns: list[Turn] = []
    for count in range(len(session.clicks), -1, -1):
        click = session.clicks[-1, :2] if count else None
        turns.append(Turn(session.probabilities, click))
        if count:
            session.undo()
    return turns[::-1]


def after(turns: list[Turn], clicks: int) -> NDArray[np.float32]:
    """Return the answer after a number of clicks; the last one if fewer were needed."""
    return turns[min(clicks, len(turns) - 1)].probabilities


def precision_recall(
    truth: NDArray[np.uint8], probability: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute precision and recall of the pixels above each of 255 thresholds.

    The precision of no pixel is NaN.
    """
    wrong, right = (count_above(probability[truth == label]) for label in (0, 1))
    with np.errstate(invalid="ignore"):
        return right / (wrong + right), right / (truth == 1).sum()


def count_above(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count the pixels above each of 255 thresholds, the highest threshold first."""
    counts, _ = np.histogram(probabilities, 256, (0, 1))
    return counts[::-1].cumsum()[:-1]


def gain(case: Case, before: Turn, after: Turn) -> float:
    """Compute the IoU that a click gains within the pixels that are nearest to its cell."""
    assert case.cells is not None
    assert after.click is not None
    near = case.cells == case.cells[tuple(after.click)]
    now, then = (
        iou((turn.probabilities > 0.5)[near], case.truth[near]) for turn in (after, before)
    )
    return now - then


if __name__ == "__main__":
    main()
