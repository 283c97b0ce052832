"""Undo is exact for every method and every test-time option.

A session is what its clicks alone give, whatever was undone.
"""

import numpy as np
import pytest
import torch
from torch import nn

from interseg.clicks.layout import BOUNDARY, REGION, Click
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import REFINERS
from interseg.inference.rounds import answer_together
from interseg.inference.session import open_sessions
from interseg.inference.zoom import ZoomIn
from interseg.networks.brs_network import BRSNetwork
from interseg.networks.click_network import ClickNetwork
from interseg.networks.once_network import OnceNetwork
from interseg.networks.ritm_network import RITMNetwork
from interseg.networks.simpleclick_network import SimpleClickNetwork
from interseg.networks.two_in_one_network import TwoInOneNetwork
from lightning_modules.brs import BRS
from lightning_modules.classical import Classical
from lightning_modules.converted import ConvertedNetwork
from lightning_modules.external import External
from lightning_modules.itis import ITIS
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.hrnet import TINY_HRNET
from tests.helpers.others import Network, Remembering, Squares
from tests.helpers.small_network import ENCODER

ZOOM = ZoomIn(long_side=48, min_crop=16)


def itis(channels=2, long_side=None, mask_map="distance", **options):
    network = ClickNetwork(
        encoder=ENCODER,
        pretrained=None,
        guidance_channels=channels,
        new_channels="mean",
        options={"decoder_channels": 16},
    )
    inference = InferenceOptions(**options)
    return ITIS(
        network,
        mask_map=mask_map,
        long_side=long_side,
        inference=inference,
    )


def once(channels=3, refiner=None, **options):
    network = OnceNetwork(
        "test_vit", None, guidance_channels=channels, width=32, outlines=8, blocks=1
    )
    chosen = InferenceOptions(refiner=REFINERS[refiner]() if refiner else None, **options)
    if chosen.refiner:
        chosen.refiner.evaluations = chosen.refiner.iterations = 3
    return ITIS(network, mask_map="mask", long_side=[48, 64], inference=chosen)


def recipe(network, refiner=None, **options):
    """RITM's or SimpleClick's network."""
    chosen = REFINERS[refiner]() if refiner else None
    if chosen:
        chosen.evaluations = chosen.iterations = 3
    return ITIS(
        network,
        mask_map="probabilities",
        inference=InferenceOptions(refiner=chosen, **options),
    )


def ritm(**options):
    return recipe(RITMNetwork(TINY_HRNET, None, norm="group"), **options)


def simpleclick(**options):
    return recipe(
        SimpleClickNetwork("test_vit", None, widths=(16, 16, 16, 16), width=16), **options
    )


def refined(name, **options):
    refiner = REFINERS[name]()
    refiner.evaluations, refiner.iterations = 3, 3
    return itis(refiner=refiner, **options)


def brs():
    return BRS(
        BRSNetwork(ENCODER, None, width=8, norm="group"),
        inference=InferenceOptions(REFINERS["f_brs_b"]()),
    )


def two_in_one(guidance_channels):
    network = TwoInOneNetwork(
        ENCODER,
        None,
        output_stride=16,
        width=16,
        crop_size=16,
        guidance_channels=guidance_channels,
        norm="group",
    )
    return TwoInOne(network, long_side=48)


def converted(classes):
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, classes, 3, padding=1)
    )
    return ConvertedNetwork(network, inference=InferenceOptions(REFINERS["brs"]()))


