"""Trained runs: their checkpoints, configs and methods."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning import LightningModule

from configs import DEFAULT, build, load, merge, plain, read, resolve
from configs.run import build_model, needs
from configs.targets import MOVED_KEYS, is_ours, locate, read_earlier_keys
from configs.wiring import with_split_draws
from datamodules.volumes import VolumeDataModule
from interseg.checkpoints import digest, named_digests, read_checkpoint
from interseg.errors import InputError
from interseg.inference.history import logit_of

DOWNLOADED = ("weights", "encoder_weights")
"""Arguments of networks that name weights of encoders, which may be downloaded."""
THRESHOLD = "callbacks.loop.threshold"
SHIPPED = Path(__file__).parent.parent / "models"
"""Small checkpoints that come with the project: any command takes `NAME` of `NAME.ckpt` for a
run."""


def find_checkpoint(given: str | Path) -> tuple[Path | None, Path]:
    """Find (run's folder, checkpoint file) of a run, a file, or a network that ships (`models/`).

    A file outside a run's `checkpoints/` has no folder. Raises `InputError` for what is none of
    them.
    """
    path = Path(given)
    if not path.exists() and str(given) in shipped_names():
        return None, SHIPPED / f"{given}.ckpt"
    if path.is_dir():
        file = path / "checkpoints" / "last.ckpt"
        if not file.is_file():
            ways = "give the folder that train.py printed, or a checkpoint"
            if str(given) in shipped_names():
                ways = f"this folder hides the network {given} that ships; rename it, or {ways}"
            raise InputError(f"{given} is no run: there is no {file}; {ways}")
        return path, file
    if not path.is_file():
        named = f", or {' or '.join(shipped_names())}" if shipped_names() else ""
        raise InputError(
            f"{given} is no run: there is no such folder or file; give the folder that train.py "
            f"printed, or a checkpoint{named}"
        )
    run = path.absolute().parent.parent
    inside = path.absolute().parent.name == "checkpoints" and (run / "config.yaml").is_file()
    return (run if inside else None), path


def shipped_names() -> list[str]:
    """List the names of the networks that come with the project."""
    return sorted(file.stem for file in SHIPPED.glob("*.ckpt"))


def trained_config(weights: Path, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Read a checkpoint's config over today's defaults, without the keys that name its folder.

    A checkpoint has its own: its folder's may be of a command that failed since. Raises
    `InputError` where there is none.
    """
    inside = read_checkpoint(weights).get("config")
    beside = weights.absolute().parent.parent / "config.yaml"
    if not inside and not beside.is_file():
        raise InputError(
            f"{weights} holds no config, and there is no {beside}; give a checkpoint that "
            "train.py wrote"
        )
    found = plain(OmegaConf.create(inside) if inside else OmegaConf.load(beside))
    own: dict[str, Any] = {
        "run": None,
        "checkpoint": None,
        "weights": None,
        "digests": {},
        "overwrite": False,
    }
    read_earlier_keys(found)
    found["data"] = with_split_draws(found.get("data"), found.get("seed", 0), "numbers")
    below = read(DEFAULT)
    callbacks = below["callbacks"]
    # `merge` refuses to turn off what is not there, and here a method's own YAML is not
    for name, node in (found.get("callbacks") or {}).items():
        if node is None:
            callbacks.setdefault(name, None)
    return merge(below, found | own, "", trusted)


def check_pretraining(config: dict[str, Any], data: Any, trusted: Sequence[str] = ()) -> None:
    """Check that no task of a sequence, and no held-out volume, is one that was pretrained on.

    Args:
        config: Config of the stream, resolved.
        data: Data module of it.
        trusted: Packages, see `configs.build`.

    Raises:
        InputError: The pretraining drew its images, or volumes, from the same data in another way.
    """
    file = config["model"].get("pretrained")
    if isinstance(data, VolumeDataModule):
        for start in {file, config.get("weights")} - {None}:
            check_held_out(config, data, start, trusted)
        return
    if (config.get("protocol") or {}).get("kind") != "sequence" or not file:
        return
    content = read_checkpoint(file)
    node: Any = OmegaConf.to_container(OmegaConf.create(content.get("config") or {}), resolve=True)
    if (node.get("model") or {}).get("pretrained"):
        raise InputError(
            f"{file} is of a run that has learned tasks; give model.pretrained the checkpoint of a "
            f"pretraining, as that run had: {node['model']['pretrained']}"
        )
    now, before = config["data"], node.get("data") or {}
    if now["_target_"] != before.get("_target_") or "holdout" in before:  # of an earlier version
        return
    root = before.get("root", data.root)  # a class may have it as its default
    if Path(data.root).resolve() != Path(root).resolve():
        return
    # files may have come since, and the split is drawn of all
    known = set((content.get(type(data).__qualname__) or {}).get("pretraining", ()))
    if not known:
        try:
            start = build(before, trusted, "data")
        except InputError:  # arguments of an earlier version
            return
        known = {start.name_of(number) for number in start.split()[0]}
    tasks = {data.name_of(number) for number in data.split()[1]}
    if known & tasks:
        raise InputError(
            f"{file} was pretrained on {len(known & tasks)} of the {len(tasks)} images that tasks "
            f"are drawn from; give seed={node.get('seed')} and data.pretraining_images="
            f"{before.get('pretraining_images', 'as there')}, and the files that were there"
        )


def check_held_out(
    config: dict[str, Any], data: VolumeDataModule, file: str, trusted: Sequence[str]
) -> None:
    """Raise `InputError` if the run of a checkpoint learned volumes that are held out now.

    What that run had begun with itself is not looked at, nor a run of an earlier version.
    """
    content = read_checkpoint(file).get("config")
    node: Any = OmegaConf.to_container(OmegaConf.create(content or {}), resolve=True)
    now, before = config["data"], node.get("data") or {}
    if now["_target_"] != before.get("_target_") or {*before} & {*MOVED_KEYS["data"]}:
        return
    if Path(now["root"]).resolve() != Path(before["root"]).resolve():
        return
    start = build(before, trusted, "data")
    own, cases = data.cases(), start.cases()
    held_out = {own[number].label.resolve() for number in data.split()[0]}
    learned = {cases[number].label.resolve() for number in start.order(0)} & held_out
    if not learned:
        return
    what = f"{file} has learned {len(learned)} of the {len(held_out)} volumes that are held out"
    if {cases[number].label.resolve() for number in start.split()[0]} == held_out:
        raise InputError(f"{what}, as it played these; start from a run that learned the others")
    raise InputError(f"{what}; give data.seed={start.seed} and data.held_out={start.held_out}")


def identify(merged: dict[str, Any], evaluated: Path | None = None) -> dict[str, Any]:
    """Add to a merged config what tells its files from others under the same paths: their digests.

    `weights` becomes the file of the run that it may name. What evaluations of before have there, a
    digest, is passed over.
    """
    config = resolve(merged)
    given = config["weights"]
    weights = None
    if given and not re.fullmatch("[0-9a-f]{64}", str(given)):
        weights = str(find_checkpoint(given)[1])
    return merged | {
        "weights": weights,
        "digests": named_digests(config | {"weights": weights}),
        "evaluated": digest(evaluated) if evaluated else None,
    }


def without_download(
    model: dict[str, Any], keys: Sequence[str] = (*DOWNLOADED, "selection_from")
) -> None:
    """Let a method's network begin at random: a checkpoint holds every weight.

    Other weights need not be fetched first.
    """
    network = model.get("network")
    if not isinstance(network, dict):
        return
    held = ["pretrained"] if holds_encoder(network) else []
    for key in (*keys, *held):
        if key in network:
            network[key] = None


def holds_encoder(network: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint surely holds the weights of a network's encoder.

    It does unless the encoder is frozen, as it is in ours that encode once unless they say
    otherwise.
    """
    if "frozen" in network:
        return network["frozen"] is False
    return is_ours(network) and not hasattr(locate(network["_target_"]), "encode")


def load_weights(model: LightningModule, file: Path) -> dict[str, Any]:
    """Load a module's weights from a checkpoint, and return all that it holds.

    Raises `InputError` for another method's, or for a file that is none.
    """
    content = read_checkpoint(file)
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputError(
            f"{file} does not fit {type(model).__name__}: {lines[1][:160]}; evaluate it with the "
            "model it was trained as"
        ) from None
    return content


def load_method(
    path: Path, overrides: Sequence[str] = (), trusted: Sequence[str] = ()
) -> LightningModule:
    """Build a run's or a checkpoint's method, in evaluation mode, with `key=value` overrides.

    Nothing of it is compiled: sessions run eagerly, and an export is traced.
    """
    return load_for_sessions(path, overrides, trusted)[0]


def load_for_sessions(
    path: Path, overrides: Sequence[str] = (), trusted: Sequence[str] = ()
) -> tuple[LightningModule, float]:
    """Build a method as `load_method` does, and read the threshold that its evaluation takes.

    Raises `InputError` for overrides that would change an evaluation and no session.
    """
    for override in overrides:
        key = override.partition("=")[0]
        if key.startswith(("trainer.", "loading.", "callbacks.")) and key != THRESHOLD:
            raise InputError(
                f"{override} has no effect here, where no Trainer runs; keys below model, refiner, "
                f"zoom and flip have, and {THRESHOLD}"
            )
    _, file = find_checkpoint(path)
    config = resolve(load([], overrides, trained_config(file, trusted), trusted))
    needs(config, "model")
    without_download(config["model"])
    network = config["model"].get("network")
    if isinstance(network, dict) and "compile" in network:
        network["compile"] = None
    model: LightningModule = build_model(config, trusted)
    if not getattr(model, "answers_clicks", False):
        raise InputError(
            f"{path} is a run of {type(model).__name__}, which learns a stream; sessions are for "
            "methods that answer clicks"
        )
    load_weights(model, file)
    loop = config["callbacks"].get("loop") or {}
    threshold = loop.get("threshold", 0.5)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise InputError(f"{THRESHOLD} is {threshold!r}; it is a probability between 0 and 1")
    logit_of(threshold)
    return model.eval(), float(threshold)
