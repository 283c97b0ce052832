"""Lessons on photos: a fit of a trained run that asks a person, task after task.

It takes a run of a method that learns tasks, and a folder of photos.

Its folder is a run's (`config.yaml`, `checkpoints/last.ckpt`), with `lesson.json`, the photos in
the order in which they are taught, and `checkpoints/start.ckpt`, what the method began with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import seed_everything
from torch import Tensor

from callbacks.lessons import Lessons
from callbacks.person_loop import PersonLoop
from configs import DEFAULT, build, find, load, merge, read, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config, without_download
from configs.folders import open_folder
from configs.lesson_order import order_in
from configs.run import build_model, needs, trainer
from datamodules.photos import PhotoDataset, PhotoStream
from datamodules.tasks import TaskDataModule
from interseg.checkpoints import digest, read_checkpoint
from interseg.continual.teacher import Teacher
from interseg.errors import InputError
from interseg.files import whole
from interseg.images import LARGEST_OPENED, image_header
from interseg.listing import list_images, list_photos, name_some, plain_name
from lightning_modules.dynamic3d import Dynamic3D
from lightning_modules.task_learner import TaskLearner

PERSON: dict[str, Any] = {
    "name": "lessons",
    "logger": None,
    "protocol": None,
    "trainer": {
        "max_epochs": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "max_steps": -1,
        "max_time": None,
        "limit_train_batches": 1.0,
    },
    "callbacks": {"checkpoint": {"every_n_steps": 1}},
}
"""What differs from a run that a simulated user teaches."""
WITHOUT = ("transfer", "dice", "report", "requeue", "progress")
"""Callbacks that are left out: the person's page shows what they would, and measures on demand."""


@dataclass
class Lesson:
    """A method, the photos that it is taught, and the folder that remembers both."""

    config: dict[str, Any]
    """Resolved."""
    folder: Path
    files: list[Path]
    """The photos, in the order in which they are taught."""
    truth: dict[str, Path]
    """Class masks of some of them, by the photos' names."""
    notes: list[str]
    """Files of the folder of photos that are left out, a line a kind."""
    trusted: Sequence[str]

    @property
    def classes(self) -> int:
        """Number of classes, background among them."""
        return int(self.config["data"]["classes"])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width at which photos are learned."""
        height, width = self.source().size
        return height, width

    def source(self) -> TaskDataModule:
        """Make the data module of the pretraining; it reads no file until images are asked for."""
        source = build(self.config["data"], self.trusted, "data")
        if not isinstance(source, TaskDataModule):
            raise InputError(
                f"the run's data are a {type(source).__name__}; lessons are for runs of clis.yaml "
                "and its controls"
            )
        return source

    def photos(self) -> PhotoDataset:
        """Make the photos as the method sees them."""
        return PhotoStream(self.source(), self.files, self.truth).photos

    def fit(self, teacher: Teacher) -> None:
        """Teach from the folder's checkpoint on, until the teacher ends it by an exception."""
        folder, config = self.folder, self.config
        start, last = folder / "checkpoints" / "start.ckpt", folder / "checkpoints" / "last.ckpt"
        start.parent.mkdir(parents=True, exist_ok=True)
        seed_everything(config["seed"], verbose=False)
        model = build_model(config, self.trusted)
        if start.exists():
            model.prepared = read_checkpoint(start)["state_dict"]
        else:
            self.source().objects(
                "train"
            )  # missing images stop the lessons before anything is built
        loop = PersonLoop(
            teacher, start, int((config["callbacks"].get("loop") or {}).get("segments", 1600))
        )
        before = tasks_in(model.prepared) if model.prepared else 0
        stream = PhotoStream(self.source(), self.files, self.truth, before, teacher.rest)
        resumed = last if last.exists() else None
        fit = trainer(
            config
            | {"callbacks": config["callbacks"] | {"loop": loop, "lessons": Lessons(teacher)}},
            folder,
            list(self.trusted),
            resumed,
        )
        fit.fit(model, stream, ckpt_path=resumed, weights_only=True)


