"""Arguments of the classes that a config may build: their names, type hints and defaults."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from configs.targets import LIBRARIES, OURS, bases, find
from interseg.errors import InputError


def parameters(target: str, trusted: Sequence[str] = ()) -> set[str] | None:
    """List the names of a target's arguments; None where it takes any.

    The `**options` of our own classes are their base's.
    """
    found = find(target, trusted)
    signature = inspect.signature(found)
    if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return set(signature.parameters) - {"self"}
    ours = isinstance(found, type) and found.__module__.split(".")[0] in OURS
    return set(hints_of(found)) - {"self"} if ours else None


def with_defaults(node: Any, trusted: Sequence[str] = ()) -> Any:
    """Fill in the arguments that a node leaves out; a node that no class can be found for stays.

    Arguments that a class hands on to its bases are theirs.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        return node
    try:
        found = find(node["_target_"], trusted)
    except InputError:
        return node
    owners = found.__mro__ if isinstance(found, type) else (found, object)
    given: dict[str, Any] = {}
    for base in (
        base for base in reversed(owners[:-1]) if "__init__" in vars(base) or base is found
    ):
        for name, parameter in inspect.signature(base).parameters.items():
            if parameter.default is not parameter.empty:
                given[name] = parameter.default
    return given | dict(node)


def checked_classes(target: type) -> tuple[type, ...]:
    """Choose the classes whose instances are checked in a target's hints.

    None of a library's: its hints may promise less than it takes.
    """
    return () if target.__module__.split(".")[0] in LIBRARIES else bases()


@functools.cache
def hints_of(target: type) -> dict[str, Any]:
    """Collect the hints of a class's arguments, of those that go to a base by `**options` too."""
    if not isinstance(target, type):  # a function of the user's
        return named_hints(target)
    found: dict[str, Any] = {}
    for owner in target.__mro__:
        if "__init__" in vars(owner):
            function = vars(owner)["__init__"]
            found = named_hints(function) | found
            kinds = [p.kind for p in inspect.signature(function).parameters.values()]
            if inspect.Parameter.VAR_KEYWORD not in kinds or not checked_classes(owner):
                break
    return found


def named_hints(function: Callable[..., None]) -> dict[str, Any]:
    """Collect the hints of a function's named arguments, unresolved if one cannot be resolved."""
    parameters = inspect.signature(function).parameters.values()
    try:
        hints = get_type_hints(function)
    except Exception:  # an annotation's evaluation may raise anything
        hints = {p.name: p.annotation for p in parameters}
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind not in several}
