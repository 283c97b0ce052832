"""A small network of ours, scenes and batches for it."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from interseg.clicks.layout import clicks_of
from interseg.inference.scene import Scene
from interseg.networks.click_network import ClickNetwork

ENCODER = "tu-test_efficientnet"
"""timm's smallest encoder, from a random start, for networks that are played and trained but need
no features."""


class Small(nn.Module):
    """Two branches that meet, one activation used twice and one in place.

    What a rerun has to see through.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(5, 6, 3, padding=1)
        self.deep = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8))
        self.skip = nn.Conv2d(6, 4, 1)
        self.act = nn.Tanh()
        self.inplace = nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Conv2d(12, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 1, 1))

    def refinement_points(self):
        return {"b": self.deep, "c": self.head[0]}

    def forward(self, image, guidance):
        x = self.act(self.stem(torch.cat([image, guidance], 1)))
        skip = self.inplace(self.skip(x))
        deep = nn.functional.interpolate(self.act(self.deep(x)), x.shape[-2:], mode="bilinear")
        return 4 * self.head(torch.cat([deep, skip], 1))


def network(seed=0):
    torch.manual_seed(seed)
    return Small().double().eval()


def clicks(seed, count=5, height=20, width=24):
    rng = np.random.default_rng(seed)
    pixels = rng.choice(height * width, count, replace=False)
    labels = np.r_[1, rng.integers(0, 2, count - 1)]
    return clicks_of(np.column_stack([pixels // width, pixels % width, labels]).tolist())


def scene(net, objects=4, flip=False, sizes=((20, 24),)):
    generator = torch.Generator().manual_seed(1)
    shapes = [sizes[i % len(sizes)] for i in range(objects)]
    return Scene(
        net,
        [torch.rand(1, 3, *s, generator=generator, dtype=torch.float64) for s in shapes],
        [torch.rand(1, 2, *s, generator=generator, dtype=torch.float64) for s in shapes],
        [lambda logits: logits] * objects,
        [clicks(i, 3 + i, *s) for i, s in enumerate(shapes)],
        flip,
        list(range(objects)),
    )


def batch(size=(40, 60)):
    generator = torch.Generator().manual_seed(2)
    rows = [
        [[20, 30, 1, 0], [5, 5, 0, 0], [-1, -1, -1, -1]],
        [[18, 12, 1, 0], [30, 50, 0, 0], [22, 16, 1, 0]],
    ]
    previous = torch.zeros(2, *size, dtype=torch.bool)
    previous[0, 15:25, 25:38] = previous[1, 14:24, 8:20] = True
    return {
        "id": torch.tensor([4, 9]),
        "image": torch.rand(2, 3, *size, generator=generator).double(),
        "clicks": torch.tensor(rows),
        "previous": previous,
        "states": [{}, {}],
    }


def encode(view):
    maps = torch.zeros(len(view["image"]), 2, *view["image"].shape[-2:], dtype=torch.float64)
    for i, rows in enumerate(view["clicks"].tolist()):
        for y, x, label, _ in rows:
            if label >= 0:
                maps[i, 1 - label, y, x] = 5
    return maps


def refined(refiner, given, states=None):
    """Answers and states of a round; the states before it stay as they were."""
    states = [{} for _ in given.clicks] if states is None else states
    before = deepcopy(states)
    answers, after = refiner(given, states)
    assert same(states, before)
    return answers, after


def answered(predictor, given):
    """A predictor's answer; the states before it stay as they were."""
    before = deepcopy(given["states"])
    answer = predictor(given)
    assert same(given["states"], before)
    return answer


def same(a, b):
    """Test whether two lists of states hold the same, tensors bit by bit."""
    if len(a) != len(b) or any(one.keys() != other.keys() for one, other in zip(a, b, strict=True)):
        return False
    pairs = [(one[key], other[key]) for one, other in zip(a, b, strict=True) for key in one]
    return all(torch.equal(v, w) if isinstance(v, torch.Tensor) else v == w for v, w in pairs)


def click_network(channels=2):
    """A click network with the small encoder."""
    return ClickNetwork(
        encoder=ENCODER,
        pretrained=None,
        guidance_channels=channels,
        options={"decoder_channels": 16},
    )
