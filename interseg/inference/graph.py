"""A method's network as two ONNX graphs with SAM's signature: one a photo, one a click.

Sessions compute a view's size, its clicks and masks, and guidance maps outside the network. Here
they are tensors whose sizes are only known when the graph runs. Resizing is a product with a matrix
of weights for rows and one for columns, by the formulas of torch's kernels. So a graph's numbers
equal the session's up to the order of sums.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from interseg.clicks.guidance import (
    GAUSSIAN_PEAK,
    DiskGuidance,
    DistanceGuidance,
    FlooredGaussianGuidance,
    GaussianGuidance,
    Guidance,
)
from interseg.errors import InputError
from interseg.inference.onnx_pair import FRAME, LOW
from interseg.views import OUTSIDE, Side

FAR = 1e9
"""Squared distance larger than any in an image."""


def index(count: Tensor) -> Tensor:
    """Count 0, 1, ... as float32."""
    return torch.arange(count, dtype=torch.float32, device=count.device)  # type: ignore[call-overload]


def smooth_weights(out: Tensor, size: Tensor, columns: Tensor) -> Tensor:
    """Compute the weights (out, columns) of antialiased resizing of the first `size` columns."""
    scale = size.float() / out.float()
    places, reach = index(columns)[None], scale.clamp_min(1)
    centre = (index(out)[:, None] + 0.5) * scale
    away = ((places + 0.5 - centre) / reach).abs()
    weights = (1 - away).clamp_min(0) * (places < size)
    return weights / weights.sum(1, keepdim=True)


def linear_weights(out: Tensor, size: Tensor, columns: Tensor) -> Tensor:
    """Compute the weights (out, columns) of bilinear resizing of the first `size` columns."""
    source = ((index(out) + 0.5) * (size.float() / out.float()) - 0.5).clamp_min(0)
    first = torch.minimum(source.floor(), size.float() - 1)
    share, second = source - first, torch.minimum(first + 1, size.float() - 1)
    places = index(columns)[None]
    from_first = (places == first[:, None]) * (1 - share)[:, None]
    from_second = (places == second[:, None]) * share[:, None]
    return from_first + from_second


def resize_mask(mask: Tensor, size: tuple[Tensor, Tensor], view: tuple[Tensor, Tensor]) -> Tensor:
    """Resize the first (height, width) pixels of a mask (S, S) to a view as sessions do."""
    side = torch._shape_as_tensor(mask)[0]
    down, across = (smooth_weights(view[axis], size[axis], side) for axis in (0, 1))
    return down @ mask @ across.T


def squared_distance(y: Tensor, x: Tensor, view: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the squared distances (n, h, w) from clicks (n,) to every pixel."""
    down, across = index(view[0])[None] - y[:, None], index(view[1])[None] - x[:, None]
    return (down**2)[:, :, None] + (across**2)[:, None]


def distance_to_mask(mask: Tensor, truncation: float = 255.0) -> Tensor:
    """Compute the distance (h, w) to a mask, first along rows, then along columns.

    It is cut and scaled as by `interseg.clicks.guidance.mask_distance`.
    """
    height, width = torch._shape_as_tensor(mask)[0], torch._shape_as_tensor(mask)[1]
    across = (index(width)[:, None] - index(width)[None]) ** 2
    nearest = (across[None] + (FAR * (1 - mask))[:, None]).amin(2)
    down = (index(height)[:, None] - index(height)[None]) ** 2
    squares = (down[:, :, None] + nearest[None]).amin(1)
    return squares.sqrt().clamp_max(truncation) / truncation


