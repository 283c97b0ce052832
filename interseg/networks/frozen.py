"""Encoders that run once a photo: timm's, with the levels that a decoder reads, frozen or not.

A frozen encoder is not part of a checkpoint. Its digest is, and tells whether the decoder gets the
features that it was trained on.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from types import MethodType
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.networks import dinov2
from interseg.networks.click_input import register_statistics
from interseg.networks.pretrained import (
    PACKAGED,
    download,
    packaged_state_dict,
    statistics_of,
)

SEED = 0
"""Seed of random encoder weights: a frozen encoder must be the same whenever it is built."""


class FrozenEncoder(nn.Module):
    """A timm encoder in evaluation mode, from photos to features of several levels.

    Args:
        name: Name in timm of a ViT of any patch size, or of a CNN.
        pretrained: Source of the weights: "package" (from a Python package), "hub" (timm's
            download) or None for random ones, always the same.
        levels: Numbers of a ViT's blocks or of a CNN's levels, from 0; None for a ViT's middle and
            last block, or for a CNN's levels of strides 8, 16 and 32.
        frozen: Whether the weights are frozen; False to fine-tune them, which makes them part of a
            checkpoint.

    Raises:
        InputError: An unknown encoder or level, or weights that are not available.
    """

    digest: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        pretrained: str | None,
        levels: Sequence[int] | None = None,
        frozen: bool = True,
    ) -> None:
        super().__init__()
        self.name, self.frozen = name, frozen
        self.model = build(name, pretrained)
        self.is_transformer = hasattr(self.model, "pos_embed")
        self.levels = self._default_levels() if levels is None else list(levels)
        probed = self._probe(self.levels)
        self.channels = [level.shape[1] for level in probed]
        """Number of channels of each level."""
        self.strides = [2 * self.divisor // level.shape[-1] for level in probed]
        """Side in pixels of each level's cells."""
        register_statistics(self, statistics_of(self.model.pretrained_cfg))
        self.register_buffer("digest", digest_of(self.model))
        self.model.requires_grad_(not frozen)
        self.register_state_dict_post_hook(drop_frozen)
        self.register_load_state_dict_pre_hook(fill_frozen)
        self.train(False)

    @property
    def divisor(self) -> int:
        """Number whose multiples a photo's sides must be.

        It is a multiple of the patch or of a CNN's strides, and of 4 for the decoder's outlines.
        """
        patch = getattr(self.model, "patch_embed", None)
        side = 32
        if patch is not None and hasattr(patch, "patch_size"):
            side = patch.patch_size[0]
        return math.lcm(side, 4)

    @property
    def key(self) -> str:
        """Name of the encoder's features: encoders with the same key compute the same."""
        levels = "-".join(map(str, self.levels))
        name = f"{self.name}-{bytes(self.digest.tolist()).hex()[:16]}-{levels}"
        precision = next(self.model.parameters()).dtype
        return name if precision == torch.float32 else f"{name}-{str(precision).split('.')[-1]}"

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: norms and dropout are as in pretraining, fine-tuned or not."""
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute each level's features (B, C, h, w).

        Args:
            image: (B, 3, H, W) in [0, 1], H and W multiples of `divisor`.
        """
        return self._run((image - self.mean) / self.std, self.levels)

    def _run(self, x: Tensor, levels: list[int] | None) -> list[Tensor]:
        features = self.model.forward_intermediates(
            x, indices=levels, intermediates_only=True, norm=self.is_transformer
        )
        return list(features)

    def _default_levels(self) -> list[int]:
        if self.is_transformer:
            depth = len(self.model.blocks)
            return [depth // 2 - 1, depth - 1]
        strides = [2 * self.divisor // level.shape[-1] for level in self._probe(None)]
        return [i for i, stride in enumerate(strides) if stride in (8, 16, 32)]

    def _probe(self, levels: list[int] | None) -> list[Tensor]:
        """Run the encoder on a small black photo."""
        if not hasattr(self.model, "forward_intermediates"):
            raise InputError(
                f"timm's {self.name} gives no intermediate features; "
                "take a ViT, or a CNN such as tf_efficientnet_lite0"
            )
        side = 2 * self.divisor
        try:
            with torch.no_grad():
                return self._run(torch.zeros(1, 3, side, side), levels)
        except (AssertionError, IndexError) as error:
            raise InputError(
                f"levels are {levels}; {self.name} has no such level ({error})"
            ) from None


def drop_frozen(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Remove a frozen encoder's weights from its state dict."""
    if isinstance(module, FrozenEncoder) and module.frozen:
        weights = [key for key in state if key.startswith(f"{prefix}model.")]
        for key in weights:
            del state[key]


def fill_frozen(encoder: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Add a frozen encoder's own weights to a state dict with its digest, before it is loaded.

    Raises:
        InputError: The digest of another encoder.
    """
    if not isinstance(encoder, FrozenEncoder) or not encoder.frozen:
        return
    found = state.get(f"{prefix}digest")
    if found is not None and not torch.equal(found.cpu(), encoder.digest.cpu()):
        was, now = (bytes(d.tolist()).hex()[:16] for d in (found, encoder.digest))
        raise InputError(
            f"the checkpoint's decoder was trained on an encoder of digest {was}, "
            f"this {encoder.name} has {now}; "
            "build it from the weights that it was trained on (model.network.pretrained)"
        )
    for key, value in encoder.model.state_dict().items():
        state[f"{prefix}model.{key}"] = value


def build(name: str, weights: str | None, fixed: bool = True) -> Any:
    """Build a timm encoder without its classifier.

    Args:
        name: Name in timm.
        weights: Source of the weights: "package" (from a Python package), "hub" (timm's download)
            or None for random ones.
        fixed: Whether random weights are the same whenever they are built; False draws them from
            torch's generator, as any network does.

    Raises:
        InputError: An unknown name, or weights that are not available.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:8]}*")[:5])
        near = near or "tf_efficientnet_lite0, vit_small_patch14_dinov2"
        raise InputError(f"encoder is {name!r}, which timm does not have; it has {near}")
    options: dict[str, Any] = {"dynamic_img_size": True} if takes(name, "dynamic_img_size") else {}
    if weights == "hub":
        model = download(
            lambda: timm.create_model(name, pretrained=True, num_classes=0, **options),
            f"the weights of {name}",
            f"{dinov2.NAME} and tf_efficientnet_lite0 come with packages: "
            "model.network.pretrained=package",
        )
    elif weights in ("package", None):
        with torch.random.fork_rng(devices=[], enabled=fixed):
            if fixed:
                torch.manual_seed(SEED)
            model = timm.create_model(name, pretrained=False, num_classes=0, **options)
    else:
        raise InputError(
            f"pretrained is {weights!r}; use package (no download), hub (timm's download) or null"
        )
    if weights == "package":
        if name != dinov2.NAME and f"tu-{name}" not in PACKAGED:  # timm's names, not smp's
            known = [dinov2.NAME, *(key.removeprefix("tu-") for key in PACKAGED)]
            raise InputError(
                f"no package carries weights of the encoder {name!r}; "
                f"pretrained=package works with: {', '.join(known)}"
            )
        own = name == dinov2.NAME
        packaged = dinov2.packaged_state_dict() if own else packaged_state_dict(f"tu-{name}")
        fill(model, packaged, name)
    if dinov2.is_dinov2(model, name):
        positions = MethodType(dinov2.add_positions, model)
        setattr(model, "_pos_embed", positions)  # noqa: B010 (timm types it as a module)
    return model.eval()


def takes(name: str, option: str) -> bool:
    """Test whether a timm model has an option of vision transformers."""
    module = timm.model_entrypoint(name).__module__
    families = (".vision_transformer", ".deit", ".beit", ".eva")
    return option == "dynamic_img_size" and module.endswith(families)


def fill(model: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Copy weights into a model; raises `InputError` if one is missing or of another shape."""
    wanted = model.state_dict()
    missing = []
    for key, value in wanted.items():
        if key not in state or state[key].shape != value.shape:
            missing.append(key)
    if missing:
        raise InputError(
            f"the packaged weights of {name} lack {missing[0]} "
            f"and {len(missing) - 1} more of the encoder's weights"
        )
    model.load_state_dict({key: state[key] for key in wanted})


def digest_of(model: nn.Module) -> Tensor:
    """Compute the SHA-256 of a model's weights under their names, as (32,) uint8."""
    total = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return torch.frombuffer(bytearray(total.digest()), dtype=torch.uint8).clone()
