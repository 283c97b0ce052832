from types import SimpleNamespace

import albumentations
import numpy as np
import pytest
import torch

from datamodules.base import Loading
from datamodules.click_batches import ClickDataset, collate, same_size_batches
from datamodules.folder import FolderDataModule
from datamodules.resuming import EpochSampler
from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import REGION
from interseg.errors import InputError
from tests.helpers.training import AUGMENT


def loader(folder, split="train", **options):
    data = FolderDataModule(
        str(folder), loading=Loading(num_workers=0, batch_size=4, augment=AUGMENT, **options)
    )
    return getattr(data, f"{split}_dataloader")()


def test_a_training_batch_has_every_key_of_the_contract(folder):
    batch = next(iter(loader(folder)))
    assert batch["id"].shape == (4,)
    assert batch["id"].dtype == torch.int64
    assert batch["image"].shape == (4, 3, 64, 64)
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1
    assert batch["mask"].dtype == torch.uint8
    assert set(batch["mask"].unique().tolist()) <= {0, 1, 255}
    assert batch["to_source"].shape == (4, 64, 64, 2)
    assert batch["to_source"].dtype == torch.int16
    assert batch["clicks"].shape[::2] == (4, 4)
    assert batch["clicks"].dtype == torch.int64


def test_the_coordinate_map_says_where_each_view_pixel_comes_from(folder):
    data = FolderDataModule(str(folder))
    source = data.objects("train")
    dataset = ClickDataset(
        source,
        albumentations.Compose(
            AUGMENT[:4], additional_targets={"others": "mask", "to_source": "mask"}
        ),
    )
    for index in range(len(source)):
        item = dataset[(3, index)]
        y, x = item["to_source"].numpy().astype(int).transpose(2, 0, 1)
        truth = source.read(index).mask
        shown = y >= 0
        assert (item["mask"].numpy()[~shown] == 255).all()
        agree = truth[y[shown], x[shown]] == item["mask"].numpy()[shown]
        assert agree.mean() > 0.99


def test_an_item_is_a_function_of_seed_epoch_and_id(folder):
    def items(seed, epoch):
        dataset = loader(folder, seed=seed).dataset
        return [dataset[(epoch, i)] for i in range(6)]

    def equal(a, b):
        return all(
            torch.equal(x["image"], y["image"]) and np.array_equal(x["clicks"], y["clicks"])
            for x, y in zip(a, b, strict=True)
        )

    assert equal(items(1, 2), items(1, 2))
    assert not equal(items(1, 2), items(1, 3))
    assert not equal(items(1, 2), items(2, 2))


def test_every_epoch_has_its_own_order_and_the_ranks_share_it(folder):
    dataset = loader(folder).dataset
    orders = []
    for epoch in (0, 1):
        ranks = []
        for rank in (0, 1):
            sampler = EpochSampler(dataset, 2, rank, shuffle=True, seed=5, drop_last=True)
            sampler.set_epoch(epoch)
            ranks.append(list(sampler))
        assert {e for e, _ in ranks[0] + ranks[1]} == {epoch}
        assert sorted(i for _, i in ranks[0] + ranks[1]) == list(range(10))
        orders.append(ranks)
    assert orders[0][0] != [(0, i) for _, i in orders[1][0]]


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_batches_hold_one_size_and_every_object_once(world_size):
    sizes = [(4, 5), (4, 5), (6, 5), (4, 5), (6, 5), (7, 7), (4, 5)]
    batches = [
        b for rank in range(world_size) for b in same_size_batches(sizes, 2, rank, world_size)
    ]
    assert sorted(i for b in batches for _, i in b) == list(range(7))
    assert all(len(b) <= 2 and len({sizes[i] for _, i in b}) == 1 for b in batches)


def left_of(data, played, world_size, monkeypatch, count=80, shard=None):
    """The batches that each rank of an evaluation has left, whose records hold these batches."""
    data.played, data.record = played, SimpleNamespace(shard=shard)
    data.finished, found = {i for ids in played for i in ids}, []
    for rank in range(world_size):
        monkeypatch.setattr(data, "_ranks", lambda rank=rank: (rank, world_size))
        found.append(data._batches_left([(4, 5)] * count))
    return found


def ids_of(batches):
    return [i for batch in batches for _, i in batch]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_what_a_lost_part_left_open_is_shared_evenly_and_alone_is_played(
    world_size, folder, monkeypatch
):
    data = FolderDataModule(str(folder), loading=Loading(eval_batch_size=4))
    parts = [same_size_batches([(4, 5)] * 80, 4, part, 8) for part in range(8) if part != 3]
    played = [ids_of([batch]) for part in parts for batch in part]
    ranks = left_of(data, played, world_size, monkeypatch)
    shares = [ids_of(batches) for batches in ranks]
    assert sorted(i for share in shares for i in share) == list(range(3, 80, 8))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(len(batch) <= 4 for batches in ranks for batch in batches)