def open_lesson(
    checkpoint: str,
    overrides: Sequence[str],
    images: Path,
    out: Path,
    truth: Path | None = None,
    device: str = "auto",
    trusted: Sequence[str] = (),
) -> Lesson:
    """Open the lessons of a folder of photos, or go on with those that `out` holds.

    Args:
        checkpoint: Checkpoint of a run that was pretrained, or that has learned tasks already: the
            lessons go on from there.
        overrides: `key=value` of its config.
        images: Folder of the photos.
        out: Folder of the lessons' run.
        truth: Folder of class masks with the photos' stems, for measuring.
        device: "auto", "cpu" or "cuda".
        trusted: Packages whose classes the config may name.

    Raises:
        InputError: another method's run, no photos, or lessons of another checkpoint in `out`.
    """
    _, file = find_checkpoint(checkpoint)
    config = trained_config(file, trusted)
    needs(resolve(config), "model", "data")
    began = config["model"].get("pretrained")
    config = merge(
        without_reports(config),
        PERSON | {"model": {"pretrained": str(began or file.absolute())}},
        "",
        trusted,
    )
    merged = load([], [*overrides, *device_keys(device)], config, trusted)
    resolved = resolve(merged)
    files, notes = list_photos(images)
    for path in files.values():
        height, width = image_header(path).size.upright
        if height * width > LARGEST_OPENED:
            raise InputError(
                f"{path.name} has {height} x {width} pixels; at most {LARGEST_OPENED} are "
                "learned, reduce it"
            )
    names = order_in(out, digest(file), list(overrides), files)
    masks = {} if truth is None else list_images(truth).files
    stems = {name: plain_name(Path(name)) for name in names}
    known = {name: masks[stem] for name, stem in stems.items() if stem in masks}
    if truth is not None:
        what = f"the truth once photos are taught of which {truth} has no mask"
        notes += name_some(what, [name for name in names if name not in known])
    lesson = Lesson(resolved, out, [files[name] for name in names], known, notes, trusted)
    lesson.source()
    start = out / "checkpoints" / "start.ckpt"
    if began and not start.exists():
        learned = build_prepared(resolved, file, trusted)
        start.parent.mkdir(parents=True, exist_ok=True)
        with whole(start) as part:
            torch.save({"state_dict": learned}, part)
    open_folder(out, merged)
    return lesson


def without_reports(config: dict[str, Any]) -> dict[str, Any]:
    """Leave the callbacks of `WITHOUT` out; those of every run have to be turned off."""
    kept = {name: node for name, node in config["callbacks"].items() if name not in WITHOUT}
    off = {name: None for name in WITHOUT if name in read(DEFAULT)["callbacks"]}
    return config | {"callbacks": kept | off}


def build_prepared(config: dict[str, Any], file: Path, trusted: Sequence[str]) -> dict[str, Tensor]:
    """Give the state of a run that has learned tasks; raise `InputError` if it does not fit."""
    without_download(config["model"])
    model = build_model(config, trusted)
    load_weights(model, file)
    return dict(model.state_dict())


def device_keys(device: str) -> list[str]:
    """Write the Trainer's keys for a device; raises `InputError` for another one."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (
        number and not (kind == "cuda" and number.isdecimal())
    ):
        raise InputError(f"device is {device!r}; lessons take auto, cpu, cuda or cuda:NUMBER")
    keys = [f"trainer.accelerator={'gpu' if kind == 'cuda' else kind}"]
    return [*keys, f"trainer.devices=[{number}]"] if number else keys


def tasks_in(state: Mapping[str, Tensor]) -> int:
    """Count the tasks that a state has learned after its pretraining, where it tells of each."""
    if "memory.pairs" in state:
        return len(state["memory.pairs"])
    return max(0, int(state["consolidation.tasks"]) - 1) if "consolidation.tasks" in state else 0


def kind_of(checkpoint: str, trusted: Sequence[str] = ()) -> str:
    """Tell whether a run is taught by "clicks", or a stream's "tasks" or "volumes".

    Raises `InputError` for a folder that is no run.
    """
    if (Path(checkpoint) / "interseg.json").is_file():  # what export.py wrote
        return "clicks"
    config = trained_config(find_checkpoint(checkpoint)[1], trusted)
    needs(config, "model")
    method = find(config["model"]["_target_"], trusted)
    if not isinstance(method, type):
        return "clicks"
    return (
        "tasks"
        if issubclass(method, TaskLearner)
        else "volumes"
        if issubclass(method, Dynamic3D)
        else "clicks"
    )
