"""Plain values that callbacks offer to a dashboard, which asks each one that has the method."""

from typing import Any, NamedTuple, Protocol, runtime_checkable


class Captioned(NamedTuple):
    """A picture, ready to be shown."""

    image: str
    """The bytes of a JPEG or PNG file, as base64."""
    caption: str


class Table(NamedTuple):
    """Rows of numbers or texts under names; None where there is no value."""

    columns: list[str]
    rows: list[list[Any]]


@runtime_checkable
class OffersQuality(Protocol):
    """A callback that has measured the quality of answers."""

    def quality(self) -> list[float]:
        """Return the mean IoU or Dice after one interaction, two, ...; empty if there is none."""


@runtime_checkable
class OffersImages(Protocol):
    """A callback that has drawn pictures."""

    def images(self) -> dict[str, list[Captioned]]:
        """Return pictures by name."""


@runtime_checkable
class OffersTables(Protocol):
    """A callback that has tables besides the CSV files of the run's folder."""

    def tables(self) -> dict[str, Table]:
        """Return tables by name."""


def caption(rounds: list[dict[str, Any]]) -> list[Captioned]:
    """Return the pictures of rounds, those that have one, with their figures as captions."""
    pictures = []
    for row in rounds:
        numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
        if row.get("picture"):
            caption = ", ".join(f"{key} {value:.3g}" for key, value in numbers.items())
            pictures.append(Captioned(row["picture"], caption))
    return pictures
