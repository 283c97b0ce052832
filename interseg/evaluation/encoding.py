"""Time of what is computed once a photo, apart from the time of its clicks."""

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
        """Give `encoding_seconds` () float64; of photos that were encoded together, each one's share."""
        return {
            "encoding_seconds": torch.tensor(game.session.encoding_seconds, dtype=torch.float64)
        }

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Take the mean over objects."""
        return {"encoding_seconds": float(outcome["encoding_seconds"].mean())}

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Say what the time of a click is without."""
        return f"Encoding a photo took {figures['encoding_seconds']:.3g} s, which the time of its clicks is without."
