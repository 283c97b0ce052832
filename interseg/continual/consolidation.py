"""Consolidation of a network between tasks: none, LwF, EWC or PackNet, for any network.

All share four moments: before a task, in each step's loss, before each update, and after a task.
What is remembered lies in buffers and goes into checkpoints.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, softmax

from interseg.checkpoints import sized_as
from interseg.continual.fisher import squared_gradients
from interseg.errors import InputError

FREE = 255
"""PackNet: a weight that no task has taken yet."""


class Consolidation(nn.Module):
    """Naive fine-tuning: nothing is kept. The base of the others."""

    def attach(self, network: nn.Module) -> None:
        """Make room for what will be kept of a network's weights; once, before all else."""

    def begin(self, network: nn.Module, images: Tensor) -> None:
        """Prepare for learning a task from its images (B, 3, H, W)."""

    def penalty(self, network: nn.Module, logits: Tensor) -> Tensor:
        """Compute a term of a step's loss from the logits (B, C, H, W) of the task's images."""
        return logits.new_zeros(())

    def limit(self, network: nn.Module) -> None:
        """Change gradients before an update."""

    def end(
        self, network: nn.Module, images: Tensor, relearn: Callable[[], None] = lambda: None
    ) -> None:
        """Consolidate after a task; `relearn` trains on it once more."""

    def skip(self) -> None:
        """Pass over a task in which nothing was learned."""

    @contextmanager
    def as_of(self, network: nn.Module, task: int | None) -> Iterator[None]:
        """Enter the network's state for a task.

        Args:
            network: Network that has learned the tasks.
            task: Number of the task from 0 on, None for a new image. For `ContinualBaseline` the
                pretraining is task 0, so that a sequence's tasks begin at 1.
        """
        yield


class LwF(Consolidation):
    """Learning without forgetting (Li and Hoiem 2017), by distillation of earlier answers.

    The task's images keep the answers that they had before it.

    Args:
        weight: Weight of the distillation; the paper's 1.
        temperature: Temperature of both answers; the paper's 2.
    """

    def __init__(self, weight: float = 1.0, temperature: float = 2.0) -> None:
        super().__init__()
        self.weight, self.temperature = weight, temperature
        self.register_buffer("before", torch.empty(0), persistent=True)

    @torch.no_grad()
    def begin(self, network: nn.Module, images: Tensor) -> None:
        """Keep the answers."""
        self.before = network(images)

    def penalty(self, network: nn.Module, logits: Tensor) -> Tensor:
        """Compute the KL from old to new answers, a mean over pixels, times temperature ** 2."""
        old = softmax(self.before / self.temperature, 1)
        new = log_softmax(logits / self.temperature, 1)
        pixels = logits.shape[0] * logits.shape[2] * logits.shape[3]
        return self.weight * self.temperature**2 * kl_div(new, old, reduction="sum") / pixels

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: object
    ) -> None:
        # its size is that of the last task's images
        self.before = sized_as(self.before, state_dict, f"{prefix}before")
        super()._load_from_state_dict(state_dict, prefix, *args)


