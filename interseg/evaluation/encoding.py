"""Time of the work that is done once a photo, apart from the time of its clicks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from interseg.evaluation.contributions import Contribution
from interseg.evaluation.game import Game


class Encoding(Contribution):
    """The mean time of encoding a photo."""

    keys, shown = ("encoding_seconds",), ("encoding_seconds",)

    def outcome(self, game: Game) -> dict[str, Tensor]:
        """Return `encoding_seconds` () float64; a share if photos were encoded together."""
        seconds = torch.tensor(game.session.encoding_seconds, dtype=torch.float64)
        return {"encoding_seconds": seconds}

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Take the mean over objects."""
        return {"encoding_seconds": float(outcome["encoding_seconds"].mean())}

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Report the time that the figures of clicks do not include."""
        return (
            f"Encoding a photo took {figures['encoding_seconds']:.3g} s, "
            "which the time of its clicks does not include."
        )
