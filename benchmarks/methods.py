"""ITIS, a network that encodes once, RITM and SimpleClick, trained for the same time.

    OMP_NUM_THREADS=1 python -m benchmarks.methods FOLDER [key=value ...] --minutes 27
        --data '--config benchmarks/sources.yaml data.root=PATH' [--seeds 3] [--rows ITIS RITM ...]

`--steps 2000` instead of minutes gives every row the same steps. How steps are chosen:
`benchmarks/equal_time.py`. The line may be stopped at any time; given again, it goes on. Features
of the row `once` are kept in `~/.cache/interseg/features`: what is there costs no time, and a probe
that has to encode finds fewer steps than fit. Keep them by an epoch of that row beforehand.
"""

from argparse import Namespace
from pathlib import Path

from benchmarks.equal_time import Table, arguments_of, print_markdown, train_and_evaluate
from benchmarks.played import build_method

DINOV2 = ["model.network.encoder=vit_small_patch14_dinov2"]
ROWS = {
    "ITIS": ["--config", "small.yaml"],
    "ITIS by RITM's training": ["--config", "small.yaml", "--config", "itis/ritm.yaml"],
    "once": [
        "--config",
        "itis/once.yaml",
        "--config",
        "itis/ritm.yaml",
        *DINOV2,
        "callbacks.features.crop=0.625",
    ],
    "RITM": ["--config", "ritm.yaml", "--config", "ritm/small.yaml"],
    "SimpleClick": ["--config", "simpleclick.yaml", "--config", "simpleclick/small.yaml"],
}
"""Each at the size of two cores."""
ENCODERS = {
    "ITIS": "EfficientNet-Lite0, ImageNet",
    "ITIS by RITM's training": "EfficientNet-Lite0, ImageNet",
    "once": "ViT-S/14, DINOv2, frozen",
    "RITM": "HRNet-W18-small-v2, random",
    "SimpleClick": "ViT-S/14, DINOv2",
}
FIGURES = {
    "NoC@85": "noc@85",
    "NoC@90": "noc@90",
    "failures@90": "failures@90",
    "mIoU@1": "miou@1",
    "mIoU@5": "miou@5",
    "seconds per click": "median_seconds_per_click",
}


def main() -> None:
    options = arguments_of(__doc__.splitlines()[0], ROWS).parse_intermixed_args()
    table = train_and_evaluate(
        {row: [*words, *options.data] for row, words in ROWS.items()}, options
    )
    print_markdown(table, FIGURES, describe_rows(table, options.data))


def describe_rows(table: Table, data: list[str]) -> dict[str, list[str]]:
    """Describe each row by its data, encoder, and millions of weights: all, and trained ones."""
    sets = ", ".join(Path(word).stem for word in data if word.endswith(".yaml"))
    words = {"": ["data", "encoder, its start", "weights (M)", "of them learned"]}
    for row, runs in table.items():
        words[row] = [sets, ENCODERS[row], *(f"{count / 1e6:.2f}" for count in weights_of(runs[0]))]
    return words


def weights_of(run: Path) -> tuple[int, int]:
    """Count a run's weights, and those that learn."""
    options = Namespace(checkpoint=str(run), config=[], overrides=[], trust=[])
    method, _ = build_method(options)
    weights = list(method.network.parameters())
    return sum(p.numel() for p in weights), sum(p.numel() for p in weights if p.requires_grad)


if __name__ == "__main__":
    main()
