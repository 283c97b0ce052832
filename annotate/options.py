"""The annotator's command line."""

import argparse
import os
import secrets
from pathlib import Path

from annotate.guard import is_loopback
from configs.options import Parser, output_folder
from interseg.errors import InputError

EXAMPLES = (
    "--checkpoint interseg-s --images photos",
    "--checkpoint RUN --images photos --out annotated --classes cat,dog",
    "--checkpoint RUN --images data/images --truth data/masks --out experiment",
    "--checkpoint CLIS_RUN --images photos --classes cat",
    "--checkpoint DYNAMIC_RUN --volume brain.nii.gz --clicks interseg-s",
)
SHORTEST_TOKEN = 12
"""Characters."""


def read_options() -> argparse.Namespace:
    """Read the command line."""
    arguments = Parser("Annotate photos by clicks in the browser.", EXAMPLES)
    arguments.add_argument(
        "--checkpoint",
        required=True,
        metavar="RUN_OR_FILE",
        help="a run, a checkpoint, or a name: interseg-s",
    )
    arguments.add_argument("--images", type=Path, metavar="FOLDER", help="of the photos")
    arguments.add_argument(
        "--volume",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="to teach a method that learns volumes: NIfTI, MHA, ...",
    )
    arguments.add_argument(
        "--clicks",
        metavar="RUN_OR_FILE",
        help="network that answers clicks on slices; else the brush",
    )
    arguments.add_argument(
        "--out",
        type=output_folder,
        metavar="FOLDER",
        help="for journals and exports; IMAGES-annotated by default",
    )
    arguments.add_argument(
        "--classes",
        metavar="NAME,NAME",
        help="that objects have, or of the network's labels; 1 to 9 choose one",
    )
    arguments.add_argument(
        "--truth",
        type=Path,
        metavar="FOLDER",
        help="masks with the photos' stems: IoU is shown and an experiment kept",
    )
    arguments.add_argument(
        "--serve",
        choices=["label-studio"],
        help="answer another tool's clicks in place of the page",
    )
    arguments.add_argument(
        "--export", action="store_true", help="write masks, COCO, LabelMe and clicks, and stop"
    )
    arguments.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="PIXELS",
        help="of polygons; 0 for exact ones",
    )
    arguments.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; one that others reach needs --token",
    )
    arguments.add_argument("--port", type=int, default=8471, help="to listen on; 0 for a free one")
    arguments.add_argument(
        "--token",
        nargs="?",
        const="",
        metavar="TOKEN",
        help="that all must have, also on a machine with several users; else INTERSEG_TOKEN, or a "
        "drawn one",
    )
    arguments.add_argument(
        "--keep", type=int, default=4, metavar="N", help="photos whose encodings are kept in memory"
    )
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    arguments.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="see train.py"
    )
    arguments.add_argument(
        "overrides", nargs="*", metavar="key=value", help="of the config, e.g. refiner=f_brs_b"
    )
    return arguments.parse_intermixed_args()


def check_token(host: str, given: str | None) -> str | None:
    """Give the token that is asked for; raises `InputError` for an open address without one."""
    if given is None and not is_loopback(host):
        raise InputError(f"--host {host} is reached by others; give --token, or leave --host out")
    if given == "":
        given = os.environ.get("INTERSEG_TOKEN") or secrets.token_urlsafe(18)
    if given is not None and (
        len(given) < SHORTEST_TOKEN
        or not given.isascii()
        or not given.replace("-", "").replace("_", "").isalnum()
    ):
        raise InputError(
            f"the token has {len(given)} characters; "
            f"give {SHORTEST_TOKEN} letters and digits or more, or --token alone"
        )
    return given
