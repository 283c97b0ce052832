"""Values against type hints: what fits, and the line that says what does not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest
from torch import Tensor, nn

from configs import read
from configs.targets import bases
from configs.types import TOP, check
from interseg.clicks.guidance import DiskGuidance, Guidance
from interseg.clicks.users import User
from interseg.errors import InputError


def named(value):
    """The name of a case: the same in every process, where an object would show its address."""
    return str(value).split(" object at ")[0][:60]


FITTING = [
    (3, int),
    (3, float),
    (float("inf"), float),
    (True, bool),
    (None, int | None),
    (None, Optional[int]),  # noqa: UP045
    ("x", Union[int, str]),  # noqa: UP007
    ([1, 2], tuple[int, int]),
    ([1, 2, 3], tuple[int, ...]),
    ((1, 2), Sequence[float]),
    ([], list[int]),
    ([["a"], []], Iterable[list[str]]),
    ([1, "x"], list),
    ({"a": 1}, dict),
    ({10: 0.1}, Mapping[int, float]),
    ({"a": [None, {}]}, dict[str, Any]),
    ({"a": object()}, dict[str, object]),
    ("min", Literal["min", "max"]),
    (DiskGuidance(), Guidance | None),
    (nn.Conv2d(1, 1, 1), nn.Module),
    ("folder", Path),
    (3, Callable[..., int]),
    ("auto", Union[str, Tensor]),  # noqa: UP007
    (3, Union[str, Tensor]),  # noqa: UP007
    (3, "NotThere"),
]


@pytest.mark.parametrize(("value", "hint"), FITTING, ids=named)
def test_values_that_fit(value: Any, hint: Any) -> None:
    check(value, hint, "key", bases())


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("many", int, "key is 'many'; it takes int"),
        (True, int, "key is True; it takes int"),
        (2.0, int, "key is 2.0; it takes int"),
        (True, float, "key is True; it takes float"),
        ("1", float, "key is '1'; it takes float"),
        (1, bool, "key is 1; it takes bool"),
        (7, str, "key is 7; it takes str"),
        (None, int, "key is null; it takes int"),
        ("x", int | None, "key is 'x'; it takes int or null"),
        ([1, 2], tuple[int, int, int] | None, "key is [1, 2]; it takes [int, int, int] or null"),
        ([1, 2.5, 3], tuple[int, int, int] | None, "key[1] is 2.5; it takes int"),
        (3, tuple[int, ...], "key is 3; it takes [int, ...]"),
        ("abc", Sequence[str], "key is 'abc'; it takes [str, ...]"),
        ([1], Sequence[str] | str | None, "key[0] is 1; it takes str"),
        ([1], list[int] | list[str] | None, None),
        ([1.5], list[int] | list[str], "key is [1.5]; it takes [int, ...] or [str, ...]"),
        (3, list, "key is 3; it takes a list"),
        ([3], dict[str, Any], "key is [3]; it takes a mapping"),
        (3, Mapping[str, float], "key is 3; it takes {str: float}"),
        ({"a": "b"}, Mapping[str, float], "key.a is 'b'; it takes float"),
        ({"ten": 0.1}, Mapping[int, float], "a key of key is 'ten'; it takes int"),
        ("mean", Literal["min", "max"], "key is 'mean'; it takes 'min' or 'max'"),
        (True, Literal[1, 2], "key is True; it takes 1 or 2"),
        ("disk", Guidance | None, "key is 'disk'; it takes Guidance or null"),
        (DiskGuidance(), User, "key is DiskGuidance; it takes User"),
        (["x" * 200], int, f"key is ['{'x' * 75}...; it takes int"),
    ],
    ids=named,
)
def test_values_that_do_not_fit_are_named(value: Any, hint: Any, message: str | None) -> None:
    if message is None:
        check(value, hint, "key", bases())
        return
    with pytest.raises(InputError) as error:
        check(value, hint, "key", bases())
    assert str(error.value) == message


def test_the_top_level_has_the_keys_of_the_defaults() -> None:
    assert set(TOP) == set(read("default.yaml"))
