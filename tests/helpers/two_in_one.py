"""Two-in-one on a tiny network: its batches, and what stands for a Trainer."""

import torch

from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.networks.two_in_one_network import TwoInOneNetwork
from tests.helpers.small_network import ENCODER


def network(**options):
    torch.manual_seed(0)
    return TwoInOneNetwork(
        ENCODER, None, **{"width": 16, "norm": "group", "crop_size": 16} | options
    )


def object_mask(height=64, width=96):
    mask = torch.zeros(height, width, dtype=torch.uint8)
    mask[16:44, 20:60] = 1
    return mask


def batch(*clicks, size=(64, 96), **more):
    """One object a list of clicks."""
    torch.manual_seed(1)
    masks = torch.stack([object_mask(*size)] * len(clicks))
    image = torch.rand(len(clicks), 3, *size) * 0.3 + masks[:, None] * 0.5
    rows = pad_clicks([clicks_of(c) for c in clicks])
    given = {
        "id": torch.arange(len(clicks)),
        "image": image,
        "mask": masks,
        "clicks": rows,
        "states": [{} for _ in clicks],
    }
    return given | {"to_source": torch.zeros(len(clicks), *size, 2, dtype=torch.int16)} | more


class Fitting:
    """Part of a Trainer that the module reads."""

    estimated_stepping_batches = 100
    barebones = False
    global_step = 0
    strategy = type("Alone", (), {"reduce": staticmethod(lambda value, reduce_op: value)})()

    def __init__(self, current_epoch):
        self.current_epoch = current_epoch


def with_distance(given):
    from interseg.distance import distance_to

    return given | {
        "distance": torch.stack(
            [torch.from_numpy(distance_to(m.numpy() == 1)) for m in given["mask"]]
        )
    }
