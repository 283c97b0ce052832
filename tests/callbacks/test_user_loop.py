import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.user_loop import UserLoop
from datamodules.base import Loading
from datamodules.folder import FolderDataModule
from interseg.clicks.layout import REGION
from interseg.clicks.users import ItisUser, User
from interseg.errors import InputError
from interseg.evaluation.drawing import unpack_mask
from interseg.evaluation.overlap import iou
from interseg.networks.click_network import ClickNetwork
from lightning_modules.itis import ITIS
from tests.helpers.drawing import draw_folder
from tests.helpers.small_network import ENCODER
from tests.helpers.training import AUGMENT


class Painter:
    """A segmenter without weights.

    A square of the click's sign round every click, later clicks over earlier ones.
    """

    def __init__(self, reach=6, uses_previous_mask=False):
        self.reach, self.uses_previous_mask = reach, uses_previous_mask
        self.calls = 0
        self.objects = 0

    def segment(self, batch):
        self.calls += 1
        self.objects += len(batch["id"])
        logits = torch.full((len(batch["id"]), 1, *batch["image"].shape[-2:]), -5.0)
        for row, clicks in zip(logits, batch["clicks"], strict=True):
            for y, x, label, _ in clicks[clicks[:, 2] >= 0].tolist():
                row[
                    0,
                    max(0, y - self.reach) : y + self.reach + 1,
                    max(0, x - self.reach) : x + self.reach + 1,
                ] = 5.0 if label else -5.0
        return logits


def data(folder, **options):
    return FolderDataModule(str(folder), loading=Loading(num_workers=0, **options))


def played(folder, module, loop, batch_size):
    rows = {}
    for batch in data(folder, eval_batch_size=batch_size).test_dataloader():
        loop.play(module, batch)
        for id, *row in zip(
            batch["id"].tolist(),
            *(batch["outcome"][key] for key in ("curves", "clicks", "masks")),
            strict=True,
        ):
            rows[id] = tuple(values.tolist() for values in row)
    return rows


def test_a_given_mask_is_where_the_game_starts(folder):
    class Keeper(Painter):
        """Keeps the mask it is given, where nothing was clicked."""

        def segment(self, batch):
            painted = super().segment(batch)[:, 0]
            return torch.where(painted > 0, painted, torch.where(batch["previous"], 5.0, painted))[
                :, None
            ]

    (batch, *_) = list(data(folder, eval_batch_size=4).test_dataloader())
    truth = batch["mask"].numpy() == 1
    batch["previous"] = torch.from_numpy(np.roll(truth, 9, axis=2))
    starts = [
        iou(p, m) for p, m in zip(batch["previous"].numpy(), batch["mask"].numpy(), strict=True)
    ]
    UserLoop(max_clicks=2, full_curves=True).play(Keeper(3), batch)
    outcome = batch["outcome"]
    assert outcome["starts"].tolist() == starts
    assert (outcome["curves"][:, 0] > outcome["starts"]).any()
    for (y, x, *_), previous, mask in zip(
        outcome["clicks"][:, 0].tolist(), batch["previous"].numpy(), truth, strict=True
    ):
        assert previous[y, x] != mask[y, x]  # the first click corrects the given mask


def test_an_object_leaves_at_its_highest_target_and_keeps_its_iou(folder):
    loop = UserLoop(targets=(0.5, 0.7), max_clicks=12)
    painter = Painter()
    rows = played(folder, painter, loop, 8)
    left = 0
    for curve, clicks, _ in rows.values():
        count = sum(c[2] >= 0 for c in clicks)
        assert all(v < 0.7 for v in curve[: count - 1])
        assert curve[count - 1 :] == [curve[count - 1]] * (12 - count + 1)
        left += count < 12
    assert left > 0
    assert painter.objects == sum(sum(c[2] >= 0 for c in clicks) for _, clicks, _ in rows.values())


def test_full_curves_play_every_round(folder):
    rows = played(folder, Painter(), UserLoop(targets=(0.1,), full_curves=True, max_clicks=5), 8)
    assert all(sum(c[2] >= 0 for c in clicks) == 5 for _, clicks, _ in rows.values())


