"""Plain networks, trained without clicks, made interactive: BRS' three applications (section 4: Table 3, Fig. 11, Table 4).

    python -m benchmarks.conversion classes FOLDER CAMVID                 street scenes; a click
    says its pixel's class python -m benchmarks.conversion saliency FOLDER COCO VOC_GSC
    what stands out, against the rest python -m benchmarks.conversion cells FOLDER
           coins of one half of a photo, those of the other for training
        [--train key=value ...]

train.py trains a U-Net as it would any network (with `--train`'s overrides), `Converted` adds the
interaction maps, BRS finds those that give the clicked pixels their classes. Cases are played as
sessions by `RitmUser`, as evaluate.py plays them.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import segmentation_models_pytorch as smp
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from benchmarks.ablation import done
from configs import build, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config, without_download
from configs.run import build_model
from datamodules.coco import CocoDataModule
from datamodules.grabcut import GrabCutDataModule
from datamodules.samples import SamplesDataModule
from interseg.clicks.users import RitmUser
from interseg.evaluation.game import Game, play
from interseg.evaluation.overlap import confusion, iou
from interseg.inference.session import open_sessions
from interseg.networks.pretrained import load_encoder_weights
from lightning_modules.converted import ConvertedNetwork

CLICKS = 5
"""As in the paper's tables."""
SIDE = 320
"""Long side of photos."""
STREETS = [
    "loading.augment=[{_target_: albumentations.HorizontalFlip},"
    "{_target_: albumentations.Affine, translate_percent: [-0.1, 0.1], fill_mask: 255, p: 0.7},"
    "{_target_: albumentations.HueSaturationValue, hue_shift_limit: 10, sat_shift_limit: "
    "20, val_shift_limit: 15, p: 0.7}]",
    *(
        "model.optimisation.optimizer=adam",
        "model.optimisation.schedule=constant",
        "model.optimisation.weight_decay=0",
    ),
]
"""Of 180 photos: on mirror images alone, with AdamW and a cosine, rare classes are hardly learned
(mean IoU 45.1 % against 54.3 %)."""


class Case(NamedTuple):
    """An image (3, H, W), the classes (H, W) of its pixels, and the number (H, W) of the cell that is nearest to each."""

    image: Tensor
    truth: NDArray[np.uint8]
    cells: NDArray[np.int64] | None = None


class Turn(NamedTuple):
    """Probabilities, (H, W) of the object or (K, H, W) of classes, after a click at (y, x); the first turn has none."""

    probabilities: NDArray[np.float32]
    click: NDArray[np.int64] | None


class UNet(smp.Unet):
    """A U-Net whose encoder carries its ImageNet weights with it."""

    def __init__(
        self,
        classes: int,
        encoder: str = "tu-tf_efficientnet_lite0",
        weights: str | None = "package",
    ) -> None:
        super().__init__(encoder, encoder_weights=None, classes=classes)
        load_encoder_weights(self.encoder, encoder, weights)


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
    if len(options.roots) != (
        wanted := {"classes": 1, "saliency": 2, "cells": 0}[options.application]
    ):
        arguments.error(
            f"{options.application} needs {wanted} folders of data after FOLDER, "
            f"got {len(options.roots)}"
        )
    APPLICATIONS[options.application](options.folder, options.roots, options.train)


def classes(folder: Path, roots: list[Path], overrides: list[str]) -> None:
    """Print pixel accuracy and mean IoU over the classes against clicks an image (Table 3)."""
    images = (
        "{_target_: datamodules.camvid.CamvidDataModule, size: [180, 240], pretraining_images: 180, root: "
        + str(roots[0])
        + "}"
    )
    given = [
        "--config",
        "convert.yaml",
        "--config",
        "data/class_images.yaml",
        f"data.images={images}",
    ]
    given += ["model.network={_target_: benchmarks.conversion.UNet, classes: 11}", *STREETS]
    method = trained(folder / "run", [*given, "trainer.max_epochs=20", *overrides])
    objects = build(
        resolve(trained_config(folder / "run" / "checkpoints" / "last.ckpt", ["benchmarks"]))[
            "data"
        ]
    ).objects("test")
    samples = (objects.read(index) for index in range(len(objects)))
    games = [
        (case := Case(as_tensor(sample.image), sample.mask), play_case(method, case))
        for sample in samples
    ]
    print(f"{len(games)} images\n\n| clicks | pixels of their class | mean IoU |\n|---|---|---|")
    for k in range(CLICKS + 1):
        pairs = np.sum(
            [confusion(after(turns, k).argmax(0), case.truth, 11) for case, turns in games], 0
        )
        right, union = np.diag(pairs), pairs.sum(0) + pairs.sum(1) - np.diag(pairs)
        print(
            f"| {k} | {100 * right.sum() / pairs.sum():.2f} % | "
            f"{100 * np.mean(right[union > 0] / union[union > 0]):.2f} % |"
        )


