"""Targets of configs: the classes that a config may build, their arguments, and where they are."""

import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from interseg.errors import InputError

OURS = ("interseg", "lightning_modules", "datamodules", "callbacks")
LIBRARIES = {
    "albumentations": ("albumentations.",),
    "monai": (
        "monai.networks.",
        *(
            f"monai.losses.{loss}"
            for loss in (
                *("barlow_twins", "boundary_loss", "cldice", "dice", "focal_loss"),
                *("hausdorff_loss", "mcc_loss", "multi_scale", "nacl_loss", "spatial_mask"),
                *("ssim_loss", "tversky", "unified_focal_loss"),
            )
        ),
    ),
    "pytorch_lightning": (
        "pytorch_lightning.callbacks.",
        "pytorch_lightning.loggers.",
        "pytorch_lightning.trainer.",
    ),
    "segmentation_models_pytorch": ("segmentation_models_pytorch.",),
    "torch": ("torch.nn.",),
    "torchmetrics": (
        "torchmetrics.aggregation",
        "torchmetrics.classification.",
        "torchmetrics.collections",
        "torchmetrics.regression.",
        "torchmetrics.segmentation.",
        "torchmetrics.wrappers.",
    ),
    "torchvision": ("torchvision.models.", "torchvision.ops.", "torchvision.transforms."),
}
"""Libraries, and the modules of theirs whose classes a config may build.

Classes of others may run code that a config names: `monai.losses.PerceptualLoss` runs what
`torch.hub` finds in a folder."""
BASES = (
    "albumentations.BasicTransform",
    "albumentations.core.composition.BaseCompose",
    "datamodules.base.Loading",
    "interseg.continual.annotations.Annotator",
    "interseg.continual.protocol.StreamProtocol",
    "interseg.clicks.initial.InitialClicks",
    "interseg.clicks.guidance.Guidance",
    "interseg.inference.external.PhotoPredictor",
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
"""Classes whose subclasses a config may build.

They are of our packages, of the listed libraries, or of a package trusted on the command line.
"""

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
"""Modules that the configs of earlier checkpoints name, and where their classes are now."""


RENAMED = {"interseg.inference.refiners.BRS": "interseg.inference.refiners.BRSRefiner"}
"""Classes that the configs of earlier checkpoints name, and their names now."""
PREVIOUS_MASK = "model.network.guidance_channels (3 with the mask, 2 without)"
MOVED_KEYS = {
    "callbacks.loop": {"previous_mask": PREVIOUS_MASK},
    "data": {
        "holdout": "data.pretraining_images",
        "learn_from": "protocol.volumes",
        "permutation": "protocol.sequence",
        "permutations": "protocol.sequences",
        "prefix": "protocol.first",
        "rounds": "protocol.rounds",
        "sequence": "protocol.sequence",
        "sequences": "protocol.sequences",
        "stage": "protocol.kind",
    },
    "model": {
        "previous_mask": PREVIOUS_MASK,
        "start_anew": "protocol.kind",
    },
    "model.network": {"weights": "model.network.pretrained (hub for imagenet)"},
}
"""Keys of our classes in the configs of earlier versions, and where they are now."""
IMPLIED_KEYS = ("model.previous_mask", "callbacks.loop.previous_mask")
"""Keys in the configs of earlier checkpoints that `model.network.guidance_channels` says now."""


def check_moved_keys(config: dict[str, Any]) -> None:
    """Raise `InputError` for a key of an earlier version, which says where it is now."""
    for part, moved in MOVED_KEYS.items():
        node = config.get(part) or {}
        for key in moved.keys() & node.keys() if is_ours(node) else ():
            raise InputError(f"{tell_moved(part, key)}, or train the run again")


def tell_moved(part: str, key: str) -> str:
    """Say where a key of an earlier version is now."""
    now = MOVED_KEYS[part][key]
    return f"{part}.{key} is of an earlier version; give {now} instead (CHANGELOG.md)"


def read_earlier_keys(config: dict[str, Any]) -> None:
    """Rename the keys of an earlier version, and drop those that another key of the config says."""
    network = (config.get("model") or {}).get("network")
    if isinstance(network, dict) and is_ours(network) and "weights" in network:
        source = network.pop("weights")
        network["pretrained"] = "hub" if source == "imagenet" else source
    for path in IMPLIED_KEYS:
        *parts, key = path.split(".")
        node: Any = config
        for part in parts:
            node = (node or {}).get(part)
        if isinstance(node, dict) and is_ours(node):
            node.pop(key, None)


def is_ours(node: Mapping[str, Any]) -> bool:
    """Tell whether a node of a config builds a class of this project's."""
    return str(node.get("_target_")).split(".")[0] in OURS


def unknown_key(where: str, key: str, known: set[str]) -> InputError:
    """Make the error for a key that nothing knows, naming the nearest that is known."""
    part = where.removesuffix(f".{key}")
    if key in MOVED_KEYS.get(part, {}):
        return InputError(tell_moved(part, key))
    near = difflib.get_close_matches(str(key), sorted(known), 1, 0.5)
    others = ", ".join(sorted(known - {"_target_"}))
    hint = f"did you mean {near[0]}?" if near else f"known here: {others}"
    return InputError(f"unknown key {where}; {hint}")


def find(target: str, trusted: Sequence[str] = ()) -> type:
    """Import the class of a path, if a config may build it.

    Raises:
        InputError: another package than the listed or trusted ones, of which nothing is imported;
            no such class, or one that no config may build.
    """
    if not isinstance(target, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", target):
        raise InputError(f"_target_ is {target!r}; write the import path of a class")
    package = target.split(".")[0]
    if package not in (*OURS, *LIBRARIES, *trusted):
        how = f"name it on the command line: --trust {package}"
        raise InputError(f"_target_ {target}: the package {package} is not trusted; {how}")
    found = locate(target)
    if isinstance(found, type) and issubclass(found, bases()):
        if package in trusted or is_harmless(found.__module__, trusted):
            return found
        raise InputError(
            f"_target_ {target} is of {found.__module__}, which may run code from elsewhere; if "
            f"you know what it does, name it on the command line: --trust {package}"
        )
    if not is_own(found, trusted):
        kinds = "modules, data modules, callbacks, transforms, users, ..."
        raise InputError(f"_target_ {target} is no class that a config may build ({kinds})")
    return found


def is_harmless(module: str, trusted: Sequence[str]) -> bool:
    """Tell whether the classes of a module run no code but their own, their package's or ours."""
    package = module.split(".")[0]
    return package in (*OURS, *trusted) or module.startswith(LIBRARIES.get(package, ()))


def is_own(found: Any, trusted: Sequence[str]) -> bool:
    """Tell whether an object is a trusted package's own function, or its own class of a model.

    The class has `predict` or `__call__`. What the package only imports does not count. Models that
    know nothing of this project are built by such functions and classes
    (`lightning_modules/external.py`).
    """
    answers = inspect.isfunction(found) or (
        isinstance(found, type) and (hasattr(found, "predict") or "__call__" in vars(found))
    )
    return answers and found.__module__.split(".")[0] in trusted


@functools.cache
def bases() -> tuple[type, ...]:
    """Import the classes of `BASES`."""
    return tuple(locate(base) for base in BASES)


def current(target: Any) -> Any:
    """Give the path by which a class that has moved is found today; any other value as it is."""
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    moved = f"{MOVED[module]}.{name}" if module in MOVED else target
    return RENAMED.get(moved, moved) if isinstance(moved, str) else moved


def locate(target: str) -> Any:
    """Import the object of a path, or of one of before (`MOVED`).

    Raises:
        InputError: there is no such module or object, or the module fails at its import.
    """
    module, name = current(target).rsplit(".", 1)
    found = import_for(target, module)
    try:
        return getattr(found, name)
    except AttributeError:
        near = difflib.get_close_matches(name, dir(found), 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"_target_ {target}: {module} has no {name}{hint}") from None


def import_for(target: str, module: str) -> ModuleType:
    """Import the module of a target; raises `InputError` for a missing one or a broken one."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        if f"{module}.".startswith(f"{missing}."):
            raise InputError(f"_target_ {target}: there is no module {module}") from None
        reason = f"{module} imports {missing}, which is not there; install it or mend the import"
        raise InputError(f"_target_ {target}: {reason}") from error
    except Exception as error:  # a module of the user's may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"_target_ {target}: {module} fails at its import ({reason})") from error
