"""Collectives: small Python values from every rank to every rank, tensors from the first to all."""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def from_all_ranks(value: T) -> list[T]:
    """Gather the value of each rank in rank order; `[value]` without a process group.

    Every rank must call it.
    """
    if not has_ranks():
        return [value]
    values: list[T] = [value] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def take_from_first_rank(tensors: Iterable[Tensor]) -> None:
    """Copy the first rank's tensors to all ranks, in place; every rank must call it."""
    for tensor in tensors if has_ranks() else ():
        torch.distributed.broadcast(tensor.detach(), 0)


def has_ranks() -> bool:
    """Tell whether there is a process group."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
