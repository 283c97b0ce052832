"""The user's loop in evaluation: games of many objects at once, their starts and their ends."""

import numpy as np
import pytest
import torch

from callbacks.user_loop import UserLoop
from interseg.clicks.users import ItisUser, User
from interseg.errors import InputError
from interseg.evaluation.drawing import unpack_mask
from interseg.evaluation.overlap import iou
from interseg.networks.click_network import ClickNetwork
from lightning_modules.itis import ITIS
from tests.helpers.painter import Painter, data
from tests.helpers.small_network import ENCODER


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


def test_classes_that_a_network_does_not_tell_apart_are_named(folder):
    batch = next(iter(data(folder, eval_batch_size=4).test_dataloader()))
    batch["mask"][1, 0, 0] = 255
    UserLoop(max_clicks=1).play(Painter(), batch)
    batch["mask"][1, 0, 0] = 2
    for call in (
        lambda: UserLoop(max_clicks=1).play(Painter(), batch),
        lambda: UserLoop().on_train_batch_start(None, Painter(), batch, 0),
    ):
        with pytest.raises(
            InputError, match=r"mask of object 1 has class 2, and the network tells 2 apart, 0 to 1"
        ):
            call()
