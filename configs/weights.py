"""Starts from another run's weights: what fits of them, and what is told of the rest."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import LightningModule
from torch import Tensor
from yaml import YAMLError

from configs.checkpoints import DOWNLOADED, holds_encoder, without_download
from configs.run import build_model
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError

VIEWED = ("mask_map", "long_side")
"""Arguments of methods on which it depends what a network is shown."""
SHOWN = 3
"""Weights that a message names."""


def start_model(
    config: dict[str, Any], trusted: Sequence[str] = ()
) -> tuple[LightningModule, list[str]]:
    """Build the method of a config, filled with what fits of the file that its `weights` name.

    An encoder's own weights are fetched where the file has not all of them.

    Returns:
        The method, and a line on what was taken and on each kind of weights that were not.

    Raises:
        InputError: nothing fits, or the file is no checkpoint.
    """
    file = config["weights"]
    if not file:
        return build_model(config, trusted), []
    content = read_checkpoint(file)
    state, trained = content["state_dict"], trained_model(content)
    check_encoder(file, trained.get("network"), config["model"].get("network"))
    unfetched = copy.deepcopy(config)
    without_download(unfetched["model"], DOWNLOADED)
    model = build_model(unfetched, trusted)
    if any(
        "encoder" in key.split(".")
        for key in model.state_dict().keys() - select_fitting(model, state)
    ):
        model = build_model(config, trusted)
    fits = select_fitting(model, state)
    if not fits.keys() & dict(model.named_parameters()).keys():
        name = type(model).__name__
        raise InputError(
            f"weights={file}: nothing in it fits {name}; give a run of a network like this one"
        )
    model.load_state_dict(fits, strict=False)
    model.warm = True
    lines = compare_weights(file, model.state_dict(), state, fits)
    return model, [*lines, *compare_views(trained, config["model"])]


def trained_model(content: Mapping[str, Any]) -> dict[str, Any]:
    """Read the `model` of the config that a checkpoint's content holds; empty without one."""
    try:
        config: Any = OmegaConf.create(content.get("config") or {})
        node = OmegaConf.to_container(config.get("model") or OmegaConf.create(), resolve=True)
    except (OmegaConfBaseException, YAMLError, AttributeError, ValueError):
        return {}  # another program's
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}


def check_encoder(file: str, trained: Any, network: Any) -> None:
    """Raise `InputError` for weights of a decoder whose frozen encoder is another one than here."""
    if not isinstance(trained, dict) or not isinstance(network, dict) or holds_encoder(network):
        return
    there, here = trained.get("encoder"), network.get("encoder")
    if there and here and there != here:
        raise InputError(
            f"weights={file} are of a decoder on {there}, and model.network.encoder is {here}; "
            f"give model.network.encoder={there}"
        )


def compare_views(trained: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """Write a line on each argument by which the weights' network was shown other inputs."""
    return [
        f"weights were trained with model.{key}={trained[key]}, here it is {model[key]}"
        for key in VIEWED
        if key in trained and key in model and trained[key] != model[key]
    ]


def select_fitting(model: LightningModule, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the weights that a module has under the same name and of the same shape."""
    own = model.state_dict()
    return {
        key: value for key, value in state.items() if key in own and value.shape == own[key].shape
    }


def compare_weights(
    file: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor], fits: Mapping[str, Tensor]
) -> list[str]:
    """Write a line on the weights that a file gave, and one on each kind of the others."""
    kinds = {
        "missing there": [key for key in own if key not in state],
        "of another size there": [key for key in own if key in state and key not in fits],
        "unknown here": [key for key in state if key not in own],
    }
    first = f"weights: {len(fits)} of {len(own)} are those of {file}"
    return [first, *(f"weights {kind}: {list_names(keys)}" for kind, keys in kinds.items() if keys)]


def list_names(names: Sequence[str]) -> str:
    """Write a count and the first of some names in a line."""
    return f"{len(names)}, {', '.join(names[:SHOWN])}" + ", ..." * (len(names) > SHOWN)
