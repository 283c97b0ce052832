"""The objects of a round as a network sees them: views, guidance, encodings, logits.

A scene runs the network on groups of objects whose views have one size, and returns the logits in
the frames of the whole images.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from interseg.clicks.layout import Clicks
from interseg.networks.guided import encodes_once
from interseg.views import Box


class Scene(NamedTuple):
    """The objects of a round as a network sees them.

    Attributes:
        network: Network from photo (b, 3, h, w) and guidance (b, c, h, w) to logits (b, K, h, w),
            one of the object or one a class.
        images: (1, 3, h, w) of each object.
        maps: (1, c, h, w) of each object.
        restore: Function of each object from logits (1, K, h, w) of its view to those of its whole
            image, (1, K, H, W).
        clicks: (n, 4) of each object in pixels of the whole image.
        flip: Whether to average the probabilities with those of the mirrored view.
        ids: Ids of the objects, for messages.
        click_maps: Number of the first maps that encode clicks, which BRS may change.
        boxes: Part of each object's image that its view shows; None for the whole images.
        encoded: Encoding of each object's view by `encode_view`; None for a network without one.
    """

    network: nn.Module
    images: list[Tensor]
    maps: list[Tensor]
    restore: list[Callable[[Tensor], Tensor]]
    clicks: list[Clicks]
    flip: bool
    ids: list[int]
    click_maps: int = 2
    boxes: Sequence[Box] | None = None
    encoded: Sequence[dict[str, Tensor]] | None = None

    def groups(self, objects: Sequence[int]) -> list[list[int]]:
        """Group objects by the size of their view."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for i in objects:
            groups.setdefault(tuple(self.images[i].shape), []).append(i)
        return list(groups.values())

    def batch(self, group: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Join the photos and maps of one group."""
        images = torch.cat([self.images[i] for i in group])
        maps = torch.cat([self.maps[i] for i in group])
        return images, maps

    def encoding(self, group: Sequence[int]) -> dict[str, Tensor] | None:
        """Join the encodings of one group's photos; None for a network without one."""
        if self.encoded is None:
            return None
        parts = [self.encoded[i] for i in group]
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def clone(self) -> "Scene":
        """Copy the scene with its images, maps and encodings, all in the images' precision."""
        encoded = None
        if self.encoded is not None:
            precision = self.images[0].dtype
            encoded = [
                {key: value.to(precision, copy=True) for key, value in part.items()}
                for part in self.encoded
            ]
        images = [image.clone() for image in self.images]
        maps = [one.clone() for one in self.maps]
        return self._replace(images=images, maps=maps, encoded=encoded)

    def run(self, images: Tensor, maps: Tensor, encoded: dict[str, Tensor] | None = None) -> Tensor:
        """Compute the logits of photos and maps of one size.

        Args:
            images: (b, 3, h, w).
            maps: (b, c, h, w).
            encoded: Encoding of the photos; None to compute it, or for a network without one.
        """
        if not self.flip:
            return self._answer(images, maps, encoded)
        both = None if encoded is None else join_mirrored(encoded)
        logits = self._answer(
            torch.cat([images, images.flip(-1)]), torch.cat([maps, maps.flip(-1)]), both
        )
        return average_mirrored(logits)

    def _answer(self, images: Tensor, maps: Tensor, encoded: dict[str, Tensor] | None) -> Tensor:
        if encoded is None:
            return self.network(images, maps)
        return self.network(images, maps, encoded)

    def whole(self, group: Sequence[int], logits: Tensor) -> list[Tensor]:
        """Move the logits of a group to the frames of its objects' images, (K, H, W) each."""
        return [self.restore[i](logits[k : k + 1])[0] for k, i in enumerate(group)]

    def forward(self) -> list[Tensor]:
        """Compute the logits (K, H, W) of every object without refinement."""
        answers: dict[int, Tensor] = {}
        for group in self.groups(range(len(self.images))):
            logits = self.run(*self.batch(group), self.encoding(group))
            answers |= zip(group, self.whole(group, logits), strict=True)
        return [answers[i] for i in range(len(self.images))]


MIRRORED = "mirrored."
"""Prefix of the names in a mirrored photo's encoding."""


def encode_view(network: nn.Module, image: Tensor, flip: bool) -> dict[str, Tensor]:
    """Encode photos (B, 3, h, w), and with `flip` the mirrored ones too.

    Returns:
        The encodings by name; {} for a network that does not encode once.
    """
    if not encodes_once(network):
        return {}
    encode: Any = network.encode
    encoded: dict[str, Tensor] = encode(image)
    if flip:
        mirrored = encode(image.flip(-1))
        return encoded | {MIRRORED + key: value for key, value in mirrored.items()}
    return encoded


def join_mirrored(encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the encodings of photos (B, ...) and of the mirrored ones to (2 B, ...)."""
    straight = {key: value for key, value in encoded.items() if MIRRORED + key in encoded}
    return {key: torch.cat([value, encoded[MIRRORED + key]]) for key, value in straight.items()}


def average_mirrored(logits: Tensor) -> Tensor:
    """Average the probabilities of views and of the mirrored ones.

    Computed from logarithms: a sure answer keeps a gradient, which a refinement needs.

    Args:
        logits: (2 B, K, h, w), those of the mirrored views last.

    Returns:
        Logits (B, K, h, w) of the mean probabilities, of half precision in single.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):  # too coarse near probability 1
        logits = logits.float()
    straight, mirrored = logits.chunk(2)
    mirrored = mirrored.flip(-1)
    if logits.shape[1] > 1:
        return torch.logaddexp(straight.log_softmax(1), mirrored.log_softmax(1)) - math.log(2)
    inside, outside = (
        torch.logaddexp(logsigmoid(sign * straight), logsigmoid(sign * mirrored))
        for sign in (1, -1)
    )
    return inside - outside


def probabilities(logits: Tensor, dim: int) -> Tensor:
    """Compute the probability of the object from one logit, else those of classes along `dim`."""
    return logits.sigmoid() if logits.shape[dim] == 1 else logits.softmax(dim)
