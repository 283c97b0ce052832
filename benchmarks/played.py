"""Methods and objects that benchmarks play with."""

from argparse import Namespace
from typing import Any

import numpy as np

from configs import build, load, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config, without_download
from configs.run import build_model, needs

DEFAULT = ["small.yaml", "data/samples.yaml"]


def build_method(options: Namespace, default: list[str] = DEFAULT) -> tuple[Any, dict[str, Any]]:
    """Build the method that options name, of a run or of configs.

    Args:
        options: Options of `configs.options.parser`, with `checkpoint` or without.
        default: Configs to take if neither a checkpoint nor a config is named.

    Returns:
        The method and its resolved config.
    """
    weights = find_checkpoint(options.checkpoint)[1] if options.checkpoint else None
    base = trained_config(weights, options.trust) if weights else None
    files = options.config or ([] if weights else default)
    config = resolve(load(files, options.overrides, base, options.trust))
    needs(config, "model", "data")
    if weights:
        without_download(config["model"])
    model = build_model(config, options.trust)
    if weights:
        load_weights(model, weights)
    return model, config


def build_arguments(node: dict[str, Any], trusted: list[str]) -> dict[str, Any]:
    """Build the arguments of a config's node, without the object itself."""
    return {key: build(value, trusted) for key, value in node.items() if key != "_target_"}


def spread_indices(length: int, count: int) -> list[int]:
    """Choose indices, evenly spread over a list of a length."""
    places = np.linspace(0, length - 1, min(count, length))
    return places.round().astype(int).tolist()
