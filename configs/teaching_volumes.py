"""Lessons on volumes: a fit of a trained run that asks a person, volume after volume.

It takes a run of a method that learns volumes, and files.

Its folder is that of `configs.teaching`; what the method began with is its checkpoint, with the
volumes that it remembers.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import seed_everything

from callbacks.lessons import Lessons
from callbacks.person_slices import PersonSlices
from configs import build, load, merge, resolve
from configs.checkpoints import find_checkpoint, trained_config, without_download
from configs.folders import open_folder
from configs.lesson_order import order_in, read_lesson
from configs.run import build_model, needs, trainer
from configs.teaching import PERSON, device_keys, without_reports
from datamodules.scans import Preparation, ScanDataset, ScanStream, read_scan
from datamodules.volume_files import stem
from datamodules.volumes import VolumeDataModule
from interseg.checkpoints import digest, read_checkpoint
from interseg.errors import InputError
from interseg.files import write_whole
from interseg.volumes.teacher import SliceTeacher
from interseg.volumes.users import SliceUser

LOOP = ("registration", "confidence", "omega", "reach", "inclusive", "threads")
"""Arguments that a person's loop takes of the simulated user's."""


@dataclass
class VolumeLesson:
    """A method, the volumes that it is taught, and the folder that remembers both."""

    config: dict[str, Any]
    """Resolved."""
    folder: Path
    files: list[Path]
    """The volumes, in the order in which they are taught."""
    preparation: Preparation
    trusted: Sequence[str]
    notes: list[str]

    @property
    def user(self) -> SliceUser:
        """User of the method's training, whose axes, slices a round and weight the lessons take.

        A person is guided, whatever that user was: slices are asked for by the residual map.
        """
        user = build(
            (self.config["callbacks"].get("loop") or {}).get("user"),
            self.trusted,
            "callbacks.loop.user",
        )
        return user if isinstance(user, SliceUser) else SliceUser()

    @property
    def loop(self) -> dict[str, Any]:
        """Arguments of `Targets`, by which proxy masks are made and trusted."""
        node = self.config["callbacks"].get("loop") or {}
        return {key: node[key] for key in LOOP if key in node}

    @property
    def seed(self) -> int:
        """The run's."""
        return int(self.config["seed"])

    def scans(self) -> ScanDataset:
        """Make the volumes as the method sees them."""
        first = first_number(read_buffer(self.config["model"]["pretrained"]) or {})
        return ScanDataset(self.files, self.preparation, first)

    def fit(self, teacher: SliceTeacher) -> None:
        """Teach from the folder's checkpoint on, until the teacher ends it by an exception."""
        config, last = self.config, self.folder / "checkpoints" / "last.ckpt"
        seed_everything(config["seed"], verbose=False)
        model = build_model(config, self.trusted)
        model.remembered = read_buffer(config["model"]["pretrained"])
        stream = ScanStream(self.scans(), teacher.rest)
        loop = PersonSlices(teacher, **self.loop)
        resumed = last if last.exists() else None
        fit = trainer(
            config
            | {"callbacks": config["callbacks"] | {"loop": loop, "lessons": Lessons(teacher)}},
            self.folder,
            list(self.trusted),
            resumed,
        )
        fit.fit(model, stream, ckpt_path=resumed, weights_only=True)


def open_volumes(
    checkpoint: str,
    overrides: Sequence[str],
    volumes: Sequence[Path],
    out: Path,
    device: str = "auto",
    trusted: Sequence[str] = (),
) -> VolumeLesson:
    """Open the lessons of some volumes, or go on with those that `out` holds.

    Args:
        checkpoint: Checkpoint of a run that learned volumes: the lessons go on from its weights and
            the volumes that it remembers.
        overrides: `key=value` of its config.
        volumes: Files in any of SimpleITK's formats, or folders of DICOM slices.
        out: Folder of the lessons' run.
        device: "auto", "cpu" or "cuda".
        trusted: Packages whose classes the config may name.

    Raises:
        InputError: no such file, two of one name, or lessons of another checkpoint in `out`.
    """
    _, file = find_checkpoint(checkpoint)
    config = trained_config(file, trusted)
    needs(resolve(config), "model", "data")
    model = {"pretrained": str(file.absolute())}
    config = merge(without_reports(config), PERSON | {"model": model}, "", trusted)
    merged = load([], [*overrides, *device_keys(device)], config, trusted)
    resolved = resolve(merged)
    files: dict[str, Path] = {}
    stems: dict[str, Path] = {}
    for given in volumes:
        path = Path(os.path.abspath(given))  # a folder "." has a name then
        if not path.exists():
            raise InputError(f"there is no volume {given}; give files by --volume")
        if stems.setdefault(stem(path), path) != path:
            raise InputError(
                f"{stems[stem(path)]} and {path} would be exported under one name; rename one"
            )
        files[path.name] = path
    known = out / "lesson.json"
    before = read_lesson(known)
    if (before.get("checkpoint"), before.get("overrides")) != (digest(file), list(overrides)):
        before = {}  # of other lessons, which `order_in` refuses or forgets
    without_download(resolved["model"])
    normal = before.get("normal")
    preparation = read_preparation(
        resolved["data"], trusted, None if normal is None else (normal[0], normal[1])
    )
    for name in files.keys() - {*before.get("photos", ())}:
        read_scan(files[name], preparation)  # a wrong volume raises its error before it is kept
    names = order_in(out, digest(file), list(overrides), files)
    write_whole(
        known, json.dumps(json.loads(known.read_text()) | {"normal": preparation.normal}, indent=1)
    )
    lesson = VolumeLesson(resolved, out, [files[name] for name in names], preparation, trusted, [])
    open_folder(out, merged)
    return lesson


def read_buffer(checkpoint: str) -> dict[str, Any] | None:
    """Read the replay buffer of a checkpoint; None where it has none."""
    found: dict[str, Any] | None = read_checkpoint(checkpoint).get("replay")
    return found


def first_number(buffer: Mapping[str, Any]) -> int:
    """Return a volume's number above all that a replay buffer's state knows.

    The newest may have been turned away; it is not offered to the buffer again.
    """
    known = [*buffer.get("keys", []), buffer.get("newest")]
    numbers = [key[0] if isinstance(key, tuple | list) else key for key in known if key is not None]
    return 1 + max(numbers, default=-1)


def read_preparation(
    node: dict[str, Any], trusted: Sequence[str], normal: tuple[float, float] | None
) -> Preparation:
    """Tell how a run's data prepared volumes.

    Where they are normalised by a set, that set is read unless its figures are known.
    """
    source = build(node, trusted, "data")
    if not isinstance(source, VolumeDataModule):
        raise InputError(
            f"the run's data are a {type(source).__name__}; lessons of volumes are for runs of "
            "dynamic3d.yaml"
        )
    if source.by_set and normal is None:
        try:
            normal = source.objects("train").normal
        except InputError as error:
            raise InputError(
                f"{error}; the lessons need these volumes' mean and deviation, or "
                "data.normalise=volume"
            ) from None
    size: Any = source.size
    spacing: Any = source.spacing
    crop = "none" if source.crop == "none" else "nonzero"
    return Preparation(
        size,
        spacing,
        crop,
        source.margin,
        source.channel,
        source.series,
        normal if source.by_set else None,
    )
