"""Backpropagating refinement: at test time, what a network is shown or computes is changed until the clicked pixels have their labels.

BRS (Jang and Kim, CVPR 2019) optimises the interaction maps; its successors (f-BRS, Sofiiuk et al.,
CVPR 2020) a scale and a bias of features, or a bias on the image or the maps. The network's
parameters stay as they are.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from interseg.clicks.layout import Clicks
from interseg.errors import InputError
from interseg.inference.lbfgs import Answer, Found, minimise
from interseg.inference.rerun import frozen
from interseg.inference.segmenter import State
from interseg.views import Box

PixelLabels = NDArray[np.int64]
"""(m, 3) int64: y, x, label of pixels."""
COUNTS = ("refinements", "refinement_evaluations", "refinements_failed")
"""Rounds in which an object was refined, energies computed for it, and rounds in which none below
the forward pass's was found."""


class Scene(NamedTuple):
    """The objects of a round as a network sees them.

    Attributes:
        network: photo (b, 3, h, w) and guidance (b, c, h, w) to logits (b, K, h, w): one of the
            object, or one a class.
        images: (1, 3, h, w) of each object.
        maps: (1, c, h, w) of each object.
        restore: takes logits (1, 1, h, w) of each object's view to its whole image's, (1, 1, H, W).
        clicks: (n, 4) of each object in pixels of the whole image.
        flip: average the probabilities with those of the mirrored view.
        ids: of the objects, for messages.
        click_maps: so many of the maps come first and stand for clicks: what BRS may change.
        boxes: the part of each object's image that its view shows; None for all of it.
        encoded: what the network has computed of each object's view, where it computes anything
            once (`encode_view`).
    """

    network: nn.Module
    images: list[Tensor]
    maps: list[Tensor]
    restore: list[Callable[[Tensor], Tensor]]
    clicks: list[Clicks]
    flip: bool
    ids: list[int]
    click_maps: int = 2
    boxes: Sequence[Box] | None = None
    encoded: Sequence[dict[str, Tensor]] | None = None

    def groups(self, objects: Sequence[int]) -> list[list[int]]:
        """Objects by the size of their view."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for i in objects:
            groups.setdefault(tuple(self.images[i].shape), []).append(i)
        return list(groups.values())

    def batch(self, group: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Photos and maps of one group."""
        return torch.cat([self.images[i] for i in group]), torch.cat([self.maps[i] for i in group])

    def known(self, group: Sequence[int]) -> dict[str, Tensor] | None:
        """Give what was computed once of the photos of one group; None where the network computes nothing so."""
        if self.encoded is None:
            return None
        parts = [self.encoded[i] for i in group]
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def run(self, images: Tensor, maps: Tensor, known: dict[str, Tensor] | None = None) -> Tensor:
        """Give logits of photos and maps of one size; `known` of the photos, None where it is to be computed."""
        if not self.flip:
            return self._answer(images, maps, known)
        both = None if known is None else both_ways(known)
        logits = self._answer(
            torch.cat([images, images.flip(-1)]), torch.cat([maps, maps.flip(-1)]), both
        )
        logits = (
            logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        )  # too coarse near probability 1
        straight, mirrored = probabilities(logits, 1).chunk(2)
        mean = (straight + mirrored.flip(-1)) / 2
        return torch.logit(mean, eps=1e-6) if mean.shape[1] == 1 else mean.clamp_min(1e-6).log()

    def _answer(self, images: Tensor, maps: Tensor, known: dict[str, Tensor] | None) -> Tensor:
        return self.network(images, maps) if known is None else self.network(images, maps, known)

    def whole(self, group: Sequence[int], logits: Tensor) -> list[Tensor]:
        """Logits of a group in the frames of its objects' images, (1, H, W) each."""
        return [self.restore[i](logits[k : k + 1])[0] for k, i in enumerate(group)]

    def forward(self) -> list[Tensor]:
        """Plain logits (1, H, W) of every object."""
        answers: dict[int, Tensor] = {}
        for group in self.groups(range(len(self.images))):
            answers |= zip(
                group,
                self.whole(group, self.run(*self.batch(group), self.known(group))),
                strict=True,
            )
        return [answers[i] for i in range(len(self.images))]


MIRRORED = "mirrored."
"""What comes before the names of what was computed of a mirrored photo."""


def encode_view(network: nn.Module, image: Tensor, flip: bool) -> dict[str, Tensor]:
    """Compute what a network makes of photos (B, 3, h, w) alone, and of the mirrored ones where both are answered; {} for nothing."""
    encode: Callable[[Tensor], dict[str, Tensor]] | None = getattr(network, "encode", None)
    if encode is None:
        return {}
    mirrored = (
        {MIRRORED + key: value for key, value in encode(image.flip(-1)).items()} if flip else {}
    )
    return encode(image) | mirrored


