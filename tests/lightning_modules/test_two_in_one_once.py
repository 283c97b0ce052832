"""Two-in-one on a network that encodes once.

What is kept of a photo changes no answer, and training's clicks are evaluation's.
"""

import pytest
import torch

from callbacks.inner_rounds import number_of_rounds
from callbacks.user_loop import UserLoop
from interseg.clicks.boundary import BoundaryUser
from interseg.clicks.guidance import DiskGuidance, GaussianGuidance
from interseg.clicks.layout import BOUNDARY, clicks_of, unpad_clicks
from interseg.errors import InputError
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import BRSRefiner
from interseg.inference.zoom import ZoomIn
from interseg.networks.crop_refinement import trimmed_box
from interseg.networks.once_network import OnceNetwork
from interseg.networks.two_in_one_once import TwoInOneOnceNetwork
from interseg.views import (
    Box,
    crop_view,
    resize_image,
    resize_logits,
    restore,
    scale_box,
    scale_clicks,
)
from lightning_modules.itis import ITIS
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.two_in_one import Fitting, batch, with_distance

SIZES = {"width": 32, "outlines": 8, "blocks": 1}


def network(**options):
    torch.manual_seed(0)
    return TwoInOneOnceNetwork("test_vit", None, **SIZES, **{"crop_size": 16} | options)


def module(**options):
    return TwoInOne(
        network(), selection_epochs=1, threshold=0.5, padding=4, selected=(0.0, 1.0), **options
    ).eval()


FIRST, MORE = [(30, 40, 1)], [(30, 40, 1), (16, 30, 1, BOUNDARY), (43, 59, 1, BOUNDARY)]


