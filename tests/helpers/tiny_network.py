"""A click network of 200 weights, for commands whose outcome is not about their network."""

import torch
from torch import Tensor, nn

from interseg.networks.click_network import ClickNetwork
from interseg.networks.norms import KeepsNorms


class TinyNetwork(ClickNetwork):
    """Two convolutions on photo and guidance."""

    def __init__(self, width: int = 4) -> None:
        KeepsNorms.__init__(self)
        self.guidance_channels = 2
        self.first, self.last = nn.Conv2d(5, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: Tensor, guidance: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(torch.cat([image, guidance], 1))))

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        return {"clicks": list(self.first.parameters()), "decoder": list(self.last.parameters())}
