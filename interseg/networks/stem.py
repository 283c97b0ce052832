"""Convolutions widened by guidance channels: the first of a network, or of a refinement."""

import copy

from torch import Tensor, nn

from interseg.errors import InputError


class GuidedConvolution(nn.Module):
    """The sum of a convolution and of one of its kind for the guidance channels.

    It equals one convolution over all channels, with the guidance's weights as a separate
    parameter. These weights start from zero, from the mean of the others, or as in a new
    convolution over only these channels ("own", which is larger if the others are many). They can
    have the learning rate of new layers while pretrained ones keep theirs.

    Args:
        photo: Convolution over the first channels, 3 for a photo.
        channels: Number of guidance channels.
        start: "zero", "mean" or "own".
    """

    def __init__(self, photo: nn.Conv2d, channels: int, start: str = "zero") -> None:
        super().__init__()
        self.photo = photo
        self.guidance = copy.deepcopy(photo)  # keeps timm's padding of the same convolution
        self.guidance.in_channels = channels
        self.guidance.bias = None
        mean = photo.weight.detach().mean(1, keepdim=True).repeat(1, channels, 1, 1)
        self.guidance.weight = nn.Parameter(mean if start == "mean" else mean * 0)
        if start == "own":
            self.guidance.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Compute features of (B, photo's channels + guidance channels, H, W)."""
        split = self.photo.in_channels
        return self.photo(x[:, :split]) + self.guidance(x[:, split:])


def widen_first_convolution(
    module: nn.Module, channels: int, start: str = "zero"
) -> GuidedConvolution:
    """Replace the convolution that reads the photo, in place.

    Raises:
        InputError: A network without a convolution over 3 channels.
    """
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.in_channels == 3 and child.groups == 1:
                widened = GuidedConvolution(child, channels, start)
                setattr(parent, name, widened)
                return widened
    raise InputError(
        "the encoder has no convolution with 3 input channels; give an encoder that reads RGB"
    )
