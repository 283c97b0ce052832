"""Typed look-ups of what a callback meets in a Trainer: other callbacks, data, method."""

import inspect
from typing import Any, TypeVar, cast

from pytorch_lightning import Callback, LightningModule, Trainer

from interseg.errors import InputError

T = TypeVar("T")


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return all callbacks of a Trainer."""
    return trainer.callbacks  # type: ignore[attr-defined]


def find_callback(trainer: Trainer, kind: type[T]) -> T | None:
    """Return the first callback of a class, or None."""
    return next((c for c in callbacks_of(trainer) if isinstance(c, kind)), None)


def callback_of(trainer: Trainer, kind: type[T]) -> T:
    """Return the first callback of a class; raise `InputError` where there is none."""
    found = find_callback(trainer, kind)
    if found is None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise InputError(f"no callback is a {kind.__name__}; add one with _target_: {name}")
    return found


def data_of(trainer: Trainer, kind: type[T]) -> T:
    """Return the Trainer's data module; raise `InputError` if it lacks a protocol's members."""
    return require_members(trainer.datamodule, kind, "data")  # type: ignore[attr-defined]


def method_of(module: LightningModule, kind: type[T]) -> T:
    """Return a method; raise `InputError` if it lacks a protocol's members."""
    return require_members(module, kind, "model")


def find_method(module: Any, kind: type[T]) -> T | None:
    """Return a method that has a protocol's members; None for any other."""
    return None if list_lacking(module, kind) else cast("T", module)


def require_members(found: Any, kind: type[T], role: str) -> T:
    """Check that an object has a protocol's members, and return it.

    Not by `isinstance`, which from Python 3.12 on does not see the submodules of a torch module.

    Args:
        found: Method or data module.
        kind: Protocol.
        role: "model" or "data", the part of the config that the object comes from.

    Raises:
        InputError: the object lacks members of the protocol, which are named.
    """
    missing = list_lacking(found, kind)
    if missing:
        wanted = f"a callback needs a {kind.__name__} ({kind.__module__})"
        given = f"{role} is a {type(found).__name__} without {', '.join(missing)}"
        raise InputError(f"{given}; {wanted}: give {role} and callbacks that belong together")
    return found


def list_lacking(found: Any, kind: type) -> list[str]:
    """List the members of a protocol that an object has not."""
    parts = [{*vars(part), *inspect.get_annotations(part)} for part in kind.__mro__]
    members = {name for part in parts for name in part if not name.startswith("_")}
    return sorted(name for name in members if not hasattr(found, name))