def guidance_graph(guidance: Guidance) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function of an encoding: from squared distances and counted clicks to a map.

    The function takes the squared distances (n, h, w) to clicks and a bool (n,), True for clicks
    that count, and returns a map (h, w).

    Raises:
        InputError: An encoding without a graph.
    """
    if isinstance(guidance, FlooredGaussianGuidance):
        inner, floor = guidance_graph(guidance.clipped), guidance.floor
        return lambda squares, counts: inner(squares, counts).clamp_min(floor)
    if isinstance(guidance, GaussianGuidance):
        std, clip = guidance.std, guidance.clip

        def gaussians(squares: Tensor, counts: Tensor) -> Tensor:
            values = GAUSSIAN_PEAK * torch.exp(-squares / (2 * std**2))
            return (values * ((squares <= clip**2) & counts[:, None, None])).amax(0)

        return gaussians
    if isinstance(guidance, DiskGuidance):
        radius = guidance.radius

        def disks(squares: Tensor, counts: Tensor) -> Tensor:
            inside = (squares <= radius**2) & counts[:, None, None]
            return inside.float().amax(0)

        return disks
    if isinstance(guidance, DistanceGuidance):
        truncation, inverse = guidance.truncation, guidance.inverse

        def distances(squares: Tensor, counts: Tensor) -> Tensor:
            known = torch.where(counts[:, None, None], squares, torch.full_like(squares, FAR))
            nearest = known.amin(0)
            scaled = nearest.sqrt().clamp_max(truncation) / truncation
            return 1 - scaled if inverse else scaled

        return distances
    raise InputError(
        f"{type(guidance).__name__} cannot be exported; Gaussians, disks and distances can"
    )


class Encoder(nn.Module):
    """The graph that runs once a photo: (H, W, 3) in [0, 255] to `image_embeddings`.

    The embeddings are all results of the network's `encode`, in one row; for a network that cannot
    be split, they are the view (1, 3, h, w) itself.
    """

    def __init__(self, network: nn.Module, long_side: Side, split: bool) -> None:
        super().__init__()
        self.network, self.long_side, self.split = network if split else None, long_side, split

    def forward(self, input_image: Tensor) -> Tensor:
        """Reduce the photo to the view, and encode it."""
        shape = torch._shape_as_tensor(input_image)
        height, width = self._view(shape[0], shape[1])
        down = smooth_weights(height, shape[0], shape[0])
        across = smooth_weights(width, shape[1], shape[1])
        image = (down @ (input_image.permute(2, 0, 1) / 255) @ across.T)[None]
        if self.network is None:
            return image
        assert not isinstance(self.long_side, int | None)
        encoded = self.network.encode(image.view(1, 3, *self.long_side))  # type: ignore[operator]
        return torch.cat([encoded[key].flatten(1) for key in sorted(encoded)], 1)

    def _view(self, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        if self.long_side is None:
            return height, width
        if not isinstance(self.long_side, int):
            return torch.tensor(self.long_side[0]), torch.tensor(self.long_side[1])
        longest = torch.maximum(height, width)
        sides = []
        for side in (height, width):
            scaled = torch.round(side.float() * self.long_side / longest.float())
            reduced = scaled.long().clamp_min(1)
            sides.append(torch.where(longest > self.long_side, reduced, side))
        return sides[0], sides[1]


class Decoder(nn.Module):
    """The graph that runs once a click, with SAM's signature.

    Args:
        network: Network of photo and guidance.
        guidance: Encoding of the clicks.
        previous: Encoding of the previous mask: "none", "mask", "distance" or "probabilities".
        view: (height, width) of the view if it is fixed.
        shapes: Shapes of the parts of the embedding, by name; None for a network that cannot be
            split.
    """

    def __init__(
        self,
        network: nn.Module,
        guidance: Guidance,
        previous: str,
        view: tuple[int, int] | None,
        shapes: Mapping[str, tuple[int, ...]] | None,
    ) -> None:
        super().__init__()
        self.network, self.encode_clicks = network, guidance_graph(guidance)
        self.previous, self.view, self.shapes = previous, view, shapes

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Answer the clicks.

        Returns:
            Logits (1, 1, H, W), the IoU (1, 1) that the network itself expects, and logits
            (1, 1, 256, 256) in SAM's square.
        """
        size = orig_im_size[0].long(), orig_im_size[1].long()
        if self.view is None:
            shape = torch._shape_as_tensor(image_embeddings)
            view = shape[2], shape[3]
        else:  # the embeddings are one row
            view = torch.tensor(self.view[0]), torch.tensor(self.view[1])
        y, x = self._in_view(point_coords[0], orig_im_size, view)
        squares = squared_distance(y, x, view)
        maps = [self.encode_clicks(squares, point_labels[0] == label) for label in (1, 0)]
        if self.previous != "none":
            maps.append(self._previous(mask_input[0, 0], has_mask_input, orig_im_size, view))
        logits = self._logits(image_embeddings, torch.stack(maps)[None])[0, 0]
        shown = torch._shape_as_tensor(logits)
        down = linear_weights(size[0], shown[0], shown[0])
        across = linear_weights(size[1], shown[1], shown[1])
        masks = down @ logits @ across.T
        unused: Tensor | int = 0
        if self.previous == "none":  # clients give these inputs also when they have no effect
            unused = 0 * (mask_input.sum() + has_mask_input.sum())
        low = self._low(masks, orig_im_size)
        return (masks + unused)[None, None], expected_iou(masks)[None], low[None, None]

    def _logits(self, embedding: Tensor, guidance: Tensor) -> Tensor:
        if self.shapes is None:
            return self.network(embedding, guidance)
        lengths = [int(torch.tensor(shape).prod()) for shape in self.shapes.values()]
        parts = embedding.split(lengths, 1)
        encoded = {
            key: part.view(1, *shape)
            for part, (key, shape) in zip(parts, self.shapes.items(), strict=True)
        }
        assert self.view is not None
        photo = embedding.new_zeros(1, 3, *self.view)  # the network reads only its size
        return self.network(photo, guidance.view(1, -1, *self.view), encoded)

    def _in_view(
        self, points: Tensor, size: Tensor, view: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Find the rows and columns of the view's pixels that cover the clicked pixels' centres.

        Points are SAM's x and y.
        """
        frame = torch.floor(size * (FRAME / size.max()) + 0.5).clamp_min(1)
        found = []
        for axis in (0, 1):
            place = points[:, 1 - axis] * (size[axis] / frame[axis])
            pixel = torch.floor(place + 0.01)  # whole numbers come rounded
            pixel = torch.minimum(pixel.clamp_min(0), size[axis] - 1)
            scaled = torch.floor((pixel + 0.5) * view[axis].float() / size[axis])
            found.append(torch.minimum(scaled, view[axis].float() - 1))
        return found[0], found[1]

    def _previous(
        self, mask: Tensor, given: Tensor, size: Tensor, view: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Return the map (h, w) of the previous mask, from logits in SAM's square."""
        side = torch._shape_as_tensor(mask)[0]
        inside = torch.floor(size * side.float() / size.max() + 0.5).clamp_min(1).long()
        known = mask.sigmoid() if self.previous == "probabilities" else (mask > 0).float()
        before = resize_mask(known * given, (inside[0], inside[1]), view)
        if self.previous == "probabilities":
            return before
        binary = (before >= 0.5).float()
        return distance_to_mask(binary) if self.previous == "distance" else binary

    def _low(self, masks: Tensor, size: Tensor) -> Tensor:
        """Compute the logits (256, 256) of SAM's square, background outside the photo."""
        inside = torch.floor(size * LOW / size.max() + 0.5).clamp_min(1).long()
        shape = torch._shape_as_tensor(masks)
        rows = linear_weights(inside[0], shape[0], shape[0])
        columns = linear_weights(inside[1], shape[1], shape[1])
        low = rows @ masks @ columns.T - OUTSIDE
        down, across = placing_weights(inside[0]), placing_weights(inside[1])
        return down @ low @ across.T + OUTSIDE


def placing_weights(count: Tensor) -> Tensor:
    """Compute the weights (256, count) that keep the first `count` rows and set the others to 0."""
    places: Any = torch.arange(LOW, dtype=torch.float32)
    return (places[:, None] == index(count)[None]).float()


def expected_iou(logits: Tensor) -> Tensor:
    """Compute the IoU (1,) that a mask is expected to have by its own probabilities."""
    share, mask = logits.sigmoid(), (logits > 0).float()
    union = (mask + share * (1 - mask)).sum()
    return (share * mask).sum() / union.clamp_min(1e-6)[None]
