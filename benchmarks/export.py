"""Differences between the answers of an export and of its run, and the times of a click in both.

    python -m benchmarks.export RUN PHOTOS [--count 20] [--clicks 5]

PHOTOS is a folder of photos. Clicks are drawn at random; the largest difference of logits and of
probabilities, and the pixels whose label differs, are those of all answers: of two sessions, each
of which goes on from its own answers, and of the export's decoder given the run's answer before.
Beside them stands how far the network itself is from its answer in double precision, at the first
clicks.
"""

import argparse
import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
    sessions_apart, answers_apart = Apart(), Apart()
    errors = []
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
                for session in (ours, theirs):
                    session.click(y, x, int(k % 3 != 1))
                logits = [
                    step.logits[0].numpy() for step in ours.steps[1:] if step.logits is not None
                ]
                other = theirs.steps[-1].logits
                assert other is not None
                sessions_apart.add(logits[-1], other)
                points, labels = ours.clicks[:, 1::-1].astype(np.float32), ours.clicks[:, 2]
                kept = {"before": logits[-2]} if k else {}
                reply = pair.pair.decode(theirs.encoded, theirs.size, points, labels, None, kept)
                answers_apart.add(logits[-1], reply.logits)
            errors.append(single_precision_error(method.network, exact, *shown[0][:2]))
            for name, session in (("torch", ours), ("export", theirs)):
                seconds[f"{name}: encode"].append(session.encoding_seconds)
                seconds[f"{name}: click"] += session.seconds
    print(
        f"{about['network']}, split: {about['split']}, {size:.1f} MB, {len(photos)} photos, "
        f"{options.clicks} clicks each"
    )
    print(f"sessions: {sessions_apart}")
    print(f"answers from the same answer before: {answers_apart}")
    print(
        f"torch's logits of a first click differ from those in double precision by "
        f"{np.median(errors):.2g} in the median, {max(errors):.2g} at most"
    )
    for name, values in seconds.items():
        print(f"{name:16}{1000 * float(np.median(values)):8.1f} ms (median)")


@dataclass
class Apart:
    """Differences of two networks' logits: the largest ones, and the pixels of another label."""

    logits: float = 0.0
    probabilities: float = 0.0
    changed: int = 0
    pixels: int = 0

    def add(self, ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
        """Add an answer's logits (H, W) of both."""
        chances = np.abs(expit(ours) - expit(theirs))
        self.logits = max(self.logits, float(np.abs(ours - theirs).max()))
        self.probabilities = max(self.probabilities, float(chances.max()))
        self.changed += int(((ours > 0) != (theirs > 0)).sum())
        self.pixels += ours.size

    def __str__(self) -> str:
        return (
            f"logits differ by {self.logits:.2g} at most, probabilities by "
            f"{self.probabilities:.2g}; {self.changed} of {self.pixels} pixels have another label"
        )


@torch.no_grad()
def single_precision_error(
    network: nn.Module, exact: nn.Module, image: Tensor, guidance: Tensor
) -> float:
    """Compute the largest difference of a network's logits from those of its copy in double."""
    logits = network(image, guidance)
    return float((logits - exact(image.double(), guidance.double())).abs().max())


if __name__ == "__main__":
    main()
