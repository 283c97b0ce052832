"""What refinement at test time cost: answers refined, energies evaluated, optimisations that found nothing."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from interseg.evaluation.contributions import Contribution
from interseg.evaluation.game import Game
from interseg.inference.refine import COUNTS


class Refinements(Contribution):
    """The sums of `COUNTS` over all objects."""

    keys, shown = ("refinements",), COUNTS

    def outcome(self, game: Game) -> dict[str, Tensor]:
        """Give `refinements` (3,) int64, by `COUNTS`."""
        counts = game.session.state.get("counts", {})
        return {"refinements": torch.tensor([counts.get(key, 0) for key in COUNTS])}

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Sum up."""
        return dict(zip(COUNTS, outcome["refinements"].sum(0).tolist(), strict=True))

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Say what was refined, and what could not be."""
        refined, evaluations, failed = (figures[key] for key in COUNTS)
        if not refined:
            return ""
        kept = f"{failed} could not be improved and stayed as the forward pass gave them"
        return f"Refined {refined} answers with {evaluations} evaluations of the energy; {kept}."
