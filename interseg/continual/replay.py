"""Buffer of past samples for replay (dynamic interactive learning, algorithm 1)."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interseg.errors import InputError


class ReplayBuffer:
    """Buffer of samples, one a key (an image's number); a later sample replaces the earlier one.

    A new sample takes an empty slot while there is one. Then, with "decay", it overwrites a random
    one, as the paper's text says ("slowly decaying possibility of revisiting older samples"; its
    algorithm's condition j < b* always holds): the chance that a sample k later samples old is
    drawn is (m / b*) (1 - 1 / b*)^k. With "reservoir" every sample so far is as likely to be there
    (Vitter 1985), with "fifo" the oldest goes.

    Args:
        slots: Number of slots b* of the auxiliary buffer.
        size: Number b of its slots that are drawn from; drawn anew for every image that comes, and
            kept while its later rounds bring it up to date (algorithm 1 redraws them at every
            update, but means one sample an image).
        policy: "decay", "reservoir" or "fifo".
    """

    def __init__(self, slots: int = 40, size: int = 20, policy: str = "decay") -> None:
        if policy not in ("decay", "reservoir", "fifo"):
            raise InputError(f"policy is {policy!r}; use decay, reservoir or fifo")
        if not 0 < size <= slots:
            raise InputError(
                f"size={size}, slots={slots}; the buffer that is drawn from is a part of the other"
            )
        self.slots, self.size, self.policy = slots, size, policy
        self.keys: list[Hashable] = []
        self.samples: list[Any] = []
        self.seen = 0
        self.newest: Hashable = None
        self.drawable: list[int] = []

    def __len__(self) -> int:
        return len(self.samples)

    def push(self, key: Hashable, sample: Any, generator: np.random.Generator) -> None:
        """Add a sample, or replace the one of its key.

        The key that was turned away last is not offered again.
        """
        if key in self.keys:
            self.samples[self.keys.index(key)] = sample
        if key in (*self.keys, self.newest):
            return
        self.newest = key
        self.seen += 1
        if len(self) < self.slots:
            self.keys.append(key)
            self.samples.append(sample)
        elif self.policy == "fifo":
            self.keys, self.samples = [*self.keys[1:], key], [*self.samples[1:], sample]
        else:
            slot = int(generator.integers(self.slots if self.policy == "decay" else self.seen))
            if slot < self.slots:
                self.keys[slot], self.samples[slot] = key, sample
        self.drawable = generator.permutation(len(self))[: self.size].tolist()

    def draw(
        self, count: int, generator: np.random.Generator, without: Hashable = None
    ) -> list[Any]:
        """Draw `count` different samples, or all if there are fewer, but not that of `without`."""
        slots = [slot for slot in self.drawable if self.keys[slot] != without]
        return [self.samples[slot] for slot in generator.permutation(slots)[:count]]

    def state_dict(self) -> dict[str, Any]:
        """Return all samples and counts."""
        lists = {
            "keys": list(self.keys),
            "samples": list(self.samples),
            "drawable": list(self.drawable),
        }
        return lists | {"seen": self.seen, "newest": self.newest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore samples and counts, the last ones if there are more samples than slots."""
        self.keys = list(state_dict["keys"])[-self.slots :]
        self.samples = list(state_dict["samples"])[-self.slots :]
        self.seen, self.newest = state_dict["seen"], state_dict["newest"]
        surplus = len(state_dict["keys"]) - len(self.keys)
        shifted = (slot - surplus for slot in state_dict["drawable"])
        self.drawable = [slot for slot in shifted if slot >= 0][: self.size]


def to_half(part: Tensor) -> Tensor:
    """Copy a part of a sample to the CPU in half precision, cut to its range."""
    most = torch.finfo(torch.float16).max
    return part.detach().clamp(-most, most).half().cpu()
