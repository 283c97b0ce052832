"""Export of a method: an ONNX pair with SAM's signature, a description, X-AnyLabeling's YAML."""

import json
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from interseg.errors import InputError
from interseg.files import whole, write_whole
from interseg.inference.graph import Decoder, Encoder
from interseg.inference.onnx_pair import ABOUT, FILES, INPUTS, KEY, OUTPUTS
from interseg.networks.once_network import OnceNetwork
from interseg.views import Side

OPSET = 17
VIEWS = "such a network is exported for views of one size: give model.long_side=[HEIGHT,WIDTH]"
X_ANYLABELING = """# X-AnyLabeling: Load Custom Model, this file
type: segment_anything
name: {name}
provider: interseg
display_name: {name}
encoder_model_path: encoder.onnx
decoder_model_path: decoder.onnx
input_size: 1024
max_width: 1024
max_height: 684
"""


class _Whole(nn.Module):
    """A click network that runs from photo to logits in one graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, guidance: Tensor) -> Tensor:
        return self.network(image, guidance)


def export(method: Any, folder: Path, name: str, threshold: float = 0.5) -> dict[str, Any]:
    """Write `encoder.onnx`, `decoder.onnx`, `interseg.json` and `x-anylabeling.yaml`.

    Args:
        method: ITIS method, in evaluation mode on the CPU.
        folder: Folder for the files; it is made if missing.
        name: Name of the model for people.
        threshold: Probability above which its sessions take a pixel for object.

    Returns:
        The content of `interseg.json`.

    Raises:
        InputError: Another method, test-time options, a guidance without a graph, or a network that
            encodes once, or has a ViT, without views of one size.
    """
    needed = ("network", "guidance", "uses_previous_mask", "mask_map")
    if not all(hasattr(method, key) for key in needed):
        raise InputError(
            f"{type(method).__name__} cannot be exported; click networks that ITIS has trained can"
        )
    if not method.inference.plain:
        raise InputError(
            "refiner, zoom, flip and model.cascade cannot be part of an export; leave them out"
        )
    side, network = method.long_side, method.network
    split = isinstance(network, OnceNetwork)
    if split and isinstance(side, int | None):
        raise InputError(f"model.long_side is {side}, and {VIEWS}")
    about = {
        "format": 1,
        "name": name,
        "network": type(network).__name__,
        "split": split,
        "previous": method.mask_map if method.uses_previous_mask else "none",
        "long_side": side,
        "threshold": threshold,
        "pair": secrets.token_hex(8),  # the two files of one export know each other by it
    }
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / FILES[0]) as encoder, whole(folder / FILES[1]) as decoder:
        embedding = _write_encoder(network, side, split, encoder, about)
        _write_decoder(method, embedding, decoder, about)
        (folder / ABOUT).unlink(missing_ok=True)  # until both files are those of one export
    write_whole(folder / ABOUT, json.dumps(about, indent=2) + "\n")
    write_whole(folder / "x-anylabeling.yaml", X_ANYLABELING.format(name=json.dumps(name)))
    return about


def _write_encoder(
    network: nn.Module, side: Side, split: bool, file: Path, about: dict[str, Any]
) -> Tensor:
    """Write the encoder; returns the embedding of a photo of 75 x 100 pixels."""
    encoder = Encoder(network, side, split).eval()
    photo = torch.rand(75, 100, 3) * 255
    with torch.no_grad():
        embedding = encoder(photo)
    axes = {"input_image": {0: "height", 1: "width"}}
    fixed = not isinstance(side, int | None)
    names = ["input_image"], ["image_embeddings"]
    write_graph(encoder, (photo,), file, *names, axes, about, fixed)
    return embedding


def _write_decoder(method: Any, embedding: Tensor, file: Path, about: dict[str, Any]) -> None:
    """Write the decoder, traced on the encoder's embedding and three points."""
    network, side, split = method.network, method.long_side, about["split"]
    view = (int(side[0]), int(side[1])) if split else None
    shapes = shapes_of(network, view) if view else None
    whole = network if split else _Whole(network)
    decoder = Decoder(whole, method.guidance, about["previous"], view, shapes).eval()
    given = (
        embedding,
        torch.tensor([[[300.0, 200.0], [700.0, 500.0], [0.0, 0.0]]]),
        torch.tensor([[1.0, 0.0, -1.0]]),
        torch.zeros(1, 1, 100, 100),
        torch.ones(1),
        torch.tensor([75.0, 100.0]),
    )
    axes: dict[str, dict[int, str]] = {
        "point_coords": {1: "points"},
        "point_labels": {1: "points"},
        "masks": {2: "height", 3: "width"},
        "mask_input": {2: "side", 3: "side"},
    }
    if not split:
        axes["image_embeddings"] = {2: "view_height", 3: "view_width"}
    fixed = not isinstance(side, int | None)
    write_graph(decoder, given, file, [*INPUTS], [*OUTPUTS], axes, about, fixed)


def shapes_of(network: Any, view: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a photo's encoding by name, in the order of the embedding."""
    with torch.no_grad():
        encoded = network.encode(torch.zeros(1, 3, *view))
    return {key: tuple(encoded[key].shape[1:]) for key in sorted(encoded)}


def write_graph(
    module: nn.Module,
    given: tuple[Tensor, ...],
    file: Path,
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    about: dict[str, Any],
    fixed: bool,
) -> None:
    """Trace a module and write it with its description.

    The module is traced because torch's newer exporter would fix the sizes of these graphs.

    Args:
        module: Module to trace.
        given: Its inputs, by which it is traced.
        file: ONNX file to write.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        axes: Names of the axes that vary, by input or output.
        about: Description.
        fixed: Whether all views have one size.

    Raises:
        InputError: The package onnx is missing, or the network has a graph for one size alone.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError("export needs the package onnx: pip install 'interseg[onnx]'") from None
    with warnings.catch_warnings(), torch.no_grad(), constant_positions(fixed):
        # they are about constants in the trace, which tests compare at other sizes
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            given,
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
        )
    model = onnx.load(file)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(about)
    onnx.save(model, file)


@contextmanager
def constant_positions(fixed: bool) -> Iterator[None]:
    """Let a trace hold the results of bicubic resizing as constants.

    A ViT resizes its positions to its view by an operator that ONNX does not have. Raises
    `InputError` where views are not of one size.
    """
    resize = functional.interpolate

    def interpolate(x: Tensor, size: Any = None, *more: Any, **options: Any) -> Tensor:
        if options.get("mode") != "bicubic":
            return resize(x, size, *more, **options)
        if not fixed:
            raise InputError(f"the positions of a ViT follow its view's size, and {VIEWS}")
        state = torch._C._get_tracing_state()
        torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
        try:
            return resize(x, [int(side) for side in size], *more, **options)
        finally:
            torch._C._set_tracing_state(state)  # type: ignore[attr-defined]

    functional.interpolate = interpolate  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.interpolate = resize
