"""Plugins of the Trainer: whole checkpoints, batch norms of all processes, resumes by epochs."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn

from interseg.errors import InputError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writer of checkpoints beside their place, which are then moved there.

    A reader sees the old file or the new one, whole.

    Lightning's own goes through a file in the system's temporary folder, whose move to another disk
    is a copy.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except (OSError, RuntimeError) as error:  # torch tells of a failed write by a RuntimeError
            part.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:200]
            before = (
                "; the one before it is whole, checkpoint=last "
                f"run={target.parent.parent} goes on from there" * target.exists()
            )
            raise InputError(
                f"the checkpoint {target} cannot be written ({reason}){before}"
            ) from None


def resume_by_epochs(trainer: Trainer) -> None:
    """Let a training that `max_steps` ends resume as one that `max_epochs` ends.

    Lightning takes a checkpoint of an epoch's end for one within that epoch, which then gets one
    batch more, and counts epochs one too few from then on.
    """
    trainer.fit_loop._iteration_based_training = counts_steps  # type: ignore[method-assign]


def counts_steps() -> bool:
    """Return False: a loop's answer to whether it counts steps instead of epochs."""
    return False


class SyncNorms(TorchSyncBatchNorm):
    """Batch norms that count the batches of all processes, with the activations that timm's hold.

    torch's own conversion loses these.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace the norms of a model."""
        from timm.layers import convert_sync_batchnorm  # imports wandb and more

        replaced: nn.Module = convert_sync_batchnorm(model)
        return replaced

    def revert(self, model: nn.Module) -> nn.Module:
        """Leave them: alone a process answers with them as without."""
        return model