class EWC(Consolidation):
    """Elastic weight consolidation (Kirkpatrick et al. 2017).

    Weights that earlier tasks need are held where they were.

    The penalty is `weight / 2 * sum over tasks and weights of F_t (w - w_t)^2`. The sum over tasks
    of quadratics is one quadratic, so that only the sums of F, F w and F w^2 are kept, whatever the
    number of tasks.

    F is the diagonal of the Fisher information of an image's labels, divided by its pixels as the
    loss is: the mean over label maps drawn from the network of the squared gradient of their
    log-likelihood.

    Args:
        weight: Weight of the penalty, the paper's lambda.
        draws: Number of label maps drawn for each image.
    """

    def __init__(self, weight: float = 1000.0, draws: int = 5) -> None:
        super().__init__()
        self.weight, self.draws = weight, draws

    def attach(self, network: nn.Module) -> None:
        """Begin without any task."""
        for moment in ("fisher", "first", "second"):
            for name, value in trainable(network).items():
                self.register_buffer(f"{moment}_{key(name)}", torch.zeros_like(value))

    def penalty(self, network: nn.Module, logits: Tensor) -> Tensor:
        """Compute the quadratic of all tasks so far."""
        terms = []
        for name, value in trainable(network).items():
            f, fw, fww = (
                getattr(self, f"{moment}_{key(name)}") for moment in ("fisher", "first", "second")
            )
            terms.append((f * value**2 - 2 * fw * value + fww).sum())
        return self.weight / 2 * torch.stack(terms).sum()

    def end(
        self, network: nn.Module, images: Tensor, relearn: Callable[[], None] = lambda: None
    ) -> None:
        """Add the task's Fisher information."""
        for name, fisher in self.fisher(network, images).items():
            value = trainable(network)[name].detach()
            for moment, term in (
                ("fisher", fisher),
                ("first", fisher * value),
                ("second", fisher * value**2),
            ):
                getattr(self, f"{moment}_{key(name)}").add_(term)

    def fisher(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Compute the diagonal of each weight, a mean over images."""
        weights = trainable(network)
        found = {name: torch.zeros_like(value) for name, value in weights.items()}
        for image in images:
            logits = network(image[None])
            pixels = logits.shape[2] * logits.shape[3]
            for name, square in zip(
                weights, squared_gradients(logits, list(weights.values()), self.draws), strict=True
            ):
                found[name] += square / (pixels * len(images))
        return found


class PackNet(Consolidation):
    """PackNet (Mallya and Lazebnik 2018): each task takes weights that no earlier task has taken.

    After a task the smallest of its weights in each layer are set to 0 and freed, and the others,
    which it owns from now on, are learned a little longer. Weights with fewer than two dimensions
    (biases, norms) belong to the first task.

    Args:
        pruned: Share of a task's weights that is freed.
    """

    def __init__(self, pruned: float = 0.75) -> None:
        super().__init__()
        if not 0 < pruned < 1:
            raise InputError(f"pruned is {pruned}; it is a share between 0 and 1")
        self.pruned = pruned
        self.register_buffer("tasks", torch.zeros((), dtype=torch.int64))

    def attach(self, network: nn.Module) -> None:
        """Begin with every weight free."""
        for name, value in trainable(network).items():
            self.register_buffer(
                f"owner_{key(name)}", torch.full_like(value, FREE, dtype=torch.uint8)
            )

    tasks: Tensor

    def limit(self, network: nn.Module) -> None:
        """Keep the weights of earlier tasks from moving."""
        for name, value in trainable(network).items():
            if value.grad is not None:
                value.grad[self.owner(name) < int(self.tasks)] = 0

    def owner(self, name: str) -> Tensor:
        """Return the task of each weight."""
        return getattr(self, f"owner_{key(name)}")

    @torch.no_grad()
    def end(
        self, network: nn.Module, images: Tensor, relearn: Callable[[], None] = lambda: None
    ) -> None:
        """Free the smallest, relearn with the others, and go on to the next task."""
        task = int(self.tasks)
        if task >= FREE:
            raise InputError(f"PackNet holds {FREE} tasks; begin a new sequence")
        freed = {}
        for name, value in trainable(network).items():
            owner = self.owner(name)
            own = owner == FREE
            if value.dim() < 2:
                own &= task == 0
                smallest = torch.zeros_like(own)
            else:
                count = int(self.pruned * own.sum())
                ranked = torch.where(own, value.abs(), torch.inf).flatten().argsort()
                smallest = (
                    torch.zeros_like(own).flatten().index_fill(0, ranked[:count], True).view_as(own)
                )
            owner[own & ~smallest] = task
            value[smallest] = 0
            freed[name] = smallest
        with torch.enable_grad(), self._without(network, freed):
            relearn()
        self.tasks += 1

    def skip(self) -> None:
        """Count the task, which takes no weights."""
        self.tasks += 1

    @contextmanager
    def _without(self, network: nn.Module, freed: dict[str, Tensor]) -> Iterator[None]:
        """Keep freed weights at 0 while a task is learned a little longer."""
        hooks = [
            value.register_hook(lambda grad, off=freed[name]: grad.masked_fill(off, 0))
            for name, value in trainable(network).items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def as_of(self, network: nn.Module, task: int | None) -> Iterator[None]:
        """Enter the weights of the tasks up to a given one.

        They are those of all learned tasks for a new image, and all weights for the task in
        progress.
        """
        last = int(self.tasks) - 1 if task is None else task
        if last >= int(self.tasks):
            yield
            return
        kept = {name: value.detach().clone() for name, value in trainable(network).items()}
        with torch.no_grad():
            for name, value in trainable(network).items():
                value[self.owner(name) > last] = 0
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in trainable(network).items():
                    value.copy_(kept[name])


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that learn, by name."""
    return {name: value for name, value in network.named_parameters() if value.requires_grad}


def key(name: str) -> str:
    """Return a parameter's name as a buffer's."""
    return name.replace(".", "_")
