"""Backpropagating refinement: optimisation at test time until clicked pixels have their labels.

BRS (Jang and Kim, CVPR 2019) optimises the interaction maps; its successors (f-BRS, Sofiiuk et al.,
CVPR 2020) a scale and a bias of features, or a bias on the image or the maps. The network's
parameters do not change.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from interseg.clicks.layout import Clicks
from interseg.errors import InputError
from interseg.inference.lbfgs import Evaluated, Found, minimise
from interseg.inference.rerun import frozen
from interseg.inference.scene import Scene, probabilities
from interseg.inference.segmenter import State

PixelLabels = NDArray[np.int64]
"""(m, 3) int64: y, x, label of pixels."""
COUNTS = ("refinements", "refinement_evaluations", "refinements_failed")
"""Number of rounds in which an object was refined, of energies computed for it, and of rounds in
which no energy below the forward pass's was found."""


class ForwardPass(NamedTuple):
    """A group's answer, and the function that repeats it with other variables.

    Attributes:
        logits: (b, K, h, w) of the group.
        size: Number n of each object's variables.
        again: Function from rows of the group and variables (rows, n) to logits.
    """

    logits: Tensor
    size: int
    again: Callable[[list[int], Tensor], Tensor]


class Refiner:
    """Base of the refiners: energy and optimisation; a subclass defines the variables.

    The energy is the squared distance of the probabilities from the labels at the clicks, plus
    `weight` times the squared change of the variables (BRS, eq. 2 to 5). An object is refined only
    if a clicked pixel has a wrong label. The optimisation starts from the variables of the previous
    round and stops as soon as all labels are right. A label is right if the probability is on its
    side of 0.5.

    The official code of f-BRS also stops when the mask hardly changes (`settled: 0.99`) and gives
    the network only the first clicks (`shown`: 8, and 5 for maps and photos); neither is done
    unless asked for. It does not refine after the first click, which is done here.

    Args:
        reach: Reach in pixels of the square round a click whose pixels count: 0 for the clicked
            pixel, 1 for 3 x 3. Squares are clipped at the border; a pixel in several squares
            belongs to the latest click.
        mean: Whether to use the means over positive and negative pixels instead of the sum.
        anchored: Whether to measure the change from the previous round instead of from 0.
        weight: Weight of the change.
        memory: Memory of L-BFGS.
        iterations: Largest number of iterations of L-BFGS.
        evaluations: Largest number of evaluations of the energy; None for no limit.
        settled: IoU of the masks of two evaluations in a row above which the optimisation stops,
            whatever the labels; None to go on.
        shown: Number of first clicks that the network sees; later ones are in the energy alone.
            None for all.

    Raises:
        InputError: No evaluation or no click, or an IoU outside 0 to 1.
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
        settled: float | None = None,
        shown: int | None = None,
    ) -> None:
        for name, value in (("evaluations", evaluations), ("shown", shown)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; give at least 1, or null for no limit")
        if settled is not None and not 0 <= settled <= 1:
            raise InputError(f"settled is {settled}; give an IoU from 0 to 1, or null to go on")
        self.settled, self.shown = settled, shown
        self.reach, self.mean, self.anchored, self.weight = reach, mean, anchored, weight
        self.memory, self.iterations, self.evaluations = memory, iterations, evaluations

    belong_to_view = True
    """Whether variables belong to the pixels of a view, and are dropped when the view changes."""

    def begin(
        self, scene: Scene, group: Sequence[int], variables: Sequence[Tensor | None]
    ) -> "ForwardPass":
        """Answer a group whose views have one size.

        Args:
            scene: Objects of the round.
            group: Numbers of the objects.
            variables: (n,) of each object; None for no change.
        """
        raise NotImplementedError

    def inertia(self, change: Tensor) -> Tensor:
        """Compute the cost (b,) of a change (b, n) of the variables (BRS, eq. 5)."""
        return (change**2).sum(1)

    def __call__(self, scene: Scene, states: Sequence[State]) -> tuple[list[Tensor], list[State]]:
        """Refine the objects of a round.

        Returns:
            Logits (K, H, W) of every object, and its state with the `variables` found so far and
            `counts` by `COUNTS`.

        Raises:
            InputError: A network whose answer is not finite, or an unknown label of a click.
        """
        answers: dict[int, Tensor] = {}
        after = list(states)
        with (
            # a probability of 1 - 2^-9 is 1 in bfloat16, and its gradient 0
            torch.autocast(scene.images[0].device.type, enabled=False),
            torch.inference_mode(False),
            torch.no_grad(),
            frozen(scene.network),
            torch.compiler.set_stance("force_eager"),
        ):
            scene = scene.clone()
            for group in scene.groups(range(len(scene.images))):
                played = self.begin(scene, group, [states[i].get("variables") for i in group])
                answers |= zip(group, scene.whole(group, played.logits), strict=True)
                for i in group:
                    check_answer(answers[i], scene.clicks[i], scene.ids[i])
                labels = [self._labels(scene, i, answers[i]) for i in group]
                wrong = [k for k, i in enumerate(group) if not right(answers[i], labels[k])]
                if not wrong:
                    continue
                ends = self._refine(scene, group, played, wrong, states, labels)
                for k, end in zip(wrong, ends, strict=True):
                    i = group[k]
                    after[i] = note(states[i], end)
                    if end.moved:
                        answers[i] = end.answer.output
        return [answers[i] for i in range(len(answers))], after

    def _labels(self, scene: Scene, i: int, answer: Tensor) -> PixelLabels:
        """Find the pixels whose labels an object's clicks give, within its view.

        Beyond the view an answer is constant.
        """
        labels = wanted_labels(scene.clicks[i], answer.shape[1], answer.shape[2], self.reach)
        if scene.boxes is None:
            return labels
        shown = [row for row in labels.tolist() if scene.boxes[i].holds(row[0], row[1])]
        return np.array(shown, np.int64).reshape(-1, 3)

    def _refine(
        self,
        scene: Scene,
        group: list[int],
        played: "ForwardPass",
        wrong: list[int],
        states: Sequence[State],
        labels: list[PixelLabels],
    ) -> list[Found]:
        """Lower the energies of those objects of a group that have wrong labels."""
        starts = []
        masks: dict[int, Tensor] = {}
        for k in wrong:
            zeros = scene.images[group[k]].new_zeros(played.size)
            starts.append(states[group[k]].get("variables", zeros))

        def evaluate(searches: list[int], points: list[Tensor]) -> list[Evaluated]:
            rows = [wrong[s] for s in searches]
            with torch.enable_grad():
                variables = torch.stack(points).requires_grad_()
                whole = scene.whole([group[r] for r in rows], played.again(rows, variables))
                energies = [
                    corrective_energy(logits, labels[r], self.mean)
                    for logits, r in zip(whole, rows, strict=True)
                ]
                change = variables
                if self.anchored:
                    change = variables - torch.stack([starts[s] for s in searches])
                energy = torch.stack(energies) + self.weight * self.inertia(change)
                (gradient,) = torch.autograd.grad(energy.sum(), variables)
            answers = [
                _answer(float(e), g, logits.detach(), labels[r])
                for e, g, logits, r in zip(energy.detach(), gradient, whole, rows, strict=True)
            ]
            if self.settled is None:
                return answers
            for k, search in enumerate(searches):
                before, masks[search] = masks.get(search), classes_of(whole[k])
                if before is not None and agreement(before, masks[search]) > self.settled:
                    answers[k] = answers[k]._replace(last=True)
            return answers

        return minimise(starts, evaluate, self.memory, self.iterations, self.evaluations)


def _answer(energy: float, gradient: Tensor, logits: Tensor, labels: PixelLabels) -> Evaluated:
    """Make the answer to a search; for logits that are not finite, a NaN energy and no stop."""
    finite = bool(logits.isfinite().all())
    done = finite and right(logits, labels)
    return Evaluated(energy if finite else float("nan"), gradient, done, logits)


def note(state: State, found: Found) -> State:
    """Return the state with the variables that a search found, and its costs."""
    counts: Counter[str] = Counter(state.get("counts", {}))
    counts["refinements"] += 1
    counts["refinement_evaluations"] += found.evaluations
    if found.moved:
        return {**state, "counts": counts, "variables": found.point}
    counts["refinements_failed"] += 1  # the forward pass stands
    return {**state, "counts": counts}


def check_answer(logits: Tensor, clicks: Clicks, id: int) -> None:
    """Raise `InputError` for logits (K, H, W) that are not finite, or an unknown class."""
    if not logits.isfinite().all():
        raise InputError(
            f"the network's answer to object {id} is NaN or infinite; "
            "check its image and the checkpoint"
        )
    classes = max(2, len(logits))
    for y, x, label, _ in clicks.tolist():
        if not 0 <= label < classes:
            raise InputError(
                f"click (y={y}, x={x}) on object {id} has class {label}; "
                f"the network knows classes 0 to {classes - 1}"
            )


def wanted_labels(clicks: Clicks, height: int, width: int, reach: int) -> PixelLabels:
    """List y, x, label (m, 3) of the pixels in the squares round the clicks.

    A pixel in several squares has the latest click's label; a clicked pixel always has its own.
    """
    pixels: dict[tuple[int, int], int] = {}
    for near in (False, True):
        side = range(1) if near else range(-reach, reach + 1)
        for y, x, label, _ in clicks.tolist():
            for v in side:
                for u in side:
                    if 0 <= y + v < height and 0 <= x + u < width:
                        pixels[y + v, x + u] = label
    rows = [(*pixel, label) for pixel, label in pixels.items()]
    return np.array(rows, np.int64).reshape(-1, 3)


def right(logits: Tensor, labels: PixelLabels) -> bool:
    """Test whether logits (K, H, W) give every pixel its label."""
    y, x, wanted = torch.from_numpy(labels).to(logits.device).T
    return bool(classes_of(logits[:, y, x]).eq(wanted).all())


def classes_of(logits: Tensor) -> Tensor:
    """Find the class (...) of each pixel, int64, from logits (K, ...); of one logit 0 or 1."""
    return (logits[0] > 0).long() if len(logits) == 1 else logits.argmax(0)


def agreement(one: Tensor, other: Tensor) -> float:
    """Compute the IoU of two masks (H, W): same class of all that has one in either; 1 of none."""
    union = int(((one > 0) | (other > 0)).sum())
    return int(((one > 0) & (one == other)).sum()) / union if union else 1.0


def corrective_energy(logits: Tensor, labels: PixelLabels, mean: bool) -> Tensor:
    """Compute the squared distance of the probabilities from the labels (BRS, eq. 4).

    With several classes, a pixel's probabilities are compared with 1 for its label and 0 for the
    other classes.

    Args:
        logits: (K, H, W) of one object.
        labels: (m, 3) y, x, label of the pixels that count.
        mean: Whether to sum the means over the pixels of each label (f-BRS), instead of summing
            over all pixels.
    """
    y, x, wanted = torch.from_numpy(labels).to(logits.device).T
    found = probabilities(logits[:, y, x].to(torch.promote_types(logits.dtype, torch.float32)), 0)
    aim = wanted[None] if len(found) == 1 else one_hot(wanted, len(found)).T
    errors = ((aim.to(found.dtype) - found) ** 2).sum(0)
    if not mean:
        return errors.sum()
    return torch.stack([errors[wanted == label].mean() for label in wanted.unique()]).sum()
