"""Configs: `load` merges YAML and `key=value`, `resolve` fills in, `build` makes the objects.

Merging: files in order over `default.yaml`; a mapping is merged into the one below it, unless its
`_target_` differs, which replaces it; lists replace. A top-level key must exist in what lies below,
a key of a node with a `_target_` there or in the target's signature; other mappings (callbacks by
name, free options) take any key. At the end the data are given what they take of the top level
(`configs.wiring`).
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.arguments import hints_of, parameters
from configs.targets import (
    check_moved_keys,
    current,
    find,
    locate,
    read_earlier_keys,
    unknown_key,
)
from configs.types import TOP, check, check_arguments
from configs.wiring import wire
from interseg.errors import InputError

__all__ = ["as_yaml", "build", "check_arguments", "find", "load", "locate", "merge"]
__all__ += ["parameters", "plain", "read", "resolve"]

FOLDER = Path(__file__).parent
DEFAULT = FOLDER / "default.yaml"
"""File that every run starts from, whatever lies in the folder in which it is started."""
Node = dict[str, Any]


def load(
    files: Sequence[str | Path],
    overrides: Sequence[str] = (),
    base: Node | None = None,
    trusted: Sequence[str] = (),
) -> Node:
    """Merge configs to one mapping.

    Interpolations stay, so that later overrides reach everything that refers to them.

    Args:
        files: YAML files in order; a name that is no file here is looked up in `configs/`.
        overrides: `key.key=value` strings, applied last.
        base: Config that the files are merged over; `default.yaml` unless given.
        trusted: Packages beside ours whose classes may be named.

    Raises:
        InputError: a missing file, broken YAML, an unknown key (the nearest one is named).
    """
    config = base if base is not None else read(DEFAULT)
    for file in files:
        part = read(file)
        if isinstance(part.get("data"), dict) and "_target_" in part["data"]:
            config = config | {"data": {}}  # no option of another set stays, of one class either
        config = merge(config, part, "", trusted)
    for override in targets_first(overrides):
        config = merge(config, parse(override), "", trusted)
    return wire(config, trusted)


def targets_first(overrides: Sequence[str]) -> list[str]:
    """Move each `NODE._target_=CLASS` before other overrides of its node, which it would remove.

    It stays behind an earlier class or value of the node, which replaced all before.
    """
    ordered: list[str] = []
    for override in overrides:
        key = override.partition("=")[0]
        node, _, last = key.rpartition(".")
        place = len(ordered)
        if last == "_target_" and node:
            parts = node.split(".")
            above = [f"{'.'.join(parts[:count])}=" for count in range(1, len(parts) + 1)]
            wholes = (f"{key}=", *above)
            replaced = [i for i, other in enumerate(ordered) if other.startswith(wholes)]
            since = replaced[-1] + 1 if replaced else 0
            own = [i for i in range(since, place) if ordered[i].startswith(f"{node}.")]
            place = min(own, default=place)
        ordered.insert(place, override)
    return ordered


def parse(override: str) -> Node:
    """Read `key.key=value` as nested mappings; raises `InputError` for what is no override."""
    if "=" not in override:
        raise InputError(f"{override!r} is no override; write key=value")
    key, _, value = override.partition("=")
    if re.match(r"#|[^\"'\[{].* #", value):  # a colour or a path, of which YAML would keep less
        override = f"{key}={json.dumps(value)}"
    if value == "None":  # as wandb's agent writes a sweep's null
        override = f"{key}=null"
    try:
        return plain(OmegaConf.from_dotlist([override]))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{override!r} is no override, its value no YAML: {reason}") from None


def resolve(config: Node) -> Node:
    """Replace every interpolation by its value, and check the types of the top level.

    Raises:
        InputError: an interpolation of nothing, a top-level value of a wrong type.
    """
    try:
        filled = OmegaConf.create(config)
        resolved = OmegaConf.to_container(filled, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the config cannot be resolved: {reason}") from None
    assert isinstance(resolved, dict)
    named = {str(key): value for key, value in resolved.items()}
    check_top(named)
    read_earlier_keys(named)
    check_moved_keys(named)
    return follow_protocol(named)


def follow_protocol(config: Node) -> Node:
    """Give a run of a stream its epochs, one a sequence, where the protocol decides them.

    Raises:
        InputError: a protocol that contradicts itself or the epochs.
    """
    if not isinstance(config.get("protocol"), dict):
        return config
    if "_target_" not in config["protocol"]:
        given = ", ".join(f"{key}={value}" for key, value in config["protocol"].items())
        raise InputError(
            f"protocol has {given} and no stream to say it of; name a stream's config first, "
            "--config dynamic3d.yaml or --config clis.yaml --config clis/tasks.yaml"
        )
    protocol = build(config["protocol"], path="protocol")
    loop = config["callbacks"].get("loop") or {}
    if protocol.labels == "user" and loop.get("user", "default") is None:
        raise InputError(
            f"callbacks.loop.user is null, and protocol.kind={protocol.kind} has a user; "
            "protocol.labels=whole labels volumes wholly"
        )
    epochs = protocol.epochs(config["trainer"].get("max_epochs"))
    return config | {"trainer": config["trainer"] | {"max_epochs": epochs}}


def as_yaml(config: Node) -> str:
    """Write a config as YAML, keys in their order."""
    return OmegaConf.to_yaml(OmegaConf.create(config))


def check_top(config: Node) -> None:
    """Check the types of the top level, and of the numbers that data modules take from `loading`.

    Raises `InputError` that names the key as it is written in configs: `seed`, not `data.seed`.
    """
    for key, hint in TOP.items():
        if key in config:
            check(config[key], hint, key)
    check_range(config)
    loading = config.get("loading") or {}
    if loading.get("_target_") == "datamodules.base.Loading":
        hints = hints_of(find(loading["_target_"]))
        for key in hints.keys() & loading.keys():
            if not isinstance(loading[key], dict | list):  # whose objects are not made yet
                check(loading[key], hints[key], f"loading.{key}")


def check_range(config: Node) -> None:
    """Check the top level's numbers; raise `InputError` for one that has no use."""
    if not 0 <= config.get("seed", 0) < 2**32:
        raise InputError(f"seed is {config['seed']}; give a number from 0 to {2**32 - 1}")
    if config.get("max_clicks", 1) < 1:
        raise InputError(f"max_clicks is {config['max_clicks']}; give 1 or more")
    targets = config.get("targets", [0.85])
    if not targets or not all(0 < target <= 1 for target in targets):
        raise InputError(
            f"targets is {targets}; give IoUs above 0, 1 at most, e.g. targets=[0.85,0.9]"
        )


