"""Repeated runs of a network in which only the part after one layer is computed again.

Autograd finds the modules that the layer does not reach, so that no architecture needs to be known.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


class Rerun:
    """A recorded run of a network that can be repeated with other changes of a layer's output.

    A repetition may cover some rows of the batch. If the layer returns several tensors (an
    encoder's pyramid), the last and deepest is changed.

    Args:
        network: Network in evaluation mode, its parameters frozen (`frozen`).
        point: Layer of the network, called once a run.
        run: Function that computes the network's output; the first time for all rows.
        change: Change of the layer's output in the first run.
    """

    def __init__(
        self,
        network: nn.Module,
        point: nn.Module,
        run: Callable[[], Tensor],
        change: Change = lambda output: output,
    ) -> None:
        self.point = point
        self.outputs: dict[nn.Module, Any] = {}
        self.channels = 0
        """Number of channels of the layer's output."""
        calls: Counter[nn.Module] = Counter()
        versions: dict[nn.Module, list[int]] = {}

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            calls[module] += 1
            self.outputs[module] = output
            versions[module] = [t._version for t in tensors(output)]

        def start(features: Tensor) -> Tensor:
            self.channels = features.shape[1]
            return change(features).detach().clone().requires_grad_()

        hooks = [module.register_forward_hook(note) for module in network.modules()]
        try:
            with change_output(point, start), torch.enable_grad():
                self.answer = run().detach()
                """Answer of the first run."""
        finally:
            for hook in hooks:
                hook.remove()
        constant = set()
        for module, output in self.outputs.items():
            found = list(tensors(output))
            unchanged = versions[module] == [t._version for t in found]  # not changed in place
            if calls[module] == 1 and unchanged and not any(t.requires_grad for t in found):
                constant.add(module)
        self.outputs = {module: self.outputs[module] for module in outermost(network, constant)}
        self._rows: list[int] | None = None
        self._known: dict[nn.Module, Any] = {}

    def __call__(self, run: Callable[[], Tensor], change: Change, rows: Tensor) -> Tensor:
        """Compute `run` for some rows with a change of the layer's output.

        Args:
            run: Function that computes the network's output for the rows.
            change: Change of the layer's output.
            rows: Indices into the batch of the first run.
        """
        asked = rows.tolist()
        if asked != self._rows:  # the same rows come again and again
            self._rows = asked
            self._known = {module: pick(output, rows) for module, output in self.outputs.items()}
        with replace_outputs(self._known), change_output(self.point, change):
            return run()


def tensors(output: Any) -> Iterator[Tensor]:
    """Yield all tensors in nested lists, tuples and dicts."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        yield from tensors(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from tensors(part)


def pick(output: Any, rows: Tensor | list[int]) -> Any:
    """Pick rows of all tensors in nested lists, tuples and dicts."""
    if isinstance(output, Tensor):
        return output[rows]
    if isinstance(output, dict):
        return {key: pick(part, rows) for key, part in output.items()}
    if isinstance(output, list | tuple):
        return type(output)(pick(part, rows) for part in output)
    return output


def outermost(module: nn.Module, chosen: set[nn.Module]) -> Iterator[nn.Module]:
    """Find the chosen modules below a module that lie in no other chosen one."""
    for child in module.children():
        if child in chosen:
            yield child
        else:
            yield from outermost(child, chosen)


@contextmanager
def change_output(point: nn.Module, change: Change) -> Iterator[None]:
    """Change a layer's output, or its last tensor."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return change(output)
        return type(output)([*output[:-1], change(output[-1])])

    handle = point.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def replace_outputs(outputs: dict[nn.Module, Any]) -> Iterator[None]:
    """Let modules return known outputs instead of computing them."""
    for module, output in outputs.items():
        module.forward = lambda *args, output=output, **kwargs: output
    try:
        yield
    finally:
        for module in outputs:
            del module.forward


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Freeze a network's parameters: they take no gradient."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
