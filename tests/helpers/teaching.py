"""Lessons without a browser.

A tiny pretrained run, the training command's own rounds to compare with, and a person's
requests.
"""

import contextlib
import time
from pathlib import Path
from shutil import copyfile

import numpy as np
import torch
from pytorch_lightning import Callback, seed_everything

from annotate.folders import key_of
from annotate.server import running
from annotate.state import mask_of
from annotate.teaching.lessons import Lessons
from annotate.teaching.server import make_app
from configs import build, load, resolve
from configs.folders import open_folder
from configs.run import build_model, trainer
from configs.teaching import open_lesson
from interseg.continual.superpixels import superpixels
from tests.helpers.annotating import ask
from tests.helpers.streams import TASKS

SIZE = (40, 56)
SEGMENTS = 60
LABELS = [(5, 6, 0), (20, 30, 1), (30, 50, 1), (12, 20, 0)]
"""y, x and class."""


def config_of(root: Path, *files: str, overrides: tuple[str, ...] = ()) -> dict:
    """The training command's merged config, made tiny."""
    given = [
        *TASKS,
        f"data.root={root}",
        "loading.augment=[]",
        f"callbacks.loop.segments={SEGMENTS}",
        "callbacks.loop.user.count=3",
    ]
    small = ["model.steps=3", "callbacks.progress=null", "trainer.enable_model_summary=false"]
    small += ["model.task_rate=1e-3"]  # at which rounds that are taught have something new
    small += [] if files and files[0] != "clis/tasks.yaml" else ["model.samples=2"]
    small += ["model.relearn_pretraining=0"] * (
        "clis/packnet.yaml" in files
    )  # else nothing is left to be taught
    return load(["clis.yaml", *files, "data/class_folder.yaml"], [*given, *small, *overrides])


def fit(merged: dict, folder: Path, *callbacks: Callback) -> None:
    """Train by a config, as train.py does."""
    config = resolve(merged)
    open_folder(folder, merged)
    for name in ("transfer", "report"):  # which take longer than all else
        config["callbacks"].pop(name)
    seed_everything(config["seed"], verbose=False)
    fit = trainer(config, folder, [])
    fit.callbacks[1:1] = callbacks  # behind the loop
    fit.fit(build_model(config), build(config["data"]))


def pretrain(root: Path, folder: Path, *files: str, overrides: tuple[str, ...] = ()) -> Path:
    """A pretrained run."""
    fit(config_of(root, *files, overrides=("trainer.max_epochs=3", *overrides)), folder)
    return folder


class Recorded(Callback):
    """Record of each round of a run: the labels of a simulated user, and their result."""

    def __init__(self):
        self.rounds = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        earlier = self.rounds[-1]["annotation"] if batch["round"] else np.full(SIZE, 255, np.uint8)
        annotation = batch["annotation"][0].numpy().copy()
        image = (batch["image"][0] * 255).round().byte().movedim(0, -1).numpy()
        row = {
            "task": batch["task"],
            "round": batch["round"],
            "last": bool(batch["last_round"]),
            "annotation": annotation,
        }
        row |= {
            "new": np.where(annotation != earlier, annotation, 255).astype(np.uint8),
            "segments": superpixels(image, SEGMENTS),
        }
        self.rounds.append(
            row
            | {
                "met": batch["probabilities"][0].clone(),
                "refined": outputs["probabilities"][0].clone(),
            }
        )


def played(root: Path, run: Path, folder: Path, *files: str, rounds: int = 2) -> list[dict]:
    """The rounds of the training command's first sequence."""
    watch = Recorded()
    protocol = ("protocol.sequence=0", f"protocol.rounds={rounds}")
    overrides = (*protocol, f"model.pretrained={run / 'checkpoints' / 'last.ckpt'}")
    fit(config_of(root, *files, "clis/tasks.yaml", overrides=overrides), folder, watch)
    return watch.rounds


def photos_of(root: Path, folder: Path, *files: str) -> Path:
    """The photos of that sequence in a folder of their own, and their masks beside it, named in
    their order.
    """
    source = build(resolve(config_of(root, *files))["data"])
    for number, index in enumerate(source.images_of(0)):
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            copyfile(
                getattr(source.objects("train").files[index], kind[:-1]),
                folder / kind / f"{number}.png",
            )
    return folder


def lessons_of(run: Path, photos: Path, out: Path, *overrides: str, truth: bool = False) -> Lessons:
    """Lessons of a run, begun."""
    masks = photos / "masks" if truth else None
    lesson = open_lesson(str(run), overrides, photos / "images", out, masks, "cpu")
    return Lessons(lesson, ["background", "thing"], lesson.photos())


class Pupil:
    """A person's requests about a photo.

    Args:
        address: of the server.
        name: of the photo.
    """

    def __init__(self, address, name="0.png"):
        self.address, self.key, self.name = address, key_of(name), name
        self.wait("waiting", "resting")
        self.show()

    def get(self, path):
        status, answer = ask(self.address, path)
        assert status == 200, answer
        return answer

    def show(self):
        answer = self.get(f"/api/photos/{self.key}")
        self.version = answer["version"]
        return answer

    def try_(self, do, **more):
        status, answer = ask(
            self.address, f"/api/photos/{self.key}/act", {"version": self.version, "do": do, **more}
        )
        if status == 200:
            self.version = answer["version"]
        return status, answer

    def act(self, do, **more):
        status, answer = self.try_(do, **more)
        assert status == 200, answer
        return answer

    def wait(self, *states, seconds=60):
        """Wait until the lessons are in one of some states."""
        until = time.monotonic() + seconds
        while (found := self.get("/api/status"))["state"] not in states:
            assert time.monotonic() < until, found
            time.sleep(0.02)
        return found

    def learn(self, do="teach"):
        """Have a round learned; gives the photo after it."""
        before = len(self.rounds())
        self.act(do)
        until = time.monotonic() + 60
        while len(self.rounds()) == before:
            assert time.monotonic() < until
            time.sleep(0.02)
        self.wait("waiting", "resting")
        return self.show()

    def rounds(self):
        rows = self.get("/api/lessons")["photos"]
        return range(next(row["rounds"] for row in rows if row["key"] == self.key))

    def label(self, new, segments):
        """Label superpixels as a map (H, W) says."""
        for segment in np.unique(segments[new != 255]).tolist():
            y, x = np.argwhere(segments == segment)[0].tolist()
            answer = self.act("label", kind="superpixel", y=y, x=x, label=int(new[y, x]))
        return answer


def answer(shown):
    """The classes (H, W) that a photo is answered with."""
    return mask_of(shown["answer"], SIZE, 2)


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    """Read what a run has learned."""
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@contextlib.contextmanager
def taught(pretrained, photos, out, *overrides, truth=False):
    """Lessons and their address, begun; closed at the end."""
    lessons = lessons_of(pretrained, photos, out, *overrides, truth=truth)
    try:
        with running(make_app(lessons)) as address:
            lessons.start()
            yield lessons, address
    finally:
        lessons.close()


def say(person, labels, kind="superpixel"):
    """Label places (y, x, class); gives what the page shows then."""
    for y, x, label in labels:
        shown = person.act("label", kind=kind, y=y, x=x, label=label)
    return shown