def saliency(folder: Path, roots: list[Path], overrides: list[str]) -> None:
    """Print the greatest F-measure against clicks, and draw the precision-recall curves (Fig. 11)."""
    write(
        folder / "data",
        {
            "train": photos(
                CocoDataModule(
                    str(roots[0]), images="images", annotations="annotations/instances.json"
                )
            )
        },
    )
    method = trained(
        folder / "run", [*binary(folder / "data"), "trainer.max_epochs=10", *SALIENT, *overrides]
    )
    games = [(case, play_case(method, case)) for case in photos(GrabCutDataModule(str(roots[1])))]
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    print(f"{len(games)} images\n\n| clicks | greatest F-measure |\n|---|---|")
    for k in range(CLICKS + 1):
        curves = [precision_recall(case.truth, after(turns, k)) for case, turns in games]
        precision, recall = np.nanmean(curves, axis=0)
        best = np.max(1.3 * precision * recall / (0.3 * precision + recall))
        axes.plot(
            recall, precision, label=f"{k} clicks, {best:.3f}", color=str(0.8 * (1 - k / CLICKS))
        )
        print(f"| {k} | {best:.4f} |")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(title="greatest F")
    figure.savefig(folder / "saliency.svg")


def cells(folder: Path, roots: list[Path], overrides: list[str]) -> None:
    """Print the IoU against clicks, and what each click gains on the cell that it annotates (Table 4)."""
    halves = tiles()
    write(folder / "data", {split: iter(half) for split, half in halves.items()})
    given = [*binary(folder / "data"), "loading.batch_size=4", "trainer.max_epochs=30"]
    method = trained(folder / "run", [*given, *overrides])
    games = [(case, play_case(method, case)) for case in halves["test"]]
    print("| clicks | mean IoU | mean gain on the annotated cells |\n|---|---|---|")
    for k in range(CLICKS + 1):
        ious = [iou(after(turns, k) > 0.5, case.truth) for case, turns in games]
        gains = [gain(case, turns[k - 1], turns[k]) for case, turns in games if 0 < k < len(turns)]
        print(
            f"| {k} | {100 * np.mean(ious):.1f} % | "
            f"{f'{100 * np.mean(gains):.1f} %' if gains else '-'} |"
        )


APPLICATIONS: dict[str, Callable[[Path, list[Path], list[str]], None]] = {
    "classes": classes,
    "saliency": saliency,
    "cells": cells,
}
SALIENT = [
    "model.network={_target_: benchmarks.conversion.UNet, classes: 1}",
    "loading.augment=[{_target_: albumentations.Resize, height: 224, width: 224}, {_target_: "
    "albumentations.HorizontalFlip},"
    " {_target_: albumentations.ColorJitter, brightness: 0.2, contrast: 0.2, saturation: "
    "0.2, hue: 0.02}]",
]


def binary(root: Path) -> list[str]:
    """Training of a plain network on images and binary masks."""
    return [
        "--config",
        "convert.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={root}",
        "data.kind=binary",
        "loading.num_workers=1",
    ]


def trained(run: Path, line: list[str]) -> ConvertedNetwork:
    """Load the method of a run of train.py, which is made unless it was; BRS answers its clicks."""
    done(
        run / "finished",
        "train.py",
        "--trust",
        "benchmarks",
        *line,
        "checkpoint=last",
        f"run={run}",
    )
    config = resolve(trained_config(run / "checkpoints" / "last.ckpt", ["benchmarks"])) | {
        "refiner": "brs"
    }
    without_download(config["model"])
    method = build_model(config, ["benchmarks"])
    load_weights(method, find_checkpoint(str(run))[1])
    assert isinstance(method, ConvertedNetwork)
    return method.eval()