def read(file: str | Path) -> Node:
    """Read a YAML file as a mapping; a bare name is looked up in `configs/`."""
    path = next((p for p in (Path(file), FOLDER / file) if p.is_file()), None)
    if path is None:
        known = sorted(str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*.yaml"))
        raise InputError(
            f"there is no config {file}, neither here nor in {FOLDER.name}/; it has "
            f"{', '.join(known)}"
        )
    try:
        return plain(OmegaConf.load(path))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} is no valid YAML: {' '.join(str(error).split())[:300]}") from None


def plain(config: Any) -> Node:
    """Turn an OmegaConf mapping into dicts and lists, interpolations kept."""
    container = OmegaConf.to_container(config, resolve=False)
    if not isinstance(container, dict):
        raise InputError(f"a config is a mapping of keys, got {type(container).__name__}")
    return {str(key): value for key, value in container.items()}


def merge(below: Node, above: Node, path: str = "", trusted: Sequence[str] = ()) -> Node:
    """Merge `above` over `below`; neither is changed."""
    merged = dict(below)
    if "_target_" in above:
        known: set[str] | None = parameters(above["_target_"], trusted)
    else:
        known = (
            parameters(below["_target_"], trusted)
            if "_target_" in below
            else (None if path else set())
        )
    for key, value in above.items():
        where = f"{path}{key}"
        if known is not None and key not in below and key not in known | {"_target_"}:
            raise unknown_key(where, key, known | set(below))
        if path == "callbacks." and value is None and key not in below:
            raise unknown_key(where, key, set(below))
        old = merged.get(key)
        merged[key] = _merge_value(old, value, where, trusted)
    return merged


def _merge_value(old: Any, value: Any, where: str, trusted: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_merge_value(None, item, f"{where}[{i}]", trusted) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    built = isinstance(old, dict) and "_target_" in old
    if not value and "." in where and not built:
        return {}  # as `milestones: {}` clears those of the YAML below
    replaces = not isinstance(old, dict) or current(
        value.get("_target_", old.get("_target_"))
    ) != current(old.get("_target_"))
    if replaces and "_target_" not in value:
        return value
    return merge({} if replaces else old, value, f"{where}.", trusted)


def build(node: Any, trusted: Sequence[str] = (), path: str = "") -> Any:
    """Make the objects of a resolved config.

    A mapping with a `_target_` becomes that class, called with the rest of the mapping.

    Args:
        node: Part of a config, or all of it.
        trusted: Packages beside ours whose classes may be named.
        path: Place of the node in the config, such as `model`; errors name it.

    Raises:
        InputError: an argument that the class does not take, a value of another type than its
            hint, what the class itself refuses.
    """
    if isinstance(node, list):
        return [build(item, trusted, f"{path}[{i}]") for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    places = {key: f"{path}.{key}".lstrip(".") for key in node if key != "_target_"}
    arguments = {key: build(node[key], trusted, place) for key, place in places.items()}
    return make(node["_target_"], arguments, trusted, path) if "_target_" in node else arguments


def make(name: str, arguments: Node, trusted: Sequence[str] = (), path: str = "") -> Any:
    """Call the class of an import path with arguments that fit it; raises as `build` does."""
    target, known = find(name, trusted), parameters(name, trusted)
    for key in arguments:
        if known is not None and key not in known:
            raise unknown_key(f"{name}: {key}", key, known)
    check_arguments(target, arguments, path or target.__name__)
    try:
        return target(**arguments)
    except InputError:
        raise
    except (TypeError, ValueError) as error:  # albumentations' pydantic errors are ValueErrors
        reason = " ".join(str(error).split())
        raise InputError(f"{name} cannot be built: {reason}") from error