@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_what_is_known_of_a_photo_changes_no_selection(size):
    net, image = network().eval(), torch.rand(2, 3, *size)
    maps = torch.zeros(2, 1, *size)
    maps[:, 0, 20:30, 30:40] = 1
    with torch.no_grad():
        logits, features = net(image, maps)
        assert logits.shape == (2, 1, *size)
        for known in ({"encoded": net.encode(image)}, {"features": net.features(image)}):
            again = net(image, maps, **known)
            assert torch.equal(again[0], logits)
            assert torch.equal(again[1], features)
        assert not torch.equal(net(image, maps * 0)[0], logits), "the click is heeded"
        assert not torch.equal(net(image, maps * 0)[1], features), "by what is refined too"
    padded = [-(-side // net.divisor) * net.divisor for side in size]
    assert features.shape == (2, 32, padded[0] // 4, padded[1] // 4)
    assert net.stride(features, size[1]) == 4


def test_a_selection_is_that_of_the_itis_network_that_it_was_taken_from(tmp_path):
    torch.manual_seed(3)
    itis = ITIS(OnceNetwork("test_vit", None, **SIZES), mask_map="probabilities").eval()
    torch.save({"state_dict": itis.state_dict()}, tmp_path / "itis.ckpt")
    own = TwoInOne(
        network(selection_from=str(tmp_path / "itis.ckpt")), guidance=itis.guidance
    ).eval()
    given = batch(FIRST)
    with torch.no_grad():
        expected = itis.segment(given | {"previous": torch.zeros(1, 64, 96)})
        assert torch.allclose(own.segment(given), expected, atol=1e-5)
    torch.save({"state_dict": own.state_dict()}, tmp_path / "own.ckpt")
    again = network(selection_from=str(tmp_path / "own.ckpt"))
    for key, value in again.selection.state_dict().items():
        assert torch.equal(value, own.network.selection.state_dict()[key])
    with pytest.raises(
        InputError, match=r"own.ckpt does not fit, .* or of ITIS with an encode-once network"
    ):
        TwoInOneOnceNetwork(
            "test_vit",
            None,
            width=64,
            outlines=8,
            blocks=1,
            selection_from=str(tmp_path / "own.ckpt"),
        )


def test_a_session_encodes_and_selects_once():
    own, calls = module(), []
    own.network.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
    own.network.selection.decoder.context.register_forward_hook(
        lambda *_: calls.append("selection")
    )
    own.network.refinement.register_forward_hook(lambda *_: calls.append("refinement"))
    with torch.no_grad():
        encoded = own.encode(batch(FIRST)["image"])
        selected, states = own.answer(batch(FIRST, encoded=encoded))
        refined, _ = own.answer(batch(MORE, states=states, encoded=encoded))
        assert calls == ["encoder", "selection", "refinement"]
        assert torch.equal(selected, own.segment(batch(FIRST)))
        assert torch.equal(refined, own.segment(batch(MORE)))


def zooming(cascade=1):
    zoom = ZoomIn(expansion=1.0, min_crop=20, skip_clicks=0)
    own = module(cascade=cascade, long_side=[56, 56], inference=InferenceOptions(zoom=zoom))
    with torch.no_grad():  # a first selection of some pixels
        own.network.selection.decoder.last.bias -= 0.18
    return own


def test_a_cascade_selects_again_with_the_selection_before():
    own = module(cascade=2)
    given = batch(FIRST, [(31, 41, 1)])
    maps = own.answers.selection_map(given["clicks"], given["image"].shape[-2:])
    with torch.no_grad():
        one, _ = own.network(given["image"], maps)
        two, _ = own.network(given["image"], maps, previous=one.sigmoid())
        three, features = own.network(given["image"], maps, previous=two.sigmoid())
        logits, states = own.answer(given)
    assert not torch.equal(one, two)
    assert not torch.equal(two, three)
    assert torch.allclose(logits, three, atol=1e-5)
    for state, feature in zip(states, features, strict=True):
        assert torch.allclose(state["features"], feature, atol=1e-5)


@pytest.mark.parametrize("cascade", [0, 1])
def test_a_mirrored_photo_is_selected_from_alike_where_both_views_are_averaged(cascade):
    own = module(cascade=cascade, inference=InferenceOptions(flip=True))
    given = batch(FIRST, [(31, 41, 1)])
    mirrored = given | {"image": given["image"].flip(-1), "clicks": given["clicks"].clone()}
    mirrored["clicks"][..., 1] = 95 - mirrored["clicks"][..., 1]
    mirrored["states"] = [{}, {}]
    with torch.no_grad():
        straight = own.answer(given | {"encoded": own.encode(given["image"])}).logits
        assert torch.allclose(straight, own.answer(given | {"states": [{}, {}]}).logits, atol=1e-4)
        assert torch.allclose(own.answer(mirrored).logits.flip(-1), straight, atol=1e-4)
        plain = module(cascade=cascade).answer(given | {"states": [{}, {}]}).logits
    assert not torch.allclose(plain, straight, atol=1e-3)


@pytest.mark.parametrize("flip", [False, True])
def test_refinements_are_answered_in_mixed_precision_too(flip):
    zoom = ZoomIn(expansion=1.0, min_crop=20, skip_clicks=0)
    own = module(cascade=1, long_side=[56, 56], inference=InferenceOptions(flip=flip, zoom=zoom))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert own.answer(batch(MORE, FIRST)).logits.isfinite().all()


def test_each_pass_of_a_cascade_is_learned_from_by_its_share_of_a_batch(monkeypatch):
    own = module(cascade=2).train()
    given = with_distance(batch(*[FIRST] * 4))
    monkeypatch.setattr(TwoInOne, "log", lambda *a, **k: None)
    own._trainer, own._seed = Fitting(0), 3
    own.network.selection.noise = 0
    maps = own.answers.selection_map(given["clicks"], given["image"].shape[-2:])
    with torch.no_grad():
        passes = [own.network(given["image"], maps)[0]]
        for _ in range(2):
            passes.append(own.network(given["image"], maps, previous=passes[-1].sigmoid())[0])
    logits = own.training_step(given, 0)["logits"]
    for row in range(4):
        assert torch.allclose(logits[row], passes[row % 3][row], atol=1e-5)
    own._trainer.global_step = 1
    logits = own.training_step(given, 0)["logits"]
    assert torch.allclose(logits[0], passes[1][0], atol=1e-5), "a batch of one row has every pass"


def test_all_of_a_cascade_has_gradients_in_mixed_precision(monkeypatch):
    own = module(cascade=1).train()
    monkeypatch.setattr(TwoInOne, "log", lambda *a, **k: None)
    own._trainer, own._seed = Fitting(0), 3
    with torch.autocast("cpu", torch.bfloat16):
        own.training_step(with_distance(batch(*[FIRST] * 2)), 0)["loss"].backward()
    trained = [name for name, p in own.network.selection.named_parameters() if p.grad is not None]
    assert {name for name, p in own.network.selection.named_parameters() if p.requires_grad} == set(
        trained
    )


def test_the_selection_may_have_a_guidance_of_its_own():
    disks = DiskGuidance(radius=5)
    own = module(selection_guidance=disks)
    clicks = batch(FIRST)["clicks"]
    assert torch.equal(own.answers.selection_map(clicks, (64, 96)), disks(clicks, 64, 96)[:, :1])
    assert torch.equal(
        module().answers.selection_map(clicks, (64, 96)),
        GaussianGuidance(std=10, clip=30)(clicks, 64, 96)[:, :1],
    )


def test_with_a_zoom_selection_and_refinement_see_the_box_round_the_first_selection():
    own = zooming()
    given = batch(FIRST)
    with torch.no_grad():
        whole = own.network(
            resize_image(given["image"], (56, 56)),
            own.answers.selection_map(scale_clicks(given["clicks"], (64, 96), (56, 56)), (56, 56)),
        )[0]
        before = resize_logits(whole, (64, 96))[:, 0].sigmoid()
        box = own.inference.zoom.box_round((before[0] > 0.5).numpy(), clicks_of(FIRST))
        assert box.size != (64, 96)
        view = crop_view(given | {"previous": before}, 0, box, (56, 56))
        maps = own.answers.selection_map(view["clicks"], (56, 56))
        again, features = own.network(view["image"], maps, previous=view["previous"][:, None])
        logits, (state,) = own.answer(given)
        assert torch.allclose(logits, restore(again, box, (64, 96)), atol=1e-5)
        assert torch.allclose(state["features"], features[0], atol=1e-5)
        trimmed = trimmed_box(again[0, 0], 0.5)
        there = scale_box(trimmed, (56, 56), box.size)
        assert state["trimmed"] == there.shift(box.top, box.left)
        later = [(box.top + 2, box.left + 3, 1, BOUNDARY), (box.bottom - 1, 40, 1, BOUNDARY)]
        calls = []
        own.network.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
        logits, _ = own.answer(batch(FIRST + later, states=[state]))
        assert not calls
        view = crop_view(batch(FIRST + later), 0, box, (56, 56))
        (inside,) = unpad_clicks(view["clicks"])
        crop = own.answers.crop(state, inside[1:], torch.Size((56, 56)))
        refined = own.answers.refine(features, [inside[1:]], [crop], torch.Size((56, 56)))
        assert torch.allclose(logits, restore(refined, box, (64, 96)), atol=1e-5)


@pytest.mark.parametrize("cascade", [1, 2])
def test_a_click_beyond_the_zoomed_box_enlarges_it_and_answers_depend_on_clicks_alone(cascade):
    own = zooming(cascade)
    with torch.no_grad():
        _, states = own.answer(batch(FIRST))
        first = states[0]
        inside = (first["shown"].top, first["shown"].left, 1, BOUNDARY)
        beyond = [(1, 2, 1, BOUNDARY), (63, 5, 1, BOUNDARY)]
        assert not any(first["shown"].holds(y, x) for y, x, *_ in beyond)
        clicks = [*FIRST, inside]
        for click in beyond:
            logits, states = own.answer(batch(clicks, states=states))
            clicks = [*clicks, click]
        logits, (last,) = own.answer(batch(clicks, states=states))
        assert last["shown"] == first["shown"].with_clicks(clicks_of(clicks))
        assert last["crop"] == first["crop"], "by which the whole game counts"
        assert last["trimmed"] == first["trimmed"]
        assert torch.equal(logits, own.segment(batch(clicks)))
        back, (state,) = own.answer(batch([*FIRST, inside], states=[last]))
        assert state["shown"] == first["shown"]
        assert torch.equal(back, own.segment(batch([*FIRST, inside])))


def test_a_selection_that_is_empty_is_made_again_from_the_whole_photo():
    own = zooming(2)
    with torch.no_grad():
        own.network.selection.decoder.last.bias -= 10
        logits, (state,) = own.answer(batch(FIRST))
        assert state["zoomed"] == state["shown"] == Box(0, 0, 64, 96)
        assert (logits < 0).all()
        own.inference = InferenceOptions()
        assert torch.allclose(own.segment(batch(FIRST)), logits, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cascade": -1}, "cascade is -1; it is a number of passes"),
        ({"inference": InferenceOptions(zoom=ZoomIn(skip_clicks=0))}, "with model.cascade=0"),
        (
            {"inference": InferenceOptions(zoom=ZoomIn()), "cascade": 1},
            "zoom.skip_clicks=1; two-in-one's first click selects",
        ),
        (
            {"inference": InferenceOptions(zoom=ZoomIn(skip_clicks=0)), "cascade": 1},
            "zoom with model.long_side=None; .* give model.long_side=",
        ),
        ({"inference": InferenceOptions(cascade=1)}, "its own option, model.cascade"),
        ({"inference": InferenceOptions(BRSRefiner())}, "leave refiner out"),
    ],
)
def test_options_of_the_selection_that_do_not_fit_are_named(options, message):
    with pytest.raises(InputError, match=message):
        module(**options)


def training(epoch, monkeypatch):
    own = module().train()
    monkeypatch.setattr(TwoInOne, "log", lambda *a, **k: None)
    own._trainer, own._seed = Fitting(epoch), 3
    return own


class At(Fitting):
    """A Trainer in the step that draws the most inner rounds."""

    global_step = next(step for step in range(99) if number_of_rounds(3, 0, step) == 3)
    precision_plugin = type("Full", (), {"forward_context": staticmethod(torch.no_grad)})()


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_refinement_learns_from_the_clicks_of_inner_rounds_and_the_selection_has_none(
    epoch, monkeypatch
):
    own, calls, drawn = training(epoch, monkeypatch), [], []
    own.network.selection.decoder.context.register_forward_hook(
        lambda *_: calls.append("selection")
    )
    draw = own.targets.draw_clicks
    monkeypatch.setattr(own.targets, "draw_clicks", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    loop = UserLoop(iterative=False, inner_rounds=3, train_user=BoundaryUser(spacing=2))
    given = with_distance(batch(FIRST, [(31, 41, 1)]))
    with torch.enable_grad():
        loop.on_train_batch_start(At(epoch), own, given, 0)
        clicks = unpad_clicks(given["clicks"])
        assert [len(rows) for rows in clicks] == ([1, 1] if epoch == 0 else [4, 4])
        outputs = own.training_step(given, 0)
    assert calls == ["selection"], "which is kept from the rounds to the step"
    assert not drawn
    if epoch == 1:
        assert all((rows[1:, 3] == BOUNDARY).all() for rows in clicks)
        with torch.no_grad():
            own.eval()
            assert torch.allclose(
                outputs["logits"],
                own.segment({k: v for k, v in given.items() if k != "states"}),
                atol=1e-5,
            )


def test_without_inner_rounds_clicks_are_drawn(monkeypatch):
    own, drawn = training(1, monkeypatch), []
    draw = own.targets.draw_clicks
    monkeypatch.setattr(own.targets, "draw_clicks", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    own.training_step(with_distance(batch(FIRST)), 0)
    assert len(drawn) == 1


def test_an_object_that_vanished_from_the_view_takes_part_in_inner_rounds_without_a_click(
    monkeypatch,
):
    own = training(1, monkeypatch)
    loop = UserLoop(iterative=False, inner_rounds=3, train_user=BoundaryUser(spacing=2))
    given = with_distance(batch(FIRST, []))
    given["mask"][1] = 0
    loop.on_train_batch_start(At(1), own, given, 0)
    assert [len(rows) for rows in unpad_clicks(given["clicks"])] == [4, 0]
    with pytest.raises(InputError, match="the first click selects the object"):
        own.eval().segment(given)


def test_accumulated_gradients_of_a_refinement_are_kept_if_a_later_batch_refines_nothing(
    monkeypatch,
):
    own = training(1, monkeypatch)
    refining, idle = with_distance(batch(FIRST)), with_distance(batch(FIRST))
    idle["mask"][:] = 255
    with torch.enable_grad():
        for given in (refining, idle):
            own.training_step(given, 0)["loss"].backward()
    own.on_before_optimizer_step(None)
    assert any(p.grad is not None for p in own.network.refinement.parameters())
    own.zero_grad()
    with torch.enable_grad():
        own.training_step(idle, 0)["loss"].backward()
    own.on_before_optimizer_step(None)
    assert all(p.grad is None for p in own.network.refinement.parameters())
