"""A plain U-Net, trained without clicks on half a photo of coins, made interactive: IoU against clicks (as BRS' Table 4).

    python -m benchmarks.conversion FOLDER [key=value ...]

The left half of the photo is cut into tiles for training, the right half into tiles that are played; a tile's coins are one mask.
Then train.py and evaluate.py do the rest with `--config convert.yaml`, as they would with a network and images of yours.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.ablation import done
from datamodules.samples import SamplesDataModule

TILES = 2
"""Tiles of a half, along each side."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("overrides", nargs="*", help="of the training")
    options = arguments.parse_args()
    data, run = options.folder / "data", options.folder / "run"
    write_tiles(data)
    given = ["--config", "convert.yaml", "--config", "data/folder.yaml", f"data.root={data}", "data.kind=binary"]
    small = ["loading.batch_size=4", "loading.num_workers=0", "trainer.max_epochs=30", "callbacks.checkpoint.every_n_epochs=30"]
    done(run / "finished", "train.py", *given, *small, *options.overrides, f"run={run}")
    rows = {}
    for name, refiner in (("U-Net, clicks ignored", "null"), ("converted, BRS", "brs")):
        played = run / refiner
        done(
            played / "report.json",
            "evaluate.py",
            "--checkpoint",
            str(run),
            f"refiner={refiner}",
            "max_clicks=5",
            "full_curves=true",
            f"run={played}",
        )
        rows[name] = json.loads((played / "report.json").read_text())
    print("| mean IoU after clicks | 0 | 1 | 2 | 3 | 4 | 5 | clicked pixels labelled otherwise |\n" + "|---" * 8 + "|")
    for name, report in rows.items():
        ious = " | ".join(f"{report[f'miou@{k}']:.3f}" for k in range(6))
        print(f"| {name} | {ious} | {report['clicked_wrong']} of {report['clicked']} |")


def write_tiles(folder: Path) -> None:
    """Tiles of the photo and of the union of its coins, as `data/folder.yaml` reads them."""
    objects = SamplesDataModule().objects("test")
    coins = [objects.read(i) for i in range(len(objects)) if objects.name(i).startswith("coins")]
    image, mask = coins[0].image, np.any([sample.mask == 1 for sample in coins], axis=0)
    middle = image.shape[1] // 2
    for split, half in (("train", slice(0, middle)), ("test", slice(middle, None))):
        for kind, pixels in (("images", image[:, half]), ("masks", mask[:, half].astype(np.uint8) * 255)):
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
            for y, rows in enumerate(np.array_split(pixels, TILES, axis=0)):
                for x, tile in enumerate(np.array_split(rows, TILES, axis=1)):
                    Image.fromarray(tile).save(folder / split / kind / f"{y}{x}.png")


if __name__ == "__main__":
    main()
