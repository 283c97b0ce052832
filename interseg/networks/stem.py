"""The first convolution of a network, widened to read guidance beside the photo."""

import copy

from torch import Tensor, nn

from interseg.errors import InputError


class GuidedConvolution(nn.Module):
    """A network's first convolution, and one of its kind for the guidance channels, summed.

    That is one convolution over all channels, with the guidance's weights as a parameter of their own: they start from zero or
    from the mean of RGB, and take the learning rate of new layers while the pretrained ones keep theirs.

    Args:
        photo: the pretrained convolution over 3 channels.
        channels: of guidance.
        start: "zero" or "mean" of the RGB weights.
    """

    def __init__(self, photo: nn.Conv2d, channels: int, start: str = "zero") -> None:
        super().__init__()
        self.photo = photo
        self.guidance = copy.deepcopy(photo)  # keeps timm's padding of the same convolution
        self.guidance.in_channels = channels
        self.guidance.bias = None
        mean = photo.weight.detach().mean(1, keepdim=True).repeat(1, channels, 1, 1)
        self.guidance.weight = nn.Parameter(mean if start == "mean" else mean * 0)

    def forward(self, x: Tensor) -> Tensor:
        """Photo and guidance (B, 3 + channels, H, W) to features."""
        return self.photo(x[:, :3]) + self.guidance(x[:, 3:])


def widen_first_convolution(module: nn.Module, channels: int, start: str = "zero") -> GuidedConvolution:
    """Replace the convolution that reads the photo, in place; raises `InputError` where a network has none with 3 input channels."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.in_channels == 3 and child.groups == 1:
                widened = GuidedConvolution(child, channels, start)
                setattr(parent, name, widened)
                return widened
    raise InputError("the encoder has no convolution with 3 input channels; give an encoder that reads RGB")
