"""Types of values: what a config gives, compared with the type hints of what takes it.

A hint that cannot be resolved, or that is not understood, takes anything.
"""

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from configs.arguments import checked_classes, hints_of
from interseg.errors import InputError

SEQUENCES = (list, tuple, Sequence, Collection, Iterable)
MAPPINGS = (dict, Mapping)

Hints = tuple[Any, ...]
Part = tuple[Any, Any, str]
"""A value in a container, its hint and its place."""

TOP: dict[str, Any] = {
    "name": str,
    "run": str | None,
    "seed": int,
    "logger": str | None,
    "checkpoint": str | None,
    "weights": str | None,
    "evaluated": str | None,
    "digests": dict[str, str],
    "overwrite": bool,
    "targets": Sequence[float],
    "max_clicks": int,
    "full_curves": bool,
    "shard": str | int | None,  # evaluate.py says what a part is
    "refiner": Any,  # whoever uses it says what it may be; zoom likewise
    "zoom": Any,
    "flip": bool,
    "model": dict[str, Any] | None,
    "data": dict[str, Any] | None,
    "loading": dict[str, Any] | None,
    "protocol": dict[str, Any] | None,
    "trainer": dict[str, Any],
    "callbacks": dict[str, dict[str, Any] | None],
}
"""Types of the keys of default.yaml, most of which reach no signature as they are."""


class Mismatch(NamedTuple):
    """A value, its place in the config, and the hint that it does not fit."""

    path: str
    value: Any
    hint: Any


def check_arguments(target: type, arguments: Mapping[str, Any], path: str) -> None:
    """Compare arguments with the type hints of the class that takes them.

    Args:
        target: Class that will be called.
        arguments: Values by name, objects among them made.
        path: Place of the arguments in the config, such as `callbacks.loop`.

    Raises:
        InputError: a value does not fit.
    """
    hints, signature = hints_of(target), inspect.signature(target).parameters
    for key, value in arguments.items():
        default = signature[key].default if key in signature else inspect.Parameter.empty
        if value is not None or default is not None:  # `size: int = None` takes null
            check(value, hints.get(key, Any), f"{path}.{key}", checked_classes(target))


def check(value: Any, hint: Any, path: str, classes: tuple[type, ...] = ()) -> None:
    """Compare a value with a type hint; raise `InputError` where it does not fit."""
    found = mismatch(value, hint, path, classes)
    if found:
        wanted = f"it takes {describe(found.hint, classes)}"
        raise InputError(f"{found.path} is {show(found.value)}; {wanted}")


def mismatch(value: Any, hint: Any, path: str, classes: tuple[type, ...]) -> Mismatch | None:
    """Find the first part of a value that does not fit a hint; None where all of it does."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        found = [mismatch(value, one, path, classes) for one in arguments]
        inner = [one for one in found if one and one.path != path]
        whole = inner[0] if len(inner) == 1 else Mismatch(path, value, hint)
        return None if None in found else whole
    if not fits(value, origin, arguments, classes):
        return Mismatch(path, value, hint)
    parts: Iterator[Part] = iter(())
    if origin in SEQUENCES:
        parts = items(value, origin, arguments, path)
    elif origin in MAPPINGS and arguments:
        parts = entries(value, arguments, path)
    return next(filter(None, (mismatch(*part, classes) for part in parts)), None)


def fits(value: Any, origin: Any, arguments: Hints, classes: tuple[type, ...]) -> bool:
    """Compare a value with a hint, but for what a container holds."""
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in arguments)
    if origin in SEQUENCES:
        fixed = origin is tuple and arguments and arguments[-1] is not Ellipsis
        return isinstance(value, list | tuple) and (not fixed or len(value) == len(arguments))
    if origin in MAPPINGS:
        return isinstance(value, dict)
    if origin in (int, float):
        numbers = int if origin is int else int | float
        return isinstance(value, numbers) and not isinstance(value, bool)
    if is_checked(origin, classes):
        return isinstance(value, origin)
    return True


def is_checked(origin: Any, classes: tuple[type, ...]) -> bool:
    """Tell whether a hint is a class whose instances are told from other values."""
    plain = origin in (bool, str, NoneType)
    return plain or (isinstance(origin, type) and issubclass(origin, classes))


def items(value: Sequence[Any], origin: Any, arguments: Hints, path: str) -> Iterator[Part]:
    """Pair the items of a sequence with their hints and places."""
    fixed = origin is tuple and Ellipsis not in arguments
    hints = arguments if fixed and arguments else (arguments or (Any,))[:1] * len(value)
    return ((value[i], hints[i], f"{path}[{i}]") for i in range(len(value)))


def entries(value: dict[Any, Any], arguments: Hints, path: str) -> Iterator[Part]:
    """Pair the keys and the values of a mapping with their hints and places."""
    for key, item in value.items():
        yield key, arguments[0], f"a key of {path}"
        yield item, arguments[1], f"{path}.{key}"


def describe(hint: Any, classes: tuple[type, ...]) -> str:
    """Write a hint as a person writes its values, "..." for what is not checked."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(describe(one, classes) for one in arguments)
    if origin is Literal:
        return " or ".join(repr(one) for one in arguments)
    parts = [describe(one, classes) for one in arguments if one is not Ellipsis]
    if origin in MAPPINGS:
        return f"{{{': '.join(parts)}}}" if parts and parts[-1] != "..." else "a mapping"
    if origin in SEQUENCES:
        fixed = origin is tuple and Ellipsis not in arguments
        listed = ", ".join(parts if fixed else [*parts, "..."])
        return f"[{listed}]" if {*parts} - {"..."} else "a list"
    if origin in (int, float) or is_checked(origin, classes):
        return "null" if origin is NoneType else origin.__name__
    return "..."


def show(value: Any) -> str:
    """Write a value in a few characters; an object that was made by its class."""
    if value is None:
        return "null"
    if not isinstance(value, bool | int | float | str | list | tuple | dict):
        return type(value).__name__
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
