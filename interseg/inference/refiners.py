"""What a refinement optimises: the interaction maps (BRS, DistMap-BRS), the photo (RGB-BRS) or a layer's features (f-BRS-A, B, C)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.inference.refine import ForwardPass, Refiner, Scene
from interseg.inference.rerun import Rerun, pick


class MapRefiner(Refiner):
    """Adds to the interaction maps: DistMap-BRS by default, BRS with its paper's settings (`BRSRefiner`)."""

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> ForwardPass:
        (images, maps), known = scene.batch(group), scene.known(group)
        logits = scene.run(images, added(maps, variables), known)

        def again(rows: list[int], given: Tensor) -> Tensor:
            return scene.run(images[rows], added(maps[rows], given), pick(known, rows))

        return ForwardPass(logits, maps[0, : scene.click_maps].numel(), again)


class BRSRefiner(MapRefiner):
    """BRS as in its paper: the clicked pixels' summed energy, inertia from the maps of the forward pass, 100 iterations, memory 20.

    The maps of a round are those of its clicks plus what earlier rounds added, so that optimised
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
    """RGB-BRS: adds to the photo, in units of its range [0, 1]; a changed photo is encoded again, by any network."""

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> ForwardPass:
        images, maps = scene.batch(group)
        logits = scene.run(added(images, variables), maps)
        return ForwardPass(
            logits,
            images[0].numel(),
            lambda rows, given: scene.run(added(images[rows], given), maps[rows]),
        )


def added(channels: Tensor, variables: Sequence[Tensor | None] | Tensor) -> Tensor:
    """Channels (b, c, h, w) with variables added to the first of them, as many as the variables fill; None adds nothing."""
    rows = []
    for row, change in zip(channels, variables, strict=True):
        if change is not None:
            change = change.view(-1, *row.shape[1:])
            row = torch.cat([row[: len(change)] + change, row[len(change) :]])
        rows.append(row)
    return torch.stack(rows)


class FeatureRefiner(Refiner):
    """f-BRS: a scale and a bias of every channel of a layer's output; only what follows the layer is run again.

    Args:
        point: "a", "b" or "c": a layer that the network names in `refinement_points()`. In DeepLab:
            after the encoder, after the pyramid (ASPP; the official code scales it together with
            the skip that joins it), and before the last convolution.
        options: of `Refiner`.
    """

    def __init__(self, point: str = "b", **options: Any) -> None:
        super().__init__(**options)
        self.point = point

    of_the_view = False

    def inertia(self, change: Tensor) -> Tensor:
        """As f-BRS' code weighs it: a bias costs 10 times as much as a scale."""
        scale, bias = change.chunk(2, 1)
        return (scale**2).sum(1) + 10 * (bias**2).sum(1)

    def layer(self, network: nn.Module) -> nn.Module:
        """Find the layer of a network; raises `InputError` for a network that names none."""
        points: dict[str, nn.Module] = (
            network.refinement_points() if hasattr(network, "refinement_points") else {}
        )  # type: ignore[operator]
        if self.point not in points:
            known = f"it has {', '.join(points)}" if points else "use brs, dist_map_brs or rgb_brs"
            raise InputError(
                f"{type(network).__name__} has no refinement point {self.point!r}; {known}"
            )
        return points[self.point]

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> ForwardPass:
        (images, maps), known = scene.batch(group), scene.known(group)
        first = Rerun(
            scene.network,
            self.layer(scene.network),
            lambda: scene.run(images, maps, known),
            lambda features: scaled(features, _filled(features, variables, scene.flip)),
        )

        def again(rows: list[int], given: Tensor) -> Tensor:
            twice = torch.cat([given, given]) if scene.flip else given
            chosen = torch.tensor(rows, device=images.device)
            return first(
                lambda: scene.run(images[chosen], maps[chosen], pick(known, chosen)),
                lambda features: scaled(features, twice),
                torch.cat([chosen, chosen + len(images)]) if scene.flip else chosen,
            )

        return ForwardPass(first.answer, 2 * first.channels, again)


def scaled(features: Tensor, variables: Tensor) -> Tensor:
    """Features (b, c, h, w) times 1 + s plus t, for variables (b, 2 c) = (s, t)."""
    scale, bias = variables[:, :, None, None].chunk(2, 1)
    return features * (1 + scale) + bias


def _filled(features: Tensor, variables: Sequence[Tensor | None], flip: bool) -> Tensor:
    rows = [features.new_zeros(2 * features.shape[1]) if v is None else v for v in variables]
    return torch.stack([*rows, *rows] if flip else rows)


REFINERS: dict[str, Callable[[], Refiner]] = {
    "brs": BRSRefiner,
    "dist_map_brs": MapRefiner,
    "rgb_brs": ImageRefiner,
    "f_brs_a": lambda: FeatureRefiner("a"),
    "f_brs_b": lambda: FeatureRefiner("b"),
    "f_brs_c": lambda: FeatureRefiner("c"),
}
"""The refiners by the names that configs and the command line use."""


def refiner_of(name: "str | Refiner | None") -> Refiner | None:
    """Make a refiner by name, or one built with settings of its own, or none; raises `InputError` for an unknown name."""
    if name is None or isinstance(name, Refiner):
        return name
    if not isinstance(name, str) or name not in REFINERS:
        raise InputError(f"refiner is {name!r}; use one of {', '.join(REFINERS)}, or null")
    return REFINERS[name]()
