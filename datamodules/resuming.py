"""In which order a training sees its data, and how one that was killed goes on at the very next batch."""

import signal
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import BatchSampler, DistributedSampler


class EpochSampler(DistributedSampler[int]):
    """This rank's share of a shuffled epoch as `(epoch, index)`: the epoch travels with the index to the workers."""

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        return ((self.epoch, index) for index in super().__iter__())


class EpochBatches(BatchSampler):
    """An epoch's whole batches; in the epoch that a resumed training is in, those that it has not consumed."""

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
        return islice(batches, batch if self.sampler.epoch == epoch else 0, None)


class ResumableDataModule(LightningDataModule):
    """A data module whose training goes on at the very batch at which it was killed."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed = (0, 0)
        """Epoch and batch that training begins with."""

    def state_dict(self) -> dict[str, int]:
        """Where the next batch of training is; for checkpoints."""
        if self.trainer is None:
            return {}
        loop = self.trainer.fit_loop
        epochs: Any = loop.epoch_progress.current
        batches: Any = loop.epoch_loop.batch_progress.current
        if (
            epochs.processed == epochs.ready
            or batches.processed >= self.trainer.num_training_batches
        ):
            return {"epoch": epochs.ready, "batch": 0}
        return {"epoch": epochs.processed, "batch": batches.processed}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on there: Lightning restores its own counters too late, after an optimiser may have asked for the loader's length."""
        self.resumed = (state_dict["epoch"], state_dict["batch"])

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def ignore_job_signals(worker: int) -> None:
    """For loader processes: leave the signals that end a job, which reach all of its processes, to the one that is trained in."""
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
