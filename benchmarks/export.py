"""Differences between the answers of an export and of its run, and the times of a click in both.

    python -m benchmarks.export RUN PHOTOS [--count 20] [--clicks 5]

PHOTOS is a folder of photos. Clicks are drawn at random; the largest difference of logits and the
pixels whose label differs are counted over all answers.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.checkpoints import load_method
from interseg.images import read_image
from interseg.inference.exported import ExportedModel
from interseg.inference.exporting import export
from interseg.inference.model import Model

KINDS = (".jpg", ".jpeg", ".png")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("run", type=Path)
    arguments.add_argument("photos", type=Path)
    arguments.add_argument("--count", type=int, default=20)
    arguments.add_argument("--clicks", type=int, default=5)
    options = arguments.parse_args()
    method: Any = load_method(options.run)
    rng = np.random.default_rng(0)
    photos = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in KINDS)
    photos = photos[: options.count]
    differences, changed, pixels = [], 0, 0
    seconds: dict[str, list[float]] = {
        name: [] for name in ("torch: encode", "torch: click", "export: encode", "export: click")
    }
    with tempfile.TemporaryDirectory() as folder:
        about = export(method, Path(folder), "benchmark")
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        pair = ExportedModel(Path(folder), "cpu")
        for path in photos:
            photo = read_image(path)
            ours, theirs = Model(method, torch.device("cpu")).session(photo), pair.session(photo)
            for k in range(options.clicks):
                y, x = (int(rng.integers(side)) for side in photo.shape[:2])
                masks = [session.click(y, x, int(k % 3 != 1)) for session in (ours, theirs)]
                logits, other = ours.steps[-1].logits, theirs.steps[-1].logits
                assert logits is not None
                differences.append(float(np.abs(logits[0].numpy() - other).max()))
                changed += int((masks[0] != masks[1]).sum())
                pixels += masks[0].size
            for name, session in (("torch", ours), ("export", theirs)):
                seconds[f"{name}: encode"].append(session.encoding_seconds)
                seconds[f"{name}: click"] += session.seconds
    print(
        f"{about['network']}, split: {about['split']}, {size:.1f} MB, {len(photos)} photos, "
        f"{options.clicks} clicks each"
    )
    print(
        f"largest difference of logits {max(differences):.2g}; "
        f"{changed} of {pixels} pixels have another label"
    )
    for name, values in seconds.items():
        print(f"{name:16}{1000 * float(np.median(values)):8.1f} ms (median)")


if __name__ == "__main__":
    main()
