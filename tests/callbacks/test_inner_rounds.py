"""Inner rounds: as many as drawn, without gradient, and those of a slow loop.

That they resume, and are the same on two ranks, is in tests/datamodules/test_joined_training.py.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.inner_rounds import CLICKS, evaluating, number_of_rounds, play_inner_rounds
from callbacks.user_loop import UserLoop
from datamodules.base import Loading
from datamodules.folder import FolderDataModule
from interseg.clicks.initial import RitmInitialClicks
from interseg.clicks.layout import clicks_of, to_source, unpad_clicks
from interseg.clicks.users import DeepUser, ItisUser
from interseg.errors import InputError
from interseg.inference.session import open_sessions
from interseg.networks.click_network import ClickNetwork
from interseg.networks.stem import GuidedConvolution
from lightning_modules.itis import ITIS
from tests.helpers.small_network import ENCODER
from tests.helpers.training import AUGMENT


def module(soft=True):
    torch.manual_seed(3)
    options = {"decoder_channels": 16, "encoder_output_stride": 16, "decoder_aspp_dropout": 0.5}
    network = ClickNetwork(encoder=ENCODER, pretrained=None, guidance_channels=3, options=options)
    (stem,) = [m for m in network.modules() if isinstance(m, GuidedConvolution)]
    torch.nn.init.normal_(
        stem.guidance.weight, std=0.3
    )  # clicks and masks are heeded from the start
    return ITIS(network, mask_map="probabilities" if soft else "distance")


def data(folder, batch_size=4):
    loading = Loading(
        num_workers=0, batch_size=batch_size, augment=AUGMENT, initial=RitmInitialClicks(most=4)
    )
    return FolderDataModule(str(folder), loading=loading)


def first_batch(folder):
    batch = next(iter(data(folder).train_dataloader()))
    return batch | {"previous": torch.zeros(batch["mask"].shape, dtype=torch.bool)}


class Precision:
    def forward_context(self):
        return torch.no_grad()  # any context


def at(step, epoch=0):
    return SimpleNamespace(current_epoch=epoch, global_step=step, precision_plugin=Precision())


def test_all_numbers_of_rounds_are_equally_probable():
    drawn = [number_of_rounds(3, 0, step) for step in range(4000)]
    shares = np.bincount(drawn) / 4000
    assert len(shares) == 4
    assert np.abs(shares - 0.25).max() < 0.03
    assert drawn == [number_of_rounds(3, 0, step) for step in range(4000)]
    assert drawn != [number_of_rounds(3, 1, step) for step in range(4000)]
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.06


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("user", [DeepUser(), ItisUser()])
def test_rounds_are_those_of_a_slow_loop(folder, user, soft):
    learner, batch = module(soft).train(), first_batch(folder)
    given = {key: value.clone() for key, value in batch.items() if key != "errors"}
    play_inner_rounds(learner, batch, user, 3, (5, 2), 0.3)
    learner.network.eval()
    for row, id in enumerate(given["id"].tolist()):
        (clicks,) = unpad_clicks(given["clicks"][row : row + 1])
        previous = torch.zeros(given["mask"].shape[1:])
        for number in range(3):
            alone = {
                "image": given["image"][row : row + 1],
                "clicks": torch.from_numpy(clicks)[None],
                "previous": previous[None] if soft else previous[None] > 0,
            }
            with torch.no_grad():
                logits = learner.segment(alone)[0, 0]
            generator = np.random.default_rng((5, 2, id, CLICKS, number))
            made = user.next_click(
                (logits > 0.3).numpy(), given["mask"][row].numpy(), clicks, generator
            )
            clicks = np.concatenate([clicks, clicks_of([made])])
            previous = logits.sigmoid() if soft else (logits > 0.3).float()
        assert unpad_clicks(batch["clicks"][row : row + 1])[0].tolist() == clicks.tolist()
        assert torch.allclose(batch["previous"][row].float(), previous, atol=1e-4)
    assert batch["previous"].dtype == (torch.float32 if soft else torch.bool)
    for key in ("image", "mask", "to_source"):
        assert torch.equal(batch[key], given[key])


def test_rounds_have_no_gradient_and_leave_the_network_as_it_was(folder):
    learner, batch, seen = module().train(), first_batch(folder), []
    modes = {name: part.training for name, part in learner.named_modules()}
    assert set(modes.values()) == {True, False}  # the encoder's norms are kept

    def note(part, inputs, output):
        seen.append((torch.is_grad_enabled(), output.requires_grad, part.training))

    learner.network.network.register_forward_hook(note)
    drawn = torch.get_rng_state()
    play_inner_rounds(learner, batch, DeepUser(), 2, (0, 0), 0.0)
    assert seen == [(False, False, False)] * 2
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not batch["previous"].requires_grad
    assert {name: part.training for name, part in learner.named_modules()} == modes
    assert all(parameter.grad is None for parameter in learner.parameters())
    with pytest.raises(RuntimeError, match="broken"), evaluating(learner):
        raise RuntimeError("broken")
    assert {name: part.training for name, part in learner.named_modules()} == modes


def test_rounds_see_the_view_of_the_step(folder):
    learner, batch, seen = module().train(), first_batch(folder), []
    learner.long_side = 32  # of evaluation
    learner.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2:]))
    play_inner_rounds(learner, batch, DeepUser(), 1, (0, 0), 0.0)
    learner.segment(batch)
    assert seen[0] == seen[1] == (64, 64)


def test_a_step_learns_from_the_clicks_of_its_rounds(folder):
    loop, learner = (
        UserLoop(iterative=False, inner_rounds=3, train_user=DeepUser()),
        module().train(),
    )
    grown = {}
    for step in range(12):
        batch = first_batch(folder)
        before = [len(clicks) for clicks in unpad_clicks(batch["clicks"])]
        loop.on_train_batch_start(at(step), learner, batch, 0)
        after = [len(clicks) for clicks in unpad_clicks(batch["clicks"])]
        (grown[step],) = {b - a for a, b in zip(before, after, strict=True)}
        assert (batch["previous"] > 0).any() == (grown[step] > 0)
        outputs = {"logits": learner.segment(batch)}
        assert outputs["logits"].requires_grad
        loop.on_train_batch_end(at(step), learner, outputs, batch, 0)
    assert grown == {step: number_of_rounds(3, 0, step) for step in range(12)}
    assert len(set(grown.values())) == 4
    assert len(loop.memory) == 0


def test_the_memory_keeps_the_clicks_of_rounds_before_its_own(folder):
    loop, learner = UserLoop(inner_rounds=3), module().train()
    step = next(step for step in range(20) if number_of_rounds(3, 0, step) == 3)
    batch = first_batch(folder)
    coordinates = batch["to_source"].numpy()
    loop.on_train_batch_start(at(step), learner, batch, 0)
    rounds = unpad_clicks(batch["clicks"])
    loop.on_train_batch_end(
        at(step), learner, {"logits": learner.segment(batch).detach()}, batch, 0
    )
    for id, clicks, view in zip(batch["id"].tolist(), rounds, coordinates, strict=True):
        remembered, known = loop.memory.clicks(id), to_source(clicks, view)
        assert remembered[: len(known)].tolist() == known.tolist()
        assert 0 <= len(remembered) - len(known) <= 1
        assert loop.memory.mask(id) is not None


def test_fewer_than_no_rounds_are_refused():
    with pytest.raises(InputError, match="inner_rounds is -1"):
        UserLoop(inner_rounds=-1)


def test_a_session_gives_probabilities_to_a_network_that_reads_them():
    method, seen = module().eval(), []
    method.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1][0, 2]))
    image = torch.rand(3, 64, 96)
    (session,) = open_sessions(method, image[None])
    answers = []
    for y, x, label in [(20, 30, 1), (40, 60, 0), (10, 80, 1)]:
        session.click(y, x, label)
        answers.append(session.probabilities)
    expected = [np.zeros((64, 96), np.float32), *answers[:-1]]
    assert all(
        np.array_equal(channel.numpy(), before)
        for channel, before in zip(seen, expected, strict=True)
    )
    assert ((answers[0] > 0.01) & (answers[0] < 0.99)).any()
    start = np.zeros((64, 96), bool)
    start[10:20] = True
    session.start_from(start)
    session.click(5, 5)
    assert np.array_equal(seen[-1].numpy(), start.astype(np.float32))
