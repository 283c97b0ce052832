"""Photos and clicks that other people's models are played with."""

import torch

from interseg.clicks.layout import Click
from tests.helpers.drawing import draw

CLICKS = [Click(30, 24), Click(12, 70, 0), Click(40, 60), Click(5, 5, 0)]


def photos(count=1, width=96):
    return torch.stack(
        [
            torch.from_numpy(draw(i, width=width)[0]).permute(2, 0, 1).float() / 255
            for i in range(count)
        ]
    )
