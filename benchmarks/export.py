"""Differences between the answers of an export and of its run, and the times of a click in both.

    python -m benchmarks.export RUN PHOTOS [--count 20] [--clicks 5]

PHOTOS is a folder of photos. Clicks are drawn at random; the largest difference of logits and of
probabilities, and the pixels whose label differs, are those of all answers. Beside them stands how
far the network itself is from its answer in double precision, at the first clicks.
"""

import argparse
import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

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
    exact = copy.deepcopy(method.network).double().eval()
    shown: list[Any] = []
    method.network.register_forward_hook(lambda network, given, answer: shown.append(given))
    rng = np.random.default_rng(0)
    photos = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in KINDS)
    photos = photos[: options.count]
    differences: list[tuple[float, float]] = []  # of logits and of probabilities
    changed, pixels, errors = 0, 0, []
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
            shown.clear()
            for k in range(options.clicks):
                y, x = (int(rng.integers(side)) for side in photo.shape[:2])
                masks = [session.click(y, x, int(k % 3 != 1)) for session in (ours, theirs)]
                assert ours.steps[-1].logits is not None
                logits, other = ours.steps[-1].logits[0].numpy(), theirs.steps[-1].logits
                apart = np.abs(logits - other).max(), np.abs(expit(logits) - expit(other)).max()
                differences.append(apart)
                changed += int((masks[0] != masks[1]).sum())
                pixels += masks[0].size
            errors.append(single_precision_error(method.network, exact, *shown[0][:2]))
            for name, session in (("torch", ours), ("export", theirs)):
                seconds[f"{name}: encode"].append(session.encoding_seconds)
                seconds[f"{name}: click"] += session.seconds
    print(
        f"{about['network']}, split: {about['split']}, {size:.1f} MB, {len(photos)} photos, "
        f"{options.clicks} clicks each"
    )
    print(
        "largest difference of logits {:.2g}, of probabilities {:.2g}; ".format(
            *np.max(differences, axis=0)
        )
        + f"{changed} of {pixels} pixels have another label"
    )
    print(
        f"torch's logits of a first click differ from those in double precision by "
        f"{np.median(errors):.2g} in the median, {max(errors):.2g} at most"
    )
    for name, values in seconds.items():
        print(f"{name:16}{1000 * float(np.median(values)):8.1f} ms (median)")


@torch.no_grad()
def single_precision_error(
    network: nn.Module, exact: nn.Module, image: Tensor, guidance: Tensor
) -> float:
    """Compute the largest difference of a network's logits from those of its copy in double."""
    logits = network(image, guidance)
    return float((logits - exact(image.double(), guidance.double())).abs().max())


if __name__ == "__main__":
    main()