METHODS = {
    "itis": itis,
    "mask channel, reduced": lambda: itis(3, 48),
    "probabilities, reduced": lambda: itis(3, 48, mask_map="probabilities"),
    "zoom": lambda: itis(zoom=ZOOM),
    "cascade": lambda: itis(3, 48, mask_map="probabilities", cascade=2),
    "zoom, probabilities": lambda: itis(3, mask_map="probabilities", zoom=ZOOM),
    "zoom and flip, mask channel": lambda: itis(3, zoom=ZOOM, flip=True),
    **{name: lambda name=name: refined(name) for name in REFINERS},
    "rgb_brs, zoom": lambda: refined("rgb_brs", zoom=ZOOM),
    "f_brs_b, zoom and flip": lambda: refined("f_brs_b", zoom=ZOOM, flip=True),
    "once": once,
    "once, zoom and flip": lambda: once(zoom=ZOOM, flip=True),
    "once, f_brs_a, zoom and flip": lambda: once(refiner="f_brs_a", zoom=ZOOM, flip=True),
    **{
        f"once, {name}": lambda name=name: once(2, name)
        for name in ("brs", "rgb_brs", "f_brs_b", "f_brs_c")
    },
    **{make.__name__: make for make in (ritm, simpleclick)},
    **{
        f"{make.__name__}, brs": lambda make=make: make(refiner="brs")
        for make in (ritm, simpleclick)
    },
    **{
        f"{make.__name__}, {name}, zoom and flip": lambda make=make, name=name: make(
            refiner=name, zoom=ZOOM, flip=True
        )
        for make in (ritm, simpleclick)
        for name in ("f_brs_a", "f_brs_b")
    },
    "brs network": brs,
    "two_in_one": lambda: two_in_one(1),
    "two_in_one, signed": lambda: two_in_one(2),
    "converted": lambda: converted(1),
    "converted, classes": lambda: converted(3),
    "random walker": lambda: Classical("random_walker"),
    "external": lambda: External(Squares()),
    "external, probabilities": lambda: External(Squares(gives="probabilities"), "probabilities"),
    "external, with a state": lambda: External(Remembering()),
    "external, a network": lambda: External(Network()),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_session_is_what_its_clicks_alone_give(name):
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    method, image = (
        METHODS[name]().eval(),
        torch.rand(3, 56, 64, generator=torch.Generator().manual_seed(3)),
    )
    image[:, 10:30, 12:40] += 1
    image = image / 2

    def opened():
        (session,) = open_sessions(method, image[None])
        return session

    def draw(number):
        label = 1 if number == 0 else int(rng.integers(max(2, method.outputs)))
        kind = BOUNDARY if name == "two_in_one" and number else REGION
        return Click(
            int(rng.integers(10, 30)),
            int(rng.integers(12, 40)),
            1 if kind == BOUNDARY else label,
            kind,
        )

    session, kept, undone, answers = opened(), [], [], set()
    for action in (
        "click",
        "click",
        "undo",
        "redo",
        "click",
        "undo",
        "undo",
        "click",
        "redo",
        "click",
        "click",
        "reset",
        "click",
        "click",
    ):
        if action == "click":
            click = draw(len(kept))
            answer_together([session], [click])
            kept, undone = [*kept, click], []
        elif action == "undo":
            session.undo()
            kept, undone = kept[:-1], [*undone, kept[-1]]
        elif action == "redo" and undone:
            session.redo()
            kept, undone = [*kept, undone[-1]], undone[:-1]
        elif action == "reset":
            session.reset()
            kept = []
        answers.add(session.probabilities.tobytes())
    fresh = opened()
    for click in kept:
        answer_together([fresh], [click])
    assert np.array_equal(session.probabilities, fresh.probabilities)
    assert np.array_equal(session.mask, fresh.mask)
    assert_equal_states(session.state, fresh.state)
    assert ("counts" in session.state) == bool(method.inference.refiner), (
        "random labels need refinement"
    )
    while len(
        session.clicks
    ):  # back to the first answers, which the clicks after them have not changed
        session.undo()
        fresh.undo()
        assert np.array_equal(session.probabilities, fresh.probabilities)
        assert_equal_states(session.state, fresh.state)
    assert len(answers) > 3


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict) and any(
            isinstance(part, torch.Tensor) for part in value.values()
        ):
            assert_equal_states(value, other[key])
            continue
        tensors = isinstance(value, torch.Tensor | np.ndarray)
        same = np.array_equal(value, other[key]) if tensors else value == other[key]
        assert same, key
