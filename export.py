"""Export a run to ONNX: `python export.py --checkpoint RUN --out FOLDER`.

Written are an encoder and a decoder with SAM's signature, `interseg.json`, and
`x-anylabeling.yaml`, by which X-AnyLabeling loads them. `interseg.load(FOLDER)` opens sessions on
them without torch (docs/external.md).
"""

import sys
from pathlib import Path

from configs.checkpoints import load_for_sessions
from configs.console import run_guarded
from configs.options import Parser, output_folder
from interseg.inference.exporting import export

EXAMPLES = (
    "--checkpoint RUN --out FOLDER",
    "--checkpoint RUN --out FOLDER --name cats model.long_side=[448,448]",
)


def main() -> int:
    """Load the method, write the files, and print notes about them."""
    arguments = Parser(__doc__.splitlines()[0], EXAMPLES)
    arguments.add_argument(
        "--checkpoint", required=True, metavar="RUN_OR_FILE", help="a run's folder, or a checkpoint"
    )
    arguments.add_argument(
        "--out", required=True, type=output_folder, metavar="FOLDER", help="for the files"
    )
    arguments.add_argument("--name", default="interseg", help="of the model, as annotators see it")
    arguments.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="see train.py"
    )
    arguments.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="of the config, e.g. model.long_side=[448,448]",
    )
    options = arguments.parse_intermixed_args()
    method, threshold = load_for_sessions(
        Path(options.checkpoint), options.overrides, options.trust
    )
    about = export(method, options.out, options.name, threshold)
    if not about["split"]:
        print(
            f"note: {about['network']} cannot be split: decoder.onnx runs it whole at every click",
            file=sys.stderr,
        )
    if about["previous"] == "distance":
        print(
            "note: the decoder computes the distance to the mask before in height x width x width "
            "numbers of the network's view, 2.9 GB for 684 x 1024; a smaller model.long_side needs "
            "less",
            file=sys.stderr,
        )
    if about["previous"] == "none":
        print(
            "note: this network does not see the mask before; mask_input is taken and passed over",
            file=sys.stderr,
        )
    if threshold != 0.5:
        print(
            f"note: sessions of interseg.load take the run's threshold, {threshold}; other "
            "programs cut the graph's logits at 0, a probability of 0.5",
            file=sys.stderr,
        )
    print(f"exported: {options.out}")
    return 0


if __name__ == "__main__":
    run_guarded(main)
