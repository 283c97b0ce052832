"""The only collective of this package: small Python values from every rank to every rank."""

from typing import TypeVar

import torch

T = TypeVar("T")


def from_all_ranks(value: T) -> list[T]:
    """Gather the value of each rank in rank order; `[value]` without a process group.

    Every rank must call it.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[T] = [value] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values
