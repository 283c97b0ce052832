"""Refiners, by the variables that they optimise.

These are the interaction maps (BRS, DistMap-BRS), the photo (RGB-BRS) or a layer's features
(f-BRS-A, B, C).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.inference.refine import ForwardPass, Refiner
from interseg.inference.rerun import Rerun, pick
from interseg.inference.scene import Scene


class MapRefiner(Refiner):
    """DistMap-BRS, which adds to the interaction maps; `BRSRefiner` has its paper's settings."""

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> ForwardPass:
        (images, maps), encoded = scene.batch(group), scene.encoding(group)
        logits = scene.run(images, add(maps, variables), encoded)

        def again(rows: list[int], given: Tensor) -> Tensor:
            return scene.run(images[rows], add(maps[rows], given), pick(encoded, rows))

        return ForwardPass(logits, maps[0, : scene.click_maps].numel(), again)


class BRSRefiner(MapRefiner):
    """BRS as in its paper: the energy is summed over the clicked pixels, with up to 100 iterations.

    L-BFGS has a memory of 20, and the inertia is measured from the maps of the forward pass. The
    maps of a round are those of its clicks plus the additions of earlier rounds, so that optimised
    maps carry over to later clicks.
    """

    def __init__(
        self,
        weight: float = 1e-3,
        memory: int = 20,
        iterations: int = 100,
        evaluations: int | None = None,
    ) -> None:
        super().__init__(0, False, True, weight, memory, iterations, evaluations)


class ImageRefiner(Refiner):
    """RGB-BRS, which adds to the photo, in units of its range [0, 1].

    A changed photo is encoded again by every network.
    """

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> ForwardPass:
        images, maps = scene.batch(group)
        logits = scene.run(add(images, variables), maps)

        def again(rows: list[int], given: Tensor) -> Tensor:
            return scene.run(add(images[rows], given), maps[rows])

        return ForwardPass(logits, images[0].numel(), again)


def add(channels: Tensor, variables: Sequence[Tensor | None] | Tensor) -> Tensor:
    """Add variables to the first of channels (b, c, h, w), as many as the variables fill.

    None adds nothing.
    """
    rows = []
    for row, change in zip(channels, variables, strict=True):
        if change is not None:
            change = change.view(-1, *row.shape[1:])
            row = torch.cat([row[: len(change)] + change, row[len(change) :]])
        rows.append(row)
    return torch.stack(rows)


class FeatureRefiner(Refiner):
    """f-BRS, which optimises a scale and a bias of every channel of a layer's output.

    Only the part of the network after the layer is run again.

    Args:
        point: Layer that the network names in `refinement_points()`: "a", "b" or "c". In DeepLab:
            after the encoder, after the pyramid (ASPP; the official code scales it together with
            the skip that joins it), and before the last convolution.
        options: Arguments of `Refiner`.
    """

    def __init__(self, point: str = "b", **options: Any) -> None:
        super().__init__(**options)
        self.point = point

    belong_to_view = False

    def inertia(self, change: Tensor) -> Tensor:
        """Compute the cost of a change as f-BRS' code: a bias costs 10 times as much as a scale."""
        scale, bias = change.chunk(2, 1)
        return (scale**2).sum(1) + 10 * (bias**2).sum(1)

    def layer(self, network: nn.Module) -> nn.Module:
        """Find the layer of a network; raises `InputError` if the network does not name it."""
        points: dict[str, nn.Module] = {}
        if hasattr(network, "refinement_points"):
            points = network.refinement_points()  # type: ignore[operator]
        if self.point not in points:
            known = f"it has {', '.join(points)}" if points else "use brs, dist_map_brs or rgb_brs"
            raise InputError(
                f"{type(network).__name__} has no refinement point {self.point!r}; {known}"
            )
        return points[self.point]

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> ForwardPass:
        (images, maps), encoded = scene.batch(group), scene.encoding(group)
        first = Rerun(
            scene.network,
            self.layer(scene.network),
            lambda: scene.run(images, maps, encoded),
            lambda features: scale_features(
                features, _stack_variables(features, variables, scene.flip)
            ),
        )

        def again(rows: list[int], given: Tensor) -> Tensor:
            chosen = torch.tensor(rows, device=images.device)
            both, given_both = chosen, given
            if scene.flip:  # the mirrored images follow the others in the network's batch
                both = torch.cat([chosen, chosen + len(images)])
                given_both = torch.cat([given, given])
            return first(
                lambda: scene.run(images[chosen], maps[chosen], pick(encoded, chosen)),
                lambda features: scale_features(features, given_both),
                both,
            )

        return ForwardPass(first.answer, 2 * first.channels, again)


def scale_features(features: Tensor, variables: Tensor) -> Tensor:
    """Compute features (b, c, h, w) times 1 + s plus t, for variables (b, 2 c) = (s, t)."""
    scale, bias = variables[:, :, None, None].chunk(2, 1)
    return features * (1 + scale) + bias


def _stack_variables(features: Tensor, variables: Sequence[Tensor | None], flip: bool) -> Tensor:
    zeros = features.new_zeros(2 * features.shape[1])
    rows = [zeros if one is None else one for one in variables]
    return torch.stack([*rows, *rows] if flip else rows)


REFINERS: dict[str, Callable[[], Refiner]] = {
    "brs": BRSRefiner,
    "dist_map_brs": MapRefiner,
    "rgb_brs": ImageRefiner,
    "f_brs_a": lambda: FeatureRefiner("a"),
    "f_brs_b": lambda: FeatureRefiner("b"),
    "f_brs_c": lambda: FeatureRefiner("c"),
}
"""Short names of the published refiners in configs and on the command line.

The list is closed: a refiner with other settings, or a user's own, is a node with a `_target_`.
"""


def refiner_of(name: "str | Refiner | None") -> Refiner | None:
    """Return a refiner by name; a refiner or None is returned unchanged.

    Raises:
        InputError: An unknown name.
    """
    if name is None or isinstance(name, Refiner):
        return name
    if not isinstance(name, str) or name not in REFINERS:
        raise InputError(f"refiner is {name!r}; use one of {', '.join(REFINERS)}, or null")
    return REFINERS[name]()
