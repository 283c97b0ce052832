"""Training without output, killed runs, and equality to the last bit."""

from pathlib import Path

import albumentations
import torch
from pytorch_lightning import Callback, Trainer, seed_everything

from configs.plugins import AtomicCheckpointIO, resume_by_epochs


def quiet_trainer(
    root: Path,
    callbacks: list,
    epochs: int | None,
    devices: int = 1,
    precision: str = "32-true",
    steps: int = -1,
) -> Trainer:
    """A Trainer on the CPU that writes nothing but checkpoints and what the callbacks write.

    Several ranks are forked.
    """
    seed_everything(5, verbose=False)
    made = Trainer(
        max_epochs=epochs,
        max_steps=steps,
        accelerator="cpu",
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        precision=precision,
        default_root_dir=root,
        logger=False,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=callbacks,
    )
    resume_by_epochs(made)
    return made


def last(root: Path) -> dict:
    """Read the last checkpoint of a run."""
    return torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)


class Killed(Exception):
    """Stands for SIGKILL: nothing after it is run."""


class Kill(Callback):
    """Ends training where the optimiser has made so many steps, before or after the step's batch
    is counted.
    """

    def __init__(self, step, early):
        self.step, self.early = step, early

    def on_train_batch_start(self, trainer, *_):
        if self.early and trainer.global_step == self.step:
            raise Killed

    def on_train_batch_end(self, trainer, *_):
        if not self.early and trainer.global_step == self.step:
            raise Killed


def memory(checkpoint):
    return next(
        value for key, value in checkpoint["callbacks"].items() if key.startswith("UserLoop")
    )


def assert_equal(a, b, where=""):
    """Nested tensors and values, to the last bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


AUGMENT = [
    albumentations.HorizontalFlip(p=0.5),
    albumentations.RandomScale((-0.3, 0.3), p=1.0),
    albumentations.PadIfNeeded(64, 64),
    albumentations.CropNonEmptyMaskIfExists(64, 64, ignore_values=[255]),
    albumentations.ColorJitter(p=0.5),
]