def play_case(method: ConvertedNetwork, case: Case) -> list[Turn]:
    """Play a case: the network's own answer, and its answers after 1, 2, ... clicks; fewer where nothing is wrong any more."""
    (session,) = open_sessions(method, case.image[None])
    play([Game(session, case.truth, RitmUser(), CLICKS)])
    turns: list[Turn] = []
    for count in range(len(session.clicks), -1, -1):
        turns.append(Turn(session.probabilities, session.clicks[-1, :2] if count else None))
        if count:
            session.undo()
    return turns[::-1]


def after(turns: list[Turn], clicks: int) -> NDArray[np.float32]:
    """Give the answer after so many clicks; the last one's where nothing was wrong any more."""
    return turns[min(clicks, len(turns) - 1)].probabilities


def precision_recall(
    truth: NDArray[np.uint8], probability: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute precision and recall of the pixels above each of 255 thresholds; the precision of none is NaN."""
    inside = [
        np.histogram(probability[truth == c], 256, (0, 1))[0][::-1].cumsum()[:-1] for c in (0, 1)
    ]
    with np.errstate(invalid="ignore"):
        return inside[1] / (inside[0] + inside[1]), inside[1] / (truth == 1).sum()


def gain(case: Case, before: Turn, after: Turn) -> float:
    """IoU that a click gains within the pixels that are nearest to its cell."""
    assert case.cells is not None
    assert after.click is not None
    near = case.cells == case.cells[tuple(after.click)]
    now, then = (
        iou((turn.probabilities > 0.5)[near], case.truth[near]) for turn in (after, before)
    )
    return now - then


def photos(data: CocoDataModule | GrabCutDataModule) -> Iterator[Case]:
    """Photos of at most `SIDE` pixels and the union of their objects."""
    objects = data.objects("test")
    unions: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for index in range(len(objects)):
        sample = objects.read(index)
        image, union = unions.get(
            name := objects.name(index).split(": ")[0], (sample.image, np.zeros_like(sample.mask))
        )
        unions[name] = (
            image,
            np.where(sample.mask == 1, np.uint8(1), np.where(union == 1, union, sample.mask)),
        )
    for image, union in unions.values():
        scale = min(1.0, SIDE / max(union.shape))
        size = (round(union.shape[1] * scale), round(union.shape[0] * scale))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        yield Case(
            as_tensor(small),
            np.asarray(Image.fromarray(union).resize(size, Image.Resampling.NEAREST)),
        )


def tiles() -> dict[str, list[Case]]:
    """Each half of a photo of coins as four tiles: for training, and to be played."""
    objects = SamplesDataModule().objects("test")
    coins = [objects.read(i) for i in range(len(objects)) if objects.name(i).startswith("coins")]
    masks = np.stack([coin.mask == 1 for coin in coins])
    image, truth = coins[0].image, np.any(masks, axis=0).astype(np.uint8)
    nearest = np.argmin([distance_transform_edt(~mask) for mask in masks], axis=0)
    halves: dict[str, list[Case]] = {}
    for split, columns in zip(
        ("train", "test"), np.array_split(np.arange(image.shape[1]), 2), strict=True
    ):
        quarters = [
            np.ix_(rows, some)
            for rows in np.array_split(np.arange(len(image)), 2)
            for some in np.array_split(columns, 2)
        ]
        halves[split] = [
            Case(as_tensor(image[quarter]), truth[quarter], nearest[quarter])
            for quarter in quarters
        ]
    return halves


def as_tensor(image: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) bytes to (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def write(folder: Path, splits: dict[str, Iterator[Case]]) -> None:
    """Files as `data/folder.yaml` reads them, unless they are there."""
    for split, some in splits.items():
        if not (folder / split).exists():
            for kind in ("images", "masks"):
                (folder / split / kind).mkdir(parents=True)
            for number, case in enumerate(some):
                Image.fromarray((case.image * 255).byte().permute(1, 2, 0).numpy()).save(
                    folder / split / "images" / f"{number:03}.png"
                )
                Image.fromarray((case.truth == 1).astype(np.uint8) * 255).save(
                    folder / split / "masks" / f"{number:03}.png"
                )


if __name__ == "__main__":
    main()