def both_ways(known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join what is known of photos (B, ...) and of the mirrored ones to (2 B, ...)."""
    straight = {key: value for key, value in known.items() if MIRRORED + key in known}
    return {key: torch.cat([value, known[MIRRORED + key]]) for key, value in straight.items()}


class ForwardPass(NamedTuple):
    """A group of objects answered once, and able to be answered again.

    Attributes:
        logits: (b, K, h, w) of the group.
        size: n, of each object's variables.
        again: logits of some rows of the group with variables (rows, n).
    """

    logits: Tensor
    size: int
    again: Callable[[list[int], Tensor], Tensor]


class Refiner:
    """Base: the energy, the optimisation and when it runs; a subclass says what is optimised.

    The energy is the squared distance of the probabilities from the labels at the clicks, and
    `weight` times the squared change of the variables (BRS, eq. 2 to 5). It runs only where a
    clicked pixel has the wrong label, stops as soon as none has, and goes on from the variables of
    the round before. A label is right where the probability is on its side of 0.5.

    The official f-BRS also stops where the mask hardly changes, shows the network the first 8
    clicks only, and leaves the first click alone: none of that is done here.

    Args:
        reach: of the square round a click whose pixels count, in pixels: 0 for the clicked pixel, 1
            for 3 x 3; clipped at the border, and a pixel in the squares of both signs belongs to
            the later click.
        mean: the mean of the positive and of the negative pixels instead of their sum.
        anchored: the change is counted from the round before instead of from nothing.
        weight: of the change.
        memory: of L-BFGS.
        iterations: of L-BFGS.
        evaluations: of the energy; None for no limit.
    """

    def __init__(
        self,
        reach: int = 1,
        mean: bool = True,
        anchored: bool = False,
        weight: float = 1e-3,
        memory: int = 20,
        iterations: int = 100,
        evaluations: int | None = 20,
    ) -> None:
        if evaluations is not None and evaluations < 1:
            raise InputError(f"evaluations is {evaluations}; give at least 1, or null for no limit")
        self.reach, self.mean, self.anchored, self.weight = reach, mean, anchored, weight
        self.memory, self.iterations, self.evaluations = memory, iterations, evaluations

    of_the_view = True
    """Whether variables stand for pixels of a view, and are forgotten with it."""

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> "ForwardPass":
        """Answer a group of one size, each object with its variables or unchanged, so that it can be answered again with others."""
        raise NotImplementedError

    def inertia(self, change: Tensor) -> Tensor:
        """(b,) cost of a change (b, n) of the variables (BRS, eq. 5)."""
        return (change**2).sum(1)

    def __call__(self, scene: Scene, states: Sequence[State]) -> tuple[list[Tensor], list[State]]:
        """Give logits (1, H, W) of every object after refinement, and its state: `variables` found so far, `counts` by `COUNTS`.

        Raises `InputError` for a network whose answer is NaN.
        """
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            frozen(scene.network),
            torch.compiler.set_stance("force_eager"),
        ):
            known = (
                None
                if scene.encoded is None
                else [{k: v.clone() for k, v in part.items()} for part in scene.encoded]
            )
            scene = scene._replace(
                images=[i.clone() for i in scene.images],
                maps=[m.clone() for m in scene.maps],
                encoded=known,
            )
            answers: dict[int, Tensor] = {}
            after = list(states)
            for group in scene.groups(range(len(scene.images))):
                played = self.begin(scene, group, [states[i].get("variables") for i in group])
                answers |= zip(group, scene.whole(group, played.logits), strict=True)
                for i in group:
                    if not answers[i].isfinite().all():
                        raise InputError(
                            f"the network's answer to object {scene.ids[i]} is no number; look at its image and its checkpoint"
                        )
                    check_labels(scene.clicks[i], len(answers[i]), scene.ids[i])
                labels = [self._labels(scene, i, answers[i]) for i in group]
                wrong = [k for k, i in enumerate(group) if not right(answers[i], labels[k])]
                if wrong:
                    for k, end in zip(
                        wrong,
                        self._refine(scene, group, played, wrong, states, labels),
                        strict=True,
                    ):
                        after[group[k]] = noted(states[group[k]], end)
                        if end.moved:
                            answers[group[k]] = end.answer.output
        return [answers[i] for i in range(len(answers))], after

    def _labels(self, scene: Scene, i: int, answer: Tensor) -> PixelLabels:
        """Find the pixels that an object's clicks speak of, within its view: beyond it an answer is constant."""
        labels = wanted_labels(scene.clicks[i], answer.shape[1], answer.shape[2], self.reach)
        if scene.boxes is None:
            return labels
        return np.array(
            [row for row in labels.tolist() if scene.boxes[i].holds(row[0], row[1])], np.int64
        ).reshape(-1, 3)

    def _refine(
        self,
        scene: Scene,
        group: list[int],
        played: "ForwardPass",
        wrong: list[int],
        states: Sequence[State],
        labels: list[PixelLabels],
    ) -> list[Found]:
        """Lower the energies of the wrong ones of a group."""
        starts = [
            states[group[k]].get("variables", scene.images[group[k]].new_zeros(played.size))
            for k in wrong
        ]

        def evaluate(searches: list[int], points: list[Tensor]) -> list[Answer]:
            rows = [wrong[s] for s in searches]
            with torch.enable_grad():
                variables = torch.stack(points).requires_grad_()
                whole = scene.whole([group[r] for r in rows], played.again(rows, variables))
                corrective = torch.stack(
                    [
                        corrective_energy(w, labels[r], self.mean)
                        for w, r in zip(whole, rows, strict=True)
                    ]
                )
                change = (
                    variables - torch.stack([starts[s] for s in searches])
                    if self.anchored
                    else variables
                )
                energy = corrective + self.weight * self.inertia(change)
                (gradient,) = torch.autograd.grad(energy.sum(), variables)
            return [
                _answer(float(e), g, w.detach(), labels[r])
                for e, g, w, r in zip(energy.detach(), gradient, whole, rows, strict=True)
            ]

        return minimise(starts, evaluate, self.memory, self.iterations, self.evaluations)


def _answer(energy: float, gradient: Tensor, logits: Tensor, labels: PixelLabels) -> Answer:
    """Say of a point what a search is told; logits that are not finite have no energy, and are never good enough."""
    finite = bool(logits.isfinite().all())
    return Answer(
        energy if finite else float("nan"), gradient, finite and right(logits, labels), logits
    )


def noted(state: State, found: Found) -> State:
    """Give the state with what a search found for the next round, and what it cost."""
    counts: Counter[str] = Counter(state.get("counts", {}))
    counts["refinements"] += 1
    counts["refinement_evaluations"] += found.evaluations
    if found.moved:
        return {**state, "counts": counts, "variables": found.point}
    counts["refinements_failed"] += 1  # the forward pass stands
    return {**state, "counts": counts}


def check_labels(clicks: Clicks, channels: int, id: int) -> None:
    """Raise `InputError` for the first click whose label a network with so many logits a pixel does not know."""
    classes = max(2, channels)
    for y, x, label, _ in clicks.tolist():
        if not 0 <= label < classes:
            raise InputError(
                f"click (y={y}, x={x}) on object {id} has class {label}; the network knows classes 0 to {classes - 1}"
            )


def wanted_labels(clicks: Clicks, height: int, width: int, reach: int) -> PixelLabels:
    """(m, 3) y, x, label of the pixels whose label the clicks say: the squares round them, clicked pixels before all."""
    pixels: dict[tuple[int, int], int] = {}
    for near in (False, True):
        for y, x, label, _ in clicks.tolist():
            side = range(1) if near else range(-reach, reach + 1)
            pixels |= {
                (y + v, x + u): label
                for v in side
                for u in side
                if 0 <= y + v < height and 0 <= x + u < width
            }
    return np.array([(*pixel, label) for pixel, label in pixels.items()], np.int64).reshape(-1, 3)


def probabilities(logits: Tensor, dim: int) -> Tensor:
    """Of the object where there is one logit, else of each class along `dim`."""
    return logits.sigmoid() if logits.shape[dim] == 1 else logits.softmax(dim)


def right(logits: Tensor, labels: PixelLabels) -> bool:
    """Whether logits (K, H, W) give every pixel its label."""
    y, x, wanted = torch.from_numpy(labels).to(logits.device).T
    at = logits[:, y, x]
    return bool(((at[0] > 0).long() if len(at) == 1 else at.argmax(0)).eq(wanted).all())


def corrective_energy(logits: Tensor, labels: PixelLabels, mean: bool) -> Tensor:
    """Squared distance of the probabilities of logits (K, H, W) from the labels (m, 3) (BRS, eq. 4).

    With several classes the distance of a pixel is that of all its probabilities from its label's,
    which is 1, and 0 for the others.

    Args:
        logits: of one object.
        labels: y, x, label of the pixels that count.
        mean: the mean over the pixels of each label, summed (f-BRS), instead of the sum over all.
    """
    y, x, wanted = torch.from_numpy(labels).to(logits.device).T
    found = probabilities(logits[:, y, x], 0)
    aim = (
        wanted[None].to(found.dtype)
        if len(found) == 1
        else one_hot(wanted, len(found)).T.to(found.dtype)
    )
    errors = ((aim - found) ** 2).sum(0)
    if not mean:
        return errors.sum()
    return torch.stack([errors[wanted == label].mean() for label in wanted.unique()]).sum()
