"""The annotator's command: arguments to a project or to lessons, and those to a server."""

import argparse
import hashlib
import ipaddress
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interseg
from annotate.categories import name_classes
from annotate.exports import export
from annotate.folders import claim_folder
from annotate.interactor import Interactor
from annotate.label_studio import make_backend
from annotate.options import check_token, read_options
from annotate.photos import Project
from annotate.server import make_app, open_socket, serve
from annotate.teaching.exports import export as export_lessons
from annotate.teaching.lessons import Lessons
from annotate.teaching.server import make_app as make_lessons_app
from annotate.teaching.volume_exports import export as export_volumes
from annotate.teaching.volume_server import make_app as make_volumes_app
from annotate.teaching.volumes import VolumeLessons
from annotate.truth import Truth
from configs.checkpoints import find_checkpoint
from configs.teaching import kind_of, open_lesson
from configs.teaching_volumes import open_volumes
from datamodules.volume_files import stem
from interseg.errors import InputError
from interseg.inference.model import Model

OPEN = "; every account of this machine may ask it, unless you give --token"
"""What is said at the start of a server without a token."""


def main() -> None:
    """Serve photos or volumes until the command is stopped, or write what was annotated."""
    options = read_options()
    token = check_token(options.host, options.token)
    kind = kind_of(options.checkpoint, options.trust)
    if kind == "volumes":
        teach_volumes(options, token)
        return
    if options.volume or options.clicks:
        raise InputError(
            "--volume and --clicks are for runs that learn volumes, "
            f"and {options.checkpoint} is a run of {kind}; leave them out"
        )
    if options.images is None:
        raise InputError("--images is missing; give the folder of the photos")
    out = options.out or beside(options.images, lambda path: path.name)
    if options.truth and options.truth.resolve() == (out / "masks").resolve():
        raise InputError(
            f"--truth is {options.truth}, where an export writes its masks; give another --out"
        )
    classes = names_in(options.classes)
    place = None if options.export else open_socket(options.host, options.port)
    if kind == "tasks":
        teach(options, out, classes, place, token)
        return
    model = load_model(options.checkpoint, options, options.overrides)
    digest = digest_of(find_checkpoint(options.checkpoint)[1], options.overrides)
    if options.serve and place:
        serve_label_studio(model, digest, options, place, token)
    else:
        annotate(model, digest, options, out, classes, place, token)


def beside(given: Path, name: Callable[[Path], str]) -> Path:
    """Name the folder of the answers beside what is annotated, which may be `.`.

    Raises `InputError` for the root of the disk.
    """
    path = given.resolve() if given.name in ("", "..") else given
    if not path.name:
        raise InputError(f"{given} has no name; give the folder for the answers by --out")
    return path.with_name(f"{name(path)}-annotated")


def names_in(given: str | None) -> list[str] | None:
    """Read names that commas separate, each once; None where there are none."""
    names = [name.strip() for name in (given or "").split(",")]
    return list(dict.fromkeys(name for name in names if name)) or None


def load_model(checkpoint: str, options: argparse.Namespace, overrides: list[str]) -> Model:
    """Load a network that answers clicks; raise `InputError` for an export."""
    model = interseg.load(checkpoint, *overrides, device=options.device, trusted=options.trust)
    if not isinstance(model, Model):
        raise InputError(f"{checkpoint} is an export, which cannot be annotated with; give its run")
    return model


def serve_label_studio(
    model: Model,
    digest: str,
    options: argparse.Namespace,
    place: socket.socket,
    token: str | None,
) -> None:
    """Answer Label Studio until the command is stopped."""
    backend = make_backend(Interactor(model), options.images, digest, options.host, token)
    password = f"; password {token}" if token else OPEN
    address = f"{address_of(place)}{others_at(place)}"
    print(f"Label Studio's ML backend: {address}  (Ctrl+C ends it{password})", flush=True)
    serve(backend, place)


def annotate(
    model: Model,
    digest: str,
    options: argparse.Namespace,
    out: Path,
    classes: list[str] | None,
    place: socket.socket | None,
    token: str | None,
) -> None:
    """Serve a folder of photos until the command is stopped; without a place, export and return."""
    if options.truth and model.segmenter.outputs > 1:
        raise InputError(
            "--truth has masks of objects, and this network answers with classes; leave it out"
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


def teach(
    options: argparse.Namespace,
    out: Path,
    classes: list[str] | None,
    place: socket.socket | None,
    token: str | None,
) -> None:
    """Serve lessons on photos until the command is stopped; without a place, export and return."""
    if options.serve:
        raise InputError(
            f"--serve answers clicks, and {options.checkpoint} learns tasks; "
            "give a network that answers clicks, or leave --serve out"
        )
    with claim_folder(out):  # before another process' lessons are written over
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
    names = ["background", *name_classes(classes, lesson.classes)]
    lessons = Lessons(lesson, names, lesson.photos())
    print("preparing the method; the first start takes a while", flush=True)
    serve_lessons(lessons, export_lessons, make_lessons_app, options.host, place, token)


def teach_volumes(options: argparse.Namespace, token: str | None) -> None:
    """Serve lessons on volumes until the command is stopped, or export and return."""
    given = [name for name in ("images", "classes", "truth", "serve") if getattr(options, name)]
    if given or not options.volume:
        leave = f"leave --{given[0]} out, and " if given else ""
        raise InputError(f"{options.checkpoint} learns volumes; {leave}give files by --volume")
    out = options.out or beside(options.volume[0], stem)
    place = None if options.export else open_socket(options.host, options.port)
    with claim_folder(out):
        lesson = open_volumes(
            options.checkpoint,
            options.overrides,
            options.volume,
            out,
            options.device,
            options.trust,
        )
    asked = options.clicks and place
    clicks = load_model(options.clicks, options, []) if asked else None
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
    """Serve lessons until the command is stopped; without a place, export and return."""
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
    """Print the address that a person opens, and that for others where all may be asked."""
    query = f"?token={token}" if token else ""
    print(
        f"{what}: {address_of(place)}/{query}{others_at(place, f'/{query}')}  "
        f"(Ctrl+C ends it; everything is kept in {out}{'' if token else OPEN})",
        flush=True,
    )


def others_at(place: socket.socket, rest: str = "") -> str:
    """Write the address for other machines, of a socket that listens on all of this one's."""
    if not listens_everywhere(place):
        return ""
    return f"; for others http://{socket.gethostname()}:{place.getsockname()[1]}{rest}"


def listens_everywhere(place: socket.socket) -> bool:
    """Tell whether a socket listens on all addresses of this machine."""
    host = place.getsockname()[0]
    return ipaddress.ip_address(host.partition("%")[0]).is_unspecified


def address_of(place: socket.socket) -> str:
    """Write the address of a socket as a browser takes it."""
    host, port = place.getsockname()[:2]
    if listens_everywhere(place):
        host = "localhost"
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def digest_of(file: Path, overrides: list[str]) -> str:
    """Return a digest of a network: of its checkpoint's bytes and the changes to its config."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256")
    found.update("\n".join(overrides).encode())
    return found.hexdigest()[:12]