def test_the_recorded_masks_are_what_the_curve_measures(folder):
    for batch in data(folder).test_dataloader():
        UserLoop(max_clicks=4, full_curves=True).play(Painter(), batch)
        outcome = batch["outcome"]
        for i in range(len(batch["id"])):
            for k in range(4):
                mask = unpack_mask(outcome["masks"][i, k].numpy(), batch["mask"].shape[-1])
                assert iou(mask, batch["mask"][i].numpy()) == outcome["curves"][i, k].item()


@pytest.mark.parametrize("user", [None, ItisUser()])
def test_lock_step_equals_one_by_one(folder, user):
    assert played(folder, Painter(), UserLoop(user=user), 8) == played(
        folder, Painter(), UserLoop(user=user), 1
    )


def test_lock_step_equals_one_by_one_with_a_real_network_in_float64(folder):
    torch.manual_seed(0)
    network = ClickNetwork(
        encoder=ENCODER, pretrained=None, new_channels="mean", options={"decoder_channels": 16}
    )
    module = ITIS(network).double().eval()

    class InDouble:
        def segment(self, batch):
            return module.segment(batch | {"image": batch["image"].double()})

    loop = UserLoop(max_clicks=6, full_curves=True)
    together, alone = played(folder, InDouble(), loop, 8), played(folder, InDouble(), loop, 1)
    assert together == alone
    assert len({str(curve) for curve, *_ in together.values()}) > 5


def test_a_compiled_network_is_played_eagerly(folder):
    def refuse(graph, inputs):
        raise AssertionError("compiled")

    network = ClickNetwork(
        encoder=ENCODER,
        pretrained=None,
        compile={"backend": refuse},
        options={"decoder_channels": 16},
    )
    assert len(played(folder, ITIS(network).eval(), UserLoop(max_clicks=1), 8)) == 10


def test_a_perfect_mask_ends_the_game_and_an_empty_batch_is_none(folder):
    source = data(folder).objects("test")

    class Oracle:
        def segment(self, batch):
            masks = torch.stack(
                [torch.from_numpy(source.read(id).mask) for id in batch["id"].tolist()]
            )
            return (masks == 1).double()[:, None] * 10 - 5

    rows = played(folder, Oracle(), UserLoop(full_curves=True, max_clicks=3), 8)
    assert all(
        curve == [1.0] * 3 and sum(c[2] >= 0 for c in clicks) == 1
        for curve, clicks, _ in rows.values()
    )
    batch = {"id": torch.zeros(0, dtype=torch.int64), "errors": ["x"]}
    UserLoop().play(Oracle(), batch)
    assert "outcome" not in batch


def test_an_initial_mask_is_corrected_from_there(folder):
    batch = next(iter(data(folder).test_dataloader()))
    batch["previous"] = batch["mask"] == 1
    UserLoop(max_clicks=3).play(Painter(), batch)
    assert (batch["outcome"]["curves"] == 1).all()
    assert (batch["outcome"]["clicks"] == -1).all()


def test_a_user_who_clicks_outside_the_image_is_named(folder):
    class Lost(User):
        def next_click(self, prediction, mask, clicks, generator):
            return 500, 3, 1

    with pytest.raises(InputError, match=r"click \(y=500, x=3\) lies outside"):
        played(folder, Painter(), UserLoop(user=Lost()), 8)


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
    for images, epochs in ((5, 24), (40, 3)):
        sent.append([])
        loop = UserLoop(reset_probability=1.0)  # the most that a step can send
        painter = Painter(uses_previous_mask=previous_mask)
        loader = data(
            draw_folder(tmp_path / str(images), images), batch_size=5, augment=AUGMENT
        ).train_dataloader()
        for epoch in range(epochs):
            train_epoch(loop, loader, epoch, painter)
        held.append(len(pickle.dumps(loop.state_dict())))
    assert len(sent[0]) == len(sent[1]) == 48
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
