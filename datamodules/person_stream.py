"""A sequence of files that a person teaches, each in as many rounds as it needs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Sampler

from datamodules.labelled_images import Key
from datamodules.resuming import ResumableDataModule

MOST_ROUNDS = 1000
"""Number of rounds of a file on average, at most: Lightning asks for a loader's length, without
which it would take a batch ahead."""


class PersonStream(ResumableDataModule):
    """One sequence whose tasks, a file each, have as many rounds as a person gives them.

    Args:
        files: Files of the tasks, in their order.
        at_end: Function that waits for more files; when it returns, the sequence is over.
    """

    def __init__(self, files: Sequence[Path], at_end: Callable[[], None]) -> None:
        super().__init__()
        self.files, self.at_end = files, at_end
        self.task, self.round = 0, 0
        """Numbers of the next round's task, and of the round in it."""

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next task after a task's last one."""
        self.task, self.round = (self.task + 1, 0) if last else (self.task, self.round + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the place of the next round, for checkpoints."""
        return {"task": self.task, "round": self.round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the place of a checkpoint."""
        self.task, self.round = state_dict["task"], state_dict["round"]


class PersonBatches(Sampler[list[Key]]):
    """Keys of a stream's rounds, each made when it is asked for.

    Only when a round is over is it known whether its task is done.
    """

    def __init__(self, stream: PersonStream) -> None:
        self.stream = stream

    def __len__(self) -> int:
        return MOST_ROUNDS * len(self.stream.files)

    def __iter__(self) -> Iterator[list[Key]]:
        stream = self.stream
        endless = MOST_ROUNDS * MOST_ROUNDS
        while stream.task < len(stream.files):
            yield [(0, stream.task, stream.task, stream.round, endless)]
        stream.at_end()
