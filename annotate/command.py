"""Arguments -> project -> server."""

import argparse
import hashlib
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interseg
from annotate.exports import export
from annotate.guard import is_loopback
from annotate.interactor import Interactor
from annotate.label_studio import make_backend
from annotate.photos import Project, named_classes
from annotate.server import bound, make_app, serve
from annotate.teaching.exports import export as export_lessons
from annotate.teaching.lessons import Lessons
from annotate.teaching.server import make_app as make_lessons_app
from annotate.teaching.volume_exports import export as export_volumes
from annotate.teaching.volume_server import make_app as make_volumes_app
from annotate.teaching.volumes import VolumeLessons
from annotate.truth import Truth
from configs.checkpoints import find_checkpoint
from configs.options import Parser
from configs.teaching import kind_of, open_lesson
from configs.teaching_volumes import open_volumes
from datamodules.volume_files import stem
from interseg.errors import InputError
from interseg.inference.model import Model

EXAMPLES = (
    "--checkpoint interseg-s --images photos",
    "--checkpoint RUN --images photos --out annotated --classes cat,dog",
    "--checkpoint RUN --images data/images --truth data/masks --out experiment",
    "--checkpoint CLIS_RUN --images photos --classes cat",
    "--checkpoint DYNAMIC_RUN --volume brain.nii.gz --clicks interseg-s",
)
SHORTEST_TOKEN = 12


def main() -> None:
    """Serve a folder of photos until it is stopped, or write what was annotated."""
    options = read_options()
    token = checked_token(options.host, options.token)
    kind = kind_of(options.checkpoint, options.trust)
    if kind == "volumes":
        teach_volumes(options, token)
        return
    if options.volume or options.clicks:
        raise InputError(
            f"--volume and --clicks are for runs that learn volumes, and {options.checkpoint} is of {kind}; leave them out"
        )
    if options.images is None:
        raise InputError("no photos are named; give their folder by --images")
    out = options.out or options.images.with_name(f"{options.images.name}-annotated")
    classes = (
        list(
            dict.fromkeys(
                name.strip() for name in (options.classes or "").split(",") if name.strip()
            )
        )
        or None
    )
    place = None if options.export else bound(options.host, options.port)
    if kind == "tasks":
        teach(options, out, classes, place, token)
        return
    model = interseg.load(
        options.checkpoint, *options.overrides, device=options.device, trusted=options.trust
    )
    if not isinstance(model, Model):
        raise InputError(
            f"{options.checkpoint} is an export, which is not annotated with; give its run"
        )
    digest = digest_of(find_checkpoint(options.checkpoint)[1], options.overrides)
    if options.serve and place:
        backend = make_backend(Interactor(model), options.images, digest, options.host, token)
        print(
            f"Label Studio's ML backend: {address_of(place)}  (Ctrl+C ends it{f'; password {token}' if token else ''})",
            flush=True,
        )
        serve(backend, place)
        return
    if options.truth and model.segmenter.outputs > 1:
        raise InputError(
            "truth is of objects, and this network answers with classes; leave --truth out"
        )
    truth = Truth(options.images, options.truth) if options.truth else None
    project = Project(model, digest, options.images, out, classes, truth, options.keep)
    for line in project.notes:
        print(f"left out: {line}", file=sys.stderr)
    try:
        if place is None:
            for line in export(project, options.tolerance):
                print(line, file=sys.stderr)
            print(f"annotations: {out}")
            return
        announce("annotate", place, token, out)
        serve(make_app(project, options.host, token), place)
    finally:
        project.close()


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
        type=Path,
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
        help="that all must have; else INTERSEG_TOKEN, or a drawn one",
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


def teach(
    options: argparse.Namespace,
    out: Path,
    classes: list[str] | None,
    place: socket.socket | None,
    token: str | None,
) -> None:
    """Serve lessons of a method that learns tasks until they are stopped, or write what came of them."""
    if options.serve:
        raise InputError(
            "--serve answers clicks, and this method learns; give a click network, or leave --serve out"
        )
    lesson = open_lesson(
        options.checkpoint,
        options.overrides,
        options.images,
        out,
        options.truth,
        options.device,
        options.trust,
    )
    for line in lesson.notes:
        print(f"left out: {line}", file=sys.stderr)
    lessons = Lessons(
        lesson, ["background", *named_classes(classes, lesson.classes)], lesson.photos()
    )
    print("the method is made ready; the first time this takes a while", flush=True)
    serve_lessons(lessons, export_lessons, make_lessons_app, options.host, place, token)


def teach_volumes(options: argparse.Namespace, token: str | None) -> None:
    """Serve lessons of a method that learns volumes until they are stopped, or write what came of them."""
    refused = [
        f"--{name}" for name in ("images", "classes", "truth", "serve") if getattr(options, name)
    ]
    if refused or not options.volume:
        raise InputError(
            f"{options.checkpoint} learns volumes: {f'leave {refused[0]} out, and ' * bool(refused)}give files by --volume"
        )
    out = options.out or options.volume[0].with_name(f"{stem(options.volume[0])}-annotated")
    place = None if options.export else bound(options.host, options.port)
    lesson = open_volumes(
        options.checkpoint, options.overrides, options.volume, out, options.device, options.trust
    )
    clicks = (
        interseg.load(options.clicks, device=options.device, trusted=options.trust)
        if options.clicks and place
        else None
    )
    if clicks is not None and not isinstance(clicks, Model):
        raise InputError(
            f"{options.clicks} is an export, which is not annotated with; give its run"
        )
    lessons = VolumeLessons(lesson, clicks)
    serve_lessons(lessons, export_volumes, make_volumes_app, options.host, place, token)


def serve_lessons(
    lessons: Any,
    write: Callable[[Any], list[str]],
    app: Callable[..., Any],
    host: str,
    place: socket.socket | None,
    token: str | None,
) -> None:
    """Serve lessons at a place until they are stopped, or write what came of them where there is none."""
    try:
        lessons.start()
        if place is None:
            for line in write(lessons):
                print(line, file=sys.stderr)
            print(f"lessons: {lessons.out}")
            return
        announce("teach", place, token, lessons.out)
        serve(app(lessons, host, token), place)
    finally:
        lessons.close()


def announce(what: str, place: socket.socket, token: str | None, out: Path) -> None:
    """Print the address that a person opens."""
    opened = f"{address_of(place)}/{f'?token={token}' if token else ''}"
    print(f"{what}: {opened}  (Ctrl+C ends it; everything is kept in {out})", flush=True)


def address_of(place: socket.socket) -> str:
    """Write the address of a socket as a browser takes it."""
    host, port = place.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def checked_token(host: str, given: str | None) -> str | None:
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
            f"the token has {len(given)} characters; give {SHORTEST_TOKEN} letters and digits or more, or --token alone"
        )
    return given


def digest_of(file: Path, overrides: list[str]) -> str:
    """Tell networks apart: by their checkpoint's bytes and what is changed of its config."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256")
    found.update("\n".join(overrides).encode())
    return found.hexdigest()[:12]
