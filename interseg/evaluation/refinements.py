"""Costs of refinement at test time: refined answers, evaluations, optimisations without success."""

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
        """Return `refinements` (3,) int64, in the order of `COUNTS`."""
        counts = game.session.state.get("counts", {})
        return {"refinements": torch.tensor([counts.get(key, 0) for key in COUNTS])}

    def figures(self, outcome: Mapping[str, Tensor]) -> dict[str, Any]:
        """Sum the counts over objects."""
        return dict(zip(COUNTS, outcome["refinements"].sum(0).tolist(), strict=True))

    def sentence(self, figures: Mapping[str, Any]) -> str:
        """Report how many answers were refined, and how many could not be improved."""
        refined, evaluations, failed = (figures[key] for key in COUNTS)
        if not refined:
            return ""
        return (
            f"Refined {refined} answers with {evaluations} evaluations of the energy; "
            f"{failed} could not be improved and keep the forward pass's answer."
        )
