"""ITIS on a network that encodes once: a photo or a zoomed box is encoded when it is new."""

import numpy as np
import pytest
import torch

from interseg.clicks.guidance import DiskGuidance
from interseg.clicks.layout import Click, pad_clicks
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import REFINERS
from interseg.inference.rounds import answer_together
from interseg.inference.session import open_sessions
from interseg.inference.zoom import ZoomIn
from interseg.networks.guided import GuidedNetwork
from interseg.networks.once_network import OnceNetwork
from lightning_modules.itis import ITIS


def once(refiner=None, **options):
    """ITIS on a network that encodes once, and what its encoder is shown: the sizes of photos."""
    torch.manual_seed(0)
    network = OnceNetwork("test_vit", None, width=32, outlines=8, blocks=1)
    inference = InferenceOptions(REFINERS[refiner]() if refiner else None, **options)
    module = ITIS(
        network,
        DiskGuidance(),
        mask_map="mask",
        long_side=[64, 64],
        inference=inference,
    ).eval()
    seen = []
    module.network.encoder.register_forward_hook(
        lambda encoder, inputs, output: seen.append(tuple(inputs[0].shape))
    )
    return module, seen


def photo(count=1):
    return torch.rand(count, 3, 80, 100, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("refiner", [None, "f_brs_b"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_session_encodes_its_photo_once_whatever_is_clicked_and_undone(refiner, flip):
    module, seen = once(refiner, flip=flip)
    (session,) = open_sessions(module, photo())
    once_a_photo = [(1, 3, 64, 64)] * (2 if flip else 1)
    assert seen == once_a_photo, (
        "resized to the network's view, and mirrored where both are answered"
    )
    for place in ((20, 30), (60, 80), (10, 90)):
        session.click(*place)
    session.undo()
    session.redo()
    session.click(70, 10, label=0)
    another = session.another()
    another.click(40, 40)
    session.start_from(np.zeros((80, 100), bool))
    session.click(5, 5)
    assert seen == once_a_photo


def test_a_changed_photo_is_encoded_for_every_energy():
    module, seen = once("rgb_brs")
    (session,) = open_sessions(module, photo())
    session.click(20, 30)
    session.click(21, 31, label=0)
    assert len(seen) > 1


def test_a_zoomed_box_is_encoded_when_it_is_new():
    module, seen = once(
        zoom=ZoomIn(min_crop=20, recompute=0.0)
    )  # kept as long as it holds the positive clicks
    mask = np.zeros((80, 100), bool)
    mask[20:40, 30:60] = True
    (session,) = open_sessions(module, photo(), masks=[mask])
    assert len(seen) == 1
    session.click(30, 40)
    assert len(seen) == 1, "the first click is answered from the whole photo"
    session.start_from(mask)
    answer_together([session], [Click(30, 40, 1, 0)])
    boxes = []
    for place, label in (((32, 45), 1), ((33, 50), 1), ((25, 41), 1), ((30, 42), 0)):
        before = session.state.get("box")
        session.click(*place, label)
        boxes.append((before, session.state["box"]))
    new = sum(before != box for before, box in boxes)
    assert 1 <= new < len(boxes)
    assert len(seen) == 1 + new
    assert seen[1:] == [(1, 3, 64, 64)] * new, "a box is shown in the network's view"
    session.undo()
    session.click(30, 43, label=0)
    assert len(seen) == 1 + new, "back at an earlier answer its box is still known"


def test_answers_from_what_was_encoded_are_those_of_the_whole_network():
    module, _ = once()
    images = photo(2)
    sessions = open_sessions(module, images)
    answer_together(sessions, [Click(20, 30, 1, 0), Click(50, 60, 1, 0)])
    answer_together(sessions, [Click(70, 80, 0, 0), Click(10, 10, 0, 0)])
    first = [session.steps[1].mask for session in sessions]
    with torch.no_grad():
        clicks = pad_clicks([session.clicks for session in sessions])
        plain = module.segment(
            {"image": images, "clicks": clicks, "previous": torch.from_numpy(np.stack(first))}
        )
    for session, logits in zip(sessions, plain, strict=True):
        assert torch.allclose(session.steps[-1].logits, logits, atol=1e-4)
    (alone,) = open_sessions(module, images[1:])
    answer_together([alone], [Click(50, 60, 1, 0)])
    answer_together([alone], [Click(10, 10, 0, 0)])
    assert np.allclose(alone.probabilities, sessions[1].probabilities, atol=1e-4)


def test_clicks_reach_the_view_in_their_places_and_the_mask_as_it_is():
    module, _ = once()
    shown = []
    module.network.decoder.register_forward_pre_hook(
        lambda decoder, inputs: shown.append(inputs[1])
    )
    mask = np.zeros((80, 100), bool)
    mask[40:, 50:] = True
    (session,) = open_sessions(module, photo(), masks=[mask])
    session.click(20, 75)
    (maps,) = shown
    disk = maps[0, 0].nonzero().float().mean(0)
    assert disk.tolist() == pytest.approx([(20.5) * 64 / 80 - 0.5, 75.5 * 64 / 100 - 0.5], abs=1)
    assert not maps[0, 1].any()
    assert maps[0, 2, 32:, 32:].all()
    assert maps[0, 2].sum() == 32 * 32


class OwnOnce(GuidedNetwork):
    """A network that encodes once as a user would write one: its methods alone say so."""

    def __init__(self):
        super().__init__()
        self.guidance_channels, self.encoded = 2, 0
        self.encoder, self.clicks = torch.nn.Conv2d(3, 1, 1), torch.nn.Conv2d(2, 1, 1)

    def features(self, image):
        return [self.encoder(image)]

    def encode(self, image, features=None):
        self.encoded += len(image)
        return {"photo": (features or self.features(image))[0]}

    def forward(self, image, guidance, encoded=None, features=None):
        known = self.encode(image, features) if encoded is None else encoded
        return known["photo"] + self.clicks(guidance)


@pytest.mark.parametrize("flip", [False, True])
def test_a_users_network_that_encodes_is_run_once_a_photo(flip):
    torch.manual_seed(0)
    module = ITIS(OwnOnce(), inference=InferenceOptions(flip=flip)).eval()
    (session,) = open_sessions(module, torch.full((1, 3, 40, 50), 0.4))
    session.click(10, 20)
    session.click(30, 40, 0)
    assert module.network.encoded == 1 + flip
    assert [type(one).__name__ for one in module.contributions][-1] == "Encoding"
    groups = module.network.parameters_by_origin()
    assert {origin: len(group) for origin, group in groups.items()} == {
        "encoder": 0,
        "clicks": 0,
        "decoder": 4,
    }
    assert module.network.refinement_points() == {}
