"""Contributions: figures of an evaluation that only some methods have, from the game to the report.

A method names its own in `contributions`. Loop, metric, tables and report know only this interface.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from interseg.evaluation.game import Game


class Plot(NamedTuple):
    """Lines over the same x values; the report draws them and prints their table."""

    title: str
    xlabel: str
    ylabel: str
    x: Sequence[float]
    lines: dict[str, list[float]]
    """Values at `x`, by their label."""


def outcome_of(game: Game, contributions: Sequence["Contribution"]) -> dict[str, Tensor]:
    """Return a finished game's outcome, the contributions' included."""
    outcome = game.outcome()
    for contribution in contributions:
        outcome |= contribution.outcome(game)
    return outcome


class Contribution:
    """Base of the contributions."""

    keys: tuple[str, ...] = ()
    """Keys that it adds to a game's outcome."""
    shown: tuple[str, ...] = ()
    """Figures that tables show, unless they are 0 or absent."""

    def outcome(self, game: Game) -> dict[str, Tensor]:
        """Return the values of `keys` for a finished game."""
        raise NotImplementedError

    def adjust_curves(self, outcome: Mapping[str, Tensor], curves: Tensor) -> Tensor:
        """Change the curves (n, R) by which clicks are counted."""
        return curves

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Compute figures from the outcomes of n objects, (n, ...) each."""
        raise NotImplementedError

    def plot(self, figures: Mapping[str, Any]) -> Plot | None:
        """Return the lines that the report draws of the figures; None for nothing."""
        return None

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Return the sentence that the report prints about the figures; empty for none."""
        return ""
