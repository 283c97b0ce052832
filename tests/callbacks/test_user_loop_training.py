"""The user's loop in training: clicks that grow with the epochs, resets, and what a step sends."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.user_loop import UserLoop
from interseg.clicks.layout import REGION
from interseg.clicks.users import ItisUser
from tests.helpers.drawing import draw_folder
from tests.helpers.painter import Painter, data
from tests.helpers.training import AUGMENT


def train_epoch(loop, loader, epoch, module=None):
    """One epoch through the loop's hooks.

    Gives the clicks that each object was trained on, in source pixels.
    """
    module = module or Painter()
    seen = {}
    loader.batch_sampler.sampler.set_epoch(epoch)
    for batch in loader:
        loop.on_train_batch_start(SimpleNamespace(current_epoch=epoch), module, batch, 0)
        calls = module.calls
        outputs = {"logits": module.segment(batch)}
        loop.on_train_batch_end(SimpleNamespace(current_epoch=epoch), module, outputs, batch, 0)
        assert module.calls == calls + 1  # the next click costs no further pass
        for id, clicks, previous in zip(
            batch["id"].tolist(), batch["clicks"], batch.get("previous", batch["mask"]), strict=True
        ):
            seen[id] = (clicks[clicks[:, 2] >= 0], previous)
    return seen


def test_every_epoch_adds_one_click_from_the_objects_own_errors(folder):
    loop = UserLoop(reset_probability=0.0, train_user=ItisUser())
    loader = data(
        folder, batch_size=2
    ).train_dataloader()  # whole images: view and source pixels are the same
    loader.dataset.augment = None
    loader.batch_sampler.batch_size = 1
    before = train_epoch(loop, loader, 0)
    after = train_epoch(loop, loader, 1)
    truths = {id: loader.dataset.source.read(id).mask for id in before}
    for id, (clicks, _) in before.items():
        grown = after[id][0]
        assert grown[: len(clicks)].tolist() == clicks.tolist()
        assert len(grown) == len(clicks) + 1
        y, x, label, kind = grown[-1].tolist()
        assert truths[id][y, x] == label
        assert kind == REGION
        prediction = (
            Painter().segment(
                {"id": [id], "image": torch.zeros(1, 3, *truths[id].shape), "clicks": clicks[None]}
            )[0, 0]
            > 0
        )
        assert bool(prediction[y, x]) != bool(label)


def test_resets_are_drawn_with_the_given_probability_and_reproducibly(folder):
    loader = data(folder, batch_size=5, augment=AUGMENT).train_dataloader()
    batches = list(loader)

    def restarts(seed):
        loop, counts = UserLoop(reset_probability=0.3, seed=seed), []
        for epoch in range(40):
            for batch in batches:
                loop.on_train_batch_start(
                    SimpleNamespace(current_epoch=epoch), Painter(), dict(batch), 0
                )
                if epoch:
                    counts.append(len(loop._delta.restarts) / 5)
                loop.memory.apply([loop._delta])
        return counts

    drawn = restarts(0)
    assert drawn == restarts(0)
    assert drawn != restarts(1)
    assert 0.25 < np.mean(drawn) < 0.36


@pytest.mark.parametrize("previous_mask", [False, True])
def test_what_a_step_sends_does_not_grow_with_the_data_set(tmp_path, monkeypatch, previous_mask):
    sent, held = [], []

    def counting(value):
        sent[-1].append(len(pickle.dumps(value)))
        return [value]

    monkeypatch.setattr("callbacks.user_loop.from_all_ranks", counting)
    for images, epochs in ((5, 12), (20, 3)):
        sent.append([])
        loop = UserLoop(reset_probability=1.0)  # the most that a step can send
        painter = Painter(uses_previous_mask=previous_mask)
        loader = data(
            draw_folder(tmp_path / str(images), images), batch_size=5, augment=AUGMENT
        ).train_dataloader()
        for epoch in range(epochs):
            train_epoch(loop, loader, epoch, painter)
        held.append(len(pickle.dumps(loop.state_dict())))
    assert len(sent[0]) == len(sent[1]) == 24
    assert np.mean(sent[1]) == pytest.approx(np.mean(sent[0]), rel=0.1)
    assert held[1] > 3 * held[0]


def test_clicks_follow_the_object_through_changing_augmentation(folder):
    loop, painter = UserLoop(reset_probability=0.0), Painter(uses_previous_mask=True)
    loader = data(folder, batch_size=5, augment=AUGMENT).train_dataloader()
    for epoch in range(4):
        for id, (clicks, previous) in train_epoch(loop, loader, epoch, painter).items():
            assert len(clicks) > 0
            assert previous.shape == (64, 64)
            truth = loader.dataset.source.read(id).mask
            remembered = loop.memory.clicks(id)
            assert (truth[remembered[:, 0], remembered[:, 1]] == remembered[:, 2]).mean() > 0.9
    assert any(loop.memory.mask(id) is not None for id in range(10))


def test_without_iteration_the_loaders_clicks_are_used_and_nothing_is_remembered(folder):
    loop = UserLoop(iterative=False)
    loader = data(folder, batch_size=5).train_dataloader()
    batch = next(iter(loader))
    given = batch["clicks"].clone()
    loop.on_train_batch_start(SimpleNamespace(current_epoch=0), Painter(), batch, 0)
    loop.on_train_batch_end(SimpleNamespace(current_epoch=0), Painter(), {}, batch, 0)
    assert torch.equal(batch["clicks"], given)
    assert len(loop.memory) == 0


def test_the_loops_state_is_the_memory(folder):
    loop = UserLoop(reset_probability=0.0)
    train_epoch(loop, data(folder, batch_size=5, augment=AUGMENT).train_dataloader(), 0)
    again = UserLoop()
    again.load_state_dict(loop.state_dict())
    assert len(again.memory) == 10
    assert all((again.memory.clicks(i) == loop.memory.clicks(i)).all() for i in range(10))
