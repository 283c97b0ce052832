"""Configs: `load` merges YAML files and `key=value` overrides, `resolve` fills in interpolations, `build` makes the objects.

Merging: files in order over `default.yaml`; a mapping is merged into the one below it, unless its `_target_` differs, which
replaces it; lists replace. A top-level key must exist in what lies below, a key of a node with a `_target_` there or in the target's
signature; other mappings (callbacks by name, free options) take any key.
"""

import difflib
import importlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from interseg.errors import InputError

FOLDER = Path(__file__).parent
OURS = ("interseg", "lightning_modules", "datamodules", "callbacks")
LIBRARIES = ("albumentations", "monai", "pytorch_lightning", "segmentation_models_pytorch", "torch", "torchmetrics", "torchvision")
BASES = (
    "albumentations.BasicTransform",
    "albumentations.core.composition.BaseCompose",
    "datamodules.base.Loading",
    "interseg.continual.annotations.Annotator",
    "interseg.clicks.initial.InitialClicks",
    "interseg.clicks.guidance.Guidance",
    "interseg.inference.zoom.ZoomIn",
    "interseg.inference.refine.Refiner",
    "interseg.clicks.users.User",
    "interseg.volumes.users.SliceUser",
    "lightning_modules.optimisation.Optimisation",
    "lightning_modules.task_learner.Propagation",
    "pytorch_lightning.Callback",
    "pytorch_lightning.LightningDataModule",
    "pytorch_lightning.LightningModule",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.loggers.Logger",
    "torch.nn.Module",
    "torchmetrics.Metric",
)
"""What a config may build: subclasses of these, from our packages, the listed libraries or a package trusted on the command line."""

MOVED = {
    "interseg.annotations": "interseg.continual.annotations",
    "interseg.boundary": "interseg.clicks.boundary",
    "interseg.clicks": "interseg.clicks.initial",
    "interseg.guidance": "interseg.clicks.guidance",
    "interseg.medoids": "interseg.clicks.medoids",
    "interseg.predict": "interseg.inference.zoom",
    "interseg.refine": "interseg.inference.refine",
    "interseg.refiners": "interseg.inference.refiners",
    "interseg.superpixels": "interseg.continual.superpixels",
    "interseg.users": "interseg.clicks.users",
    "interseg.volumes": "interseg.volumes.users",
}
"""Modules whose classes are named in the configs of earlier checkpoints, and where those are now."""

Node = dict[str, Any]


def load(files: Sequence[str | Path], overrides: Sequence[str] = (), base: Node | None = None, trusted: Sequence[str] = ()) -> Node:
    """Merge configs to one mapping; interpolations stay, so that later overrides reach everything that refers to them.

    Args:
        files: YAML files in order; a name that is no file here is looked up in `configs/`.
        overrides: `key.key=value` strings, applied last.
        base: what the files are merged over; `default.yaml` unless given.
        trusted: packages beside ours whose classes may be named.

    Raises:
        InputError: a missing file, broken YAML, an unknown key (the nearest one is named).
    """
    config = base if base is not None else read("default.yaml")
    for file in files:
        config = merge(config, read(file), "", trusted)
    for override in overrides:
        if "=" not in override:
            raise InputError(f"{override!r} is no override; write key=value")
        config = merge(config, plain(OmegaConf.from_dotlist([override])), "", trusted)
    return config


def resolve(config: Node) -> Node:
    """A mapping with every interpolation replaced by its value; raises `InputError` for one without."""
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(f"the config cannot be resolved: {str(error).splitlines()[0]}") from None
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def read(file: str | Path) -> Node:
    """One YAML file as a mapping; a bare name is looked up in `configs/`."""
    path = next((p for p in (Path(file), FOLDER / file) if p.is_file()), None)
    if path is None:
        known = sorted(str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*.yaml"))
        raise InputError(f"there is no config {file}, neither here nor in {FOLDER.name}/; it has {', '.join(known)}")
    try:
        return plain(OmegaConf.load(path))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None


def plain(config: Any) -> Node:
    """An OmegaConf mapping as dicts and lists, interpolations kept."""
    container = OmegaConf.to_container(config, resolve=False)
    if not isinstance(container, dict):
        raise InputError(f"a config is a mapping of keys, got {type(container).__name__}")
    return {str(key): value for key, value in container.items()}


def merge(below: Node, above: Node, path: str = "", trusted: Sequence[str] = ()) -> Node:
    """`above` merged over `below`; neither is changed."""
    merged = dict(below)
    if "_target_" in above:
        known: set[str] | None = parameters(above["_target_"], trusted)
    else:
        known = parameters(below["_target_"], trusted) if "_target_" in below else (None if path else set())
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
    replaces = not isinstance(old, dict) or current(value.get("_target_", old.get("_target_"))) != current(old.get("_target_"))
    if replaces and "_target_" not in value:
        return value
    return merge({} if replaces else old, value, f"{where}.", trusted)


def unknown_key(where: str, key: str, known: set[str]) -> InputError:
    """The error for a key that nothing knows, naming the nearest that is known."""
    near = difflib.get_close_matches(key, sorted(known), 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known - {'_target_'}))}"
    return InputError(f"unknown key {where}; {hint}")


def parameters(target: str, trusted: Sequence[str] = ()) -> set[str] | None:
    """Names of a target's arguments; None where it takes any."""
    signature = inspect.signature(find(target, trusted))
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return set(signature.parameters) - {"self"}


def find(target: str, trusted: Sequence[str] = ()) -> type:
    """The class of an import path, if a config may build it; nothing is imported from a package that is not listed."""
    if not isinstance(target, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", target):
        raise InputError(f"_target_ is {target!r}; write the import path of a class")
    package = target.split(".")[0]
    if package not in (*OURS, *LIBRARIES, *trusted):
        raise InputError(f"_target_ {target}: the package {package} is not trusted; name it on the command line: --trust {package}")
    found = locate(target)
    if not isinstance(found, type) or not issubclass(found, tuple(locate(base) for base in BASES)):
        raise InputError(
            f"_target_ {target} is no class that a config may build (modules, data modules, callbacks, transforms, users, ...)"
        )
    return found


def current(target: Any) -> Any:
    """The import path by which a class that has moved is found today; any other value as it is."""
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    return f"{MOVED[module]}.{name}" if module in MOVED else target


def locate(target: str) -> Any:
    """The object of an import path, or of one of before (`MOVED`)."""
    module, name = current(target).rsplit(".", 1)
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        raise InputError(f"_target_ {target}: there is no module {module}") from None
    except AttributeError:
        near = difflib.get_close_matches(name, dir(importlib.import_module(module)), 1, 0.5)
        raise InputError(f"_target_ {target}: {module} has no {name}{f'; did you mean {near[0]}?' if near else ''}") from None


def build(node: Any, trusted: Sequence[str] = ()) -> Any:
    """Make the objects of a resolved config: a mapping with a `_target_` becomes that class, called with the rest of the mapping."""
    if isinstance(node, list):
        return [build(item, trusted) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: build(value, trusted) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return arguments
    target = find(node["_target_"], trusted)
    known = parameters(node["_target_"], trusted)
    for key in arguments:
        if known is not None and key not in known:
            raise unknown_key(f"{node['_target_']}: {key}", key, known)
    try:
        return target(**arguments)
    except InputError:
        raise
    except (TypeError, ValueError) as error:  # albumentations' pydantic errors are ValueErrors
        raise InputError(f"{node['_target_']} cannot be built: {' '.join(str(error).split())}") from error
