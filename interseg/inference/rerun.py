"""A network run again and again while only what follows one of its layers changes: the rest is computed once.

What the changed layer does not reach is found by autograd itself, so that no architecture needs to
be known.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


class Rerun:
    """Records one run of a network, then repeats it with another change of a layer's output, for some rows of the batch.

    Where the layer gives several tensors (an encoder's pyramid), the last and deepest is changed.

    Args:
        network: in evaluation mode, its parameters frozen (`frozen`).
        point: the layer, a part of the network, called once a run.
        run: computes the network's output; the first time, of all rows.
        change: of the layer's output in the first run.
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
        """Of the layer's output."""
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
            with changed(point, start), torch.enable_grad():
                self.answer = run().detach()
                """Of the first run."""
        finally:
            for hook in hooks:
                hook.remove()
        constant = {
            module
            for module, output in self.outputs.items()
            if calls[module] == 1
            and not any(t.requires_grad for t in tensors(output))
            and versions[module]
            == [t._version for t in tensors(output)]  # nothing changed it in place
        }
        self.outputs = {module: self.outputs[module] for module in outermost(network, constant)}

    def __call__(self, run: Callable[[], Tensor], change: Change, rows: Tensor) -> Tensor:
        """Compute `run` for the rows (indices into the batch of the first run), with a change of the layer's output."""
        with (
            replaced({module: pick(output, rows) for module, output in self.outputs.items()}),
            changed(self.point, change),
        ):
            return run()


def tensors(output: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dicts."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple | dict):
        for part in output.values() if isinstance(output, dict) else output:
            yield from tensors(part)


def pick(output: Any, rows: Tensor | list[int]) -> Any:
    """Rows of all tensors in nested lists, tuples and dicts."""
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
def changed(point: nn.Module, change: Change) -> Iterator[None]:
    """Change a layer's output, or the last tensor of it."""

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
def replaced(outputs: dict[nn.Module, Any]) -> Iterator[None]:
    """Modules that give a known output instead of computing it."""
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
