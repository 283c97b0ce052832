import numpy as np
import pytest
import torch

from configs import build, load, resolve
from interseg.clicks.guidance import DiskGuidance
from interseg.clicks.layout import Click, clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import REFINERS
from interseg.inference.rounds import answer_together
from interseg.inference.session import open_sessions
from interseg.inference.zoom import ZoomIn
from interseg.networks.click_network import ClickNetwork
from interseg.networks.guided import GuidedNetwork
from interseg.networks.once_network import OnceNetwork
from interseg.networks.stem import GuidedConvolution
from interseg.views import reduce_size, scale_clicks
from lightning_modules.base import check_loss
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.small_network import ENCODER


def network(channels=2):
    return ClickNetwork(
        encoder=ENCODER,
        pretrained=None,
        guidance_channels=channels,
        options={"decoder_channels": 16},
    )


def batch(**more):
    clicks = pad_clicks([clicks_of([(3, 4, 1)]), clicks_of([(9, 9, 0)])])
    return {
        "id": torch.tensor([4, 7]),
        "image": torch.rand(2, 3, 64, 96),
        "mask": torch.ones(2, 64, 96).byte(),
        "clicks": clicks,
    } | more


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match="the batch has no 'clicks'"):
        ITIS(network()).segment({"image": torch.rand(1, 3, 64, 64)})
    with pytest.raises(ValueError, match="no 'previous'"):
        ITIS(network(3)).segment(batch())


def test_the_mask_channel_is_read():
    torch.manual_seed(0)
    module = ITIS(network(3)).eval()
    torch.nn.init.normal_(
        next(
            m for m in module.network.encoder.modules() if isinstance(m, GuidedConvolution)
        ).guidance.weight
    )
    empty = torch.zeros(2, 64, 96, dtype=torch.bool)
    assert not torch.equal(
        module.segment(batch(previous=empty, image=torch.zeros(2, 3, 64, 96))),
        module.segment(batch(previous=~empty, image=torch.zeros(2, 3, 64, 96))),
    )


@pytest.mark.parametrize("channels", [2, 3])
def test_a_third_channel_is_the_mask_before(channels):
    module = ITIS(network(channels), mask_map="probabilities")
    assert module.uses_previous_mask == module.soft_previous == (channels == 3)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(InputError, match=r"4 guidance channels; give it 2 for clicks, or 3"):
        ITIS(network(4))


def test_large_images_are_reduced_for_the_network_and_answered_in_full_size():
    module = ITIS(network(), guidance=DiskGuidance(), long_side=48).eval()
    seen = []
    module.network.register_forward_pre_hook(
        lambda _, inputs: seen.append([tuple(i.shape[-2:]) for i in inputs])
    )
    assert module.segment(batch()).shape == (2, 1, 64, 96)
    assert seen == [[(32, 48), (32, 48)]]
    module.train()
    module.segment(batch())
    assert seen[1] == [(64, 96), (64, 96)]


def test_clicks_scale_to_the_pixel_that_covers_them():
    clicks = torch.tensor([[[0, 0, 1, 0], [63, 95, 0, 0], [33, 50, 1, 1], [-1, -1, -1, -1]]])
    scaled = scale_clicks(clicks, torch.Size((64, 96)), (32, 48))
    assert scaled.tolist() == [[[0, 0, 1, 0], [31, 47, 0, 0], [16, 25, 1, 1], [-1, -1, -1, -1]]]
    assert reduce_size(torch.Size((64, 96)), 96) is None
    assert reduce_size(torch.Size((500, 333)), 100) == (100, 67)
    assert reduce_size(torch.Size((500, 333)), [64, 80]) == (64, 80)
    assert reduce_size(torch.Size((64, 80)), [64, 80]) is None
    for side in (0, [64], [64, 0]):
        with pytest.raises(InputError, match=r"long_side is .*; give a number of pixels"):
            ITIS(network(), long_side=side)


def test_encoder_clicks_and_decoder_have_their_own_learning_rates_and_the_papers_steps():
    optimisation = build(
        resolve(load(["itis.yaml"], ["model.optimisation.rates.clicks=1000"]))["model"][
            "optimisation"
        ]
    )
    module = ITIS(network(), optimisation=optimisation)
    module.trainer = type("T", (), {"estimated_stepping_batches": 100, "current_epoch": 0})()
    optimizer = module.configure_optimizers()["optimizer"]
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([1e-5, 1e-2, 1e-3])
    assert [p.shape[1] for p in optimizer.param_groups[1]["params"]] == [2]
    counted = sum(p.numel() for g in optimizer.param_groups for p in g["params"])
    assert counted == sum(p.numel() for p in module.parameters() if p.requires_grad)
    factors = []
    for epoch in (0, 9, 10, 14, 15, 19):
        module.trainer.current_epoch = epoch
        factors.append(optimisation.factor(module, 0))
    assert factors == [1.0, 1.0, 0.1, 0.1, 0.03, 0.03]
    cosine = Optimisation(schedule="cosine", warmup=9)
    assert cosine.factor(module, 0) == pytest.approx(0.1)
    assert cosine.factor(module, 50) == pytest.approx(0.5)
    assert cosine.factor(module, 100) == pytest.approx(0)


def test_a_schedule_begins_anew_with_a_methods_next_phase():
    module = type(
        "M",
        (),
        {
            "trainer": type("T", (), {"estimated_stepping_batches": 160, "max_epochs": 16})(),
            "current_epoch": 0,
        },
    )()
    schedule = Optimisation(schedule="cosine", warmup=4, anew=[10])
    factors = {}
    for epoch, step in ((0, 0), (5, 50), (9, 99), (10, 100), (10, 104), (13, 130), (15, 159)):
        module.current_epoch = epoch
        factors[step] = schedule.factor(module, step)
    assert factors[0] == factors[100] == pytest.approx(0.2)
    assert factors[50] == factors[130] == pytest.approx(0.5)
    assert factors[99] < 0.01
    assert factors[159] < 0.01
    assert factors[104] > 0.95


def test_unknown_optimisers_schedules_and_origins_are_named():
    with pytest.raises(InputError, match="optimizer='lion'"):
        Optimisation("lion")
    with pytest.raises(InputError, match="schedule='linear'"):
        Optimisation(schedule="linear")
    with pytest.raises(
        InputError, match="rates has 'head'; the weights of ITIS come from encoder, clicks, decoder"
    ):
        ITIS(network(), optimisation=Optimisation(rates={"head": 2})).configure_optimizers()


def test_a_loss_that_is_no_number_names_the_objects():
    with pytest.raises(InputError, match=r"the loss is nan on objects \[4, 7\]"):
        check_loss(torch.tensor(float("nan")), batch())


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


def test_unknown_maps_of_the_mask_are_named():
    with pytest.raises(InputError, match="mask_map is 'area'"):
        ITIS(network(3), mask_map="area")


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
