"""What a benchmark plays with: the method of a run, or of configs as they build it, and its config."""

from argparse import Namespace
from typing import Any

from configs import load, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config, without_download
from configs.run import build_model, needs

DEFAULT = ["small.yaml", "data/samples.yaml"]


def played_method(options: Namespace, default: list[str] = DEFAULT) -> tuple[Any, dict[str, Any]]:
    """Build the method that the options `checkpoint`, `config`, `overrides` and `trust` name, and its resolved config.

    Args:
        options: of `configs.options.parser`, with `checkpoint` or without.
        default: configs where neither a checkpoint nor a config is named.
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