def test_a_killed_evaluation_goes_on_with_its_batches_as_they_were_composed(folder, monkeypatch):
    data = FolderDataModule(str(folder), loading=Loading(eval_batch_size=4))
    whole = same_size_batches([(4, 5)] * 80, 4, 0, 1)
    played = [ids_of([batch]) for batch in whole[:3]]
    assert left_of(data, played, 1, monkeypatch) == [whole[3:]]
    played[0].remove(1)  # which could not be read
    assert left_of(data, played, 1, monkeypatch) == [[whole[0], *whole[3:]]]


@pytest.mark.parametrize("played", [[], [[0]], [[0, 4], [2, 3]], [[0, 4, 8], [5, 6, 7]]])
def test_parts_of_several_processes_play_every_object(played, folder, monkeypatch):
    data = FolderDataModule(str(folder), loading=Loading(eval_batch_size=2))
    found = {i for ids in played for i in ids}
    for part in (0, 1):
        for batches in left_of(data, played, 2, monkeypatch, count=12, shard=(part, 2)):
            found |= set(ids_of(batches))
    assert found == set(range(12))


def test_every_rank_of_an_evaluation_has_an_object():
    sizes = [(4, 5), (6, 5)]
    assert [same_size_batches(sizes, 2, rank, 5) for rank in range(5)] == [
        [[(0, i)]] for i in (0, 1, 0, 1, 0)
    ]


def test_evaluation_shows_whole_images_in_source_pixels_without_clicks(folder):
    batch = next(iter(loader(folder, "test")))
    assert batch["image"].shape[-2:] == (72, 96)
    assert (batch["to_source"][0, 10, 20] == torch.tensor([10, 20])).all()
    assert (batch["clicks"] == -1).all()


def test_an_unreadable_object_leaves_its_message_in_evaluation_and_stops_training(folder):
    test, train = loader(folder, "test"), loader(folder)
    (folder / "images" / "0.png").write_text("broken")
    batches = list(test)
    errors = {e for b in batches for e in b["errors"]}
    assert sum("0.png cannot be read" in e for e in errors) == 2, "each object's is its own"
    assert sum(len(b["id"]) for b in batches) == 8
    with pytest.raises(InputError, match=r"0.png cannot be read"):
        list(train)


def test_a_batch_of_broken_objects_is_empty():
    batch = collate([{"errors": ["a"]}, {"errors": ["b"]}])
    assert batch["errors"] == ["a", "b"]
    assert len(batch["id"]) == 0


def test_training_data_with_problems_too_few_objects_or_none_are_refused(folder):
    with pytest.raises(InputError, match="10 training objects do not fill a batch of 11"):
        FolderDataModule(str(folder), loading=Loading(batch_size=11)).train_dataloader()
    (folder / "masks" / "0.png").write_text("none")
    with pytest.raises(InputError, match=r"1 unreadable files, the first: .*0.png cannot be read"):
        FolderDataModule(str(folder)).train_dataloader()
    for path in (folder / "masks").iterdir():
        path.unlink()
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="the test split of FolderDataModule has no object"):
        FolderDataModule(str(folder)).test_dataloader()


def test_views_of_different_sizes_ask_for_a_crop(folder):
    data = FolderDataModule(str(folder), loading=Loading(num_workers=0, batch_size=10))
    with pytest.raises(
        InputError, match=r"views of \(72, 80\) and \(72, 96\) pixels cannot be one batch"
    ):
        next(iter(data.train_dataloader()))


def test_a_subset_of_the_training_objects_is_drawn_once(folder):
    dataset = loader(folder, train_objects=5).dataset
    assert len(dataset) == 5
    assert dataset.source.name(0) == dataset.source.parent.name(dataset.source.indices[0])
    assert dataset.source.size(4) == dataset.source.parent.size(dataset.source.indices[4])
    assert loader(folder, train_objects=5).dataset.source.indices == dataset.source.indices
    assert len(loader(folder, train_objects=50).dataset) == 10


def test_initial_clicks_lie_on_what_they_say(folder):
    for seed in range(5):
        for batch in loader(folder, seed=seed, initial=InitialClicks(positives=2)):
            for mask, clicks in zip(batch["mask"], batch["clicks"], strict=True):
                for y, x, label, kind in clicks[clicks[:, 2] >= 0].tolist():
                    assert mask[y, x] == label
                    assert kind == REGION
