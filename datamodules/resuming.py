"""The order of a training's data, and resuming a killed training at the very next batch."""

import hashlib
import signal
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import BatchSampler, DistributedSampler


class EpochSampler(DistributedSampler[int]):
    """A rank's share of a shuffled epoch as `(epoch, index)`.

    The epoch travels with the index to the loader's workers.
    """

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        return ((self.epoch, index) for index in super().__iter__())


class EpochBatches(BatchSampler):
    """An epoch's whole batches; in the epoch in which a training resumes, those still to come."""

    sampler: EpochSampler

    def __init__(
        self, sampler: EpochSampler, batch_size: int, epoch: int = 0, batch: int = 0
    ) -> None:
        super().__init__(sampler, batch_size, drop_last=True)
        self.resumed = (epoch, batch)
        sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:  # type: ignore[override]
        epoch, batch = self.resumed
        batches: Iterator[Any] = super().__iter__()
        first = batch if self.sampler.epoch == epoch else 0
        return islice(batches, first, None)


class ResumableDataModule(LightningDataModule):
    """A data module whose training resumes at the very batch at which it was killed."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed = (0, 0)
        """Epoch and batch with which training begins."""

    def learned(self) -> Iterable[str]:
        """Name the items that training learns, in the order of their numbers."""
        return ()

    @cached_property
    def items(self) -> str:
        """Digest of the names of `learned`: a run does not go on with others under its numbers."""
        return hashlib.sha256("\n".join(self.learned()).encode()).hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and number of the next training batch, and `items`, for checkpoints."""
        if self.trainer is None:
            return {}
        loop = self.trainer.fit_loop
        epochs: Any = loop.epoch_progress.current
        batches: Any = loop.epoch_loop.batch_progress.current
        epoch_is_over = batches.processed >= self.trainer.num_training_batches
        if epochs.processed == epochs.ready or epoch_is_over:
            return {"epoch": epochs.ready, "batch": 0, "items": self.items}
        return {"epoch": epochs.processed, "batch": batches.processed, "items": self.items}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at a checkpoint's batch.

        Lightning restores its own counters too late, after an optimiser may have asked for the
        loader's length.
        """
        self.resumed = (state_dict["epoch"], state_dict["batch"])

    def _ranks(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


def ignore_job_signals(worker: int) -> None:
    """Ignore the signals that end a job, in a loader's process.

    They reach all processes of a job; the training process handles them.
    """
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
