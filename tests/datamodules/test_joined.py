"""Sources side by side: ids, weights and splits against those computed by hand."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from configs import build, load, resolve
from datamodules.base import Loading
from datamodules.click_batches import collate
from datamodules.coco import CocoDataModule
from datamodules.folder import FolderDataModule
from datamodules.grabcut import GrabCutDataModule
from datamodules.joined import JoinedDataModule, JoinedSource, Walk, WalkSampler
from datamodules.sources import ObjectSource
from interseg.errors import InputError
from tests.helpers.drawing import draw, write
from tests.helpers.joined import draw_sets, joined
from tests.helpers.training import AUGMENT, assert_equal


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_sets(tmp_path_factory.mktemp("sets"))


def epochs(sampler, count):
    found = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        found.append(list(sampler))
    return found


def test_an_object_is_its_parts_object_after_all_before(root):
    source = joined(root).objects("train")
    alone = [FolderDataModule(str(root / name)).objects("train") for name in ("big", "small")]
    places = [
        (name, part, i)
        for name, part in zip(("big", "small"), alone, strict=True)
        for i in range(len(part))
    ]
    assert len(source) == len(places) == 10
    for id, (name, part, i) in enumerate(places):
        assert source.name(id) == f"{name}/{part.name(i)}"
        assert source.image(id) == f"{name}/{part.image(i)}"
        assert source.size(id) == part.size(i)
        for given, own in zip(source.read(id)[:3], part.read(i)[:3], strict=True):
            assert np.array_equal(given, own)
    assert source.facts()["small"] == "4 objects of 2 images"


def test_a_split_of_one_part_is_the_parts(root):
    data, alone = joined(root), GrabCutDataModule(str(root / "held"))
    assert data.names("test") == data.names("val") == alone.names("test")
    batches = [next(iter(module.test_dataloader())) for module in (data, alone)]
    assert_equal(*({key: batch[key] for key in ("id", "image", "mask")} for batch in batches))


def test_a_walk_gives_every_object_the_same_share_and_none_twice_in_an_epoch():
    order = np.random.default_rng(1).permutation(np.arange(100, 107))
    for taken in range(1, 8):
        walk, expected = Walk(order, taken), iter(np.tile(order, taken).tolist())
        seen = []
        for epoch in range(7):
            objects = walk.of(epoch).tolist()
            assert objects == sorted({next(expected) for _ in range(taken)})
            seen += objects
        assert Counter(seen) == dict.fromkeys(range(100, 107), taken)


@pytest.mark.parametrize(
    ("weights", "shares"),
    [(None, (6, 4)), ({"big": 0.5}, (3, 4)), ({"small": 0.4, "big": 0.8}, (6, 2))],
)
def test_weights_are_how_often_an_object_is_seen(root, weights, shares):
    sampler = joined(root, weights).train_dataloader().batch_sampler.sampler
    seen = epochs(sampler, 12)
    for epoch, items in enumerate(seen):
        ids = [id for _, id in items]
        assert {e for e, _ in items} == {epoch}
        assert len(set(ids)) == len(ids) == sum(shares)
        assert sum(id < 6 for id in ids) == shares[0]
    counts = Counter(id for items in seen for _, id in items)
    assert [counts[id] for id in range(10)] == [2 * shares[0]] * 6 + [3 * shares[1]] * 4
    assert seen == epochs(joined(root, weights).train_dataloader().batch_sampler.sampler, 12)


def test_one_part_is_trained_in_the_order_that_it_has_by_itself(root):
    alone = FolderDataModule(str(root / "big"), loading=Loading(num_workers=0, batch_size=2))
    samplers = [
        data.train_dataloader().batch_sampler.sampler
        for data in (joined(root, train=["big"]), alone)
    ]
    assert epochs(samplers[0], 3) == epochs(samplers[1], 3)


def test_one_part_that_is_joined_itself_is_trained(root):
    parts = {"all": joined(root), "held": GrabCutDataModule(str(root / "held"))}
    loading = Loading(num_workers=0, batch_size=2, augment=AUGMENT)
    outer = JoinedDataModule(parts, train=["all"], evaluate=["held"], loading=loading)
    loaded = [batch["id"].tolist() for batch in outer.train_dataloader()]
    assert sorted(id for batch in loaded for id in batch) == list(range(10))
    weighed = {**parts, "all": joined(root, {"small": 0.5})}
    outer = JoinedDataModule(weighed, train=["all"], evaluate=["held"], loading=loading)
    assert sum(len(batch["id"]) for batch in outer.train_dataloader()) == 6 + 4 // 2


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_an_epoch_of_one_process(world_size):
    walks = [Walk(np.arange(7)[::-1].copy(), 3), Walk(np.arange(7, 16), 9)]
    (whole,) = epochs(WalkSampler(walks, 1, 0, seed=4), 1)
    ranks = [
        epochs(WalkSampler(walks, world_size, rank, seed=4), 1)[0] for rank in range(world_size)
    ]
    assert [item for step in zip(*ranks, strict=True) for item in step] == whole


def test_fewer_objects_are_drawn_from_all_parts(root):
    data = joined(root, {"small": 0.5})
    data.loading = Loading(num_workers=0, batch_size=2, train_objects=8)
    dataset = data.train_dataloader().dataset
    kept = [dataset.source.indices[i] for i in range(8)]
    seen = epochs(data.train_dataloader().batch_sampler.sampler, 6)
    big = sum(id < 6 for id in kept)
    assert all(sum(kept[i] < 6 for _, i in items) == big for items in seen)
    assert all(len(items) == big + round((8 - big) / 2) for items in seen)


def test_photos_that_are_trained_and_evaluated_on_are_refused(root):
    data = joined(root, evaluate=["small", "held"])
    with pytest.raises(
        InputError,
        match=(
            r"data.parts.small: training and evaluation see the same objects.*data.split.*or name "
            r"it in one"
        ),
    ):
        data.objects("train")
    with pytest.raises(InputError, match=r"data.parts.held: training and evaluation see"):
        joined(root, train=["held", "big"], evaluate=["held"]).objects("train")
    assert not any("same objects" in line for line in joined(root).objects("train").notes)
    parts = {
        name: FolderDataModule(str(root / name), split=[0.5, 0.5]) for name in ("big", "small")
    }
    apart = JoinedDataModule(parts)
    images = [
        {source.image(i) for i in range(len(source))}
        for source in map(apart.objects, ("train", "test"))
    ]
    assert images[0]
    assert images[1]
    assert not images[0] & images[1]


def test_parts_with_and_without_masks_to_start_from_are_no_batch():
    item = {"id": 0, "mask": torch.zeros(2, 2), "clicks": np.zeros((0, 4), np.int64)}
    with pytest.raises(InputError, match="with and without a mask to start from"):
        collate([item, item | {"previous": torch.zeros(2, 2)}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": ["bigg"]}, "data.train names 'bigg'; did you mean big?"),
        ({"evaluate": []}, "data.evaluate names no part; the parts are big, small, held"),
        ({"weights": {"other": 1.0}}, "data.weights names 'other'; the parts are"),
        ({"weights": {"big": 0.0}}, "data.weights.big is 0.0; it is above 0"),
    ],
)
def test_what_no_part_is_called_is_told(root, options, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        joined(root, **options)


def test_problems_say_their_part(root):
    class Broken(ObjectSource):
        def __init__(self, goes_on):
            super().__init__()
            self.problems, self.goes_on = ["a.png is damaged"], goes_on

        def __len__(self):
            return 1

        size = name = read = None

    good = FolderDataModule(str(root / "big")).objects("train")
    assert JoinedSource({"one": Broken(True), "two": good}).problems == ["one: a.png is damaged"]
    assert JoinedSource({"one": Broken(True), "two": good}).goes_on
    assert not JoinedSource({"one": Broken(True), "two": Broken(False)}).goes_on


def test_coco_and_lvis_are_read_by_the_config(tmp_path, root):
    image, _ = draw(1, objects=1)
    box = [[20, 20, 60, 20, 60, 50, 20, 50]]
    for split, number in (("train", 1), ("val", 2)):
        file = f"{split}2017/{number:012}.jpg"
        write(tmp_path / file, image)
        row = {"id": number, "height": 72, "width": 96}
        outline = {
            "id": 1,
            "image_id": number,
            "category_id": 1,
            "segmentation": box,
            "area": 1200,
            "iscrowd": 0,
        }
        address = f"http://images.cocodataset.org/{file}"
        # LVIS 0.5 has such a name beside the address, 1.0 the address alone
        of_2014 = {"file_name": f"COCO_{split}2014_{number:012}.jpg"} if split == "train" else {}
        for name, entry, shapes in (
            (
                f"instances_{split}2017",
                {"file_name": file[-16:], "coco_url": address},
                [outline],
            ),
            (
                f"lvis_v1_{split}",
                {"coco_url": address} | of_2014,
                [outline, outline | {"id": 2}],
            ),
        ):
            content = {
                "images": [row | entry],
                "annotations": shapes,
                "categories": [{"id": 1, "name": "dog"}],
            }
            path = tmp_path / "annotations" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
    data = build(
        resolve(
            load(
                ["data/joined.yaml"], [f"data.parts.{n}.root={tmp_path}" for n in ("coco", "lvis")]
            )
        )["data"]
    )
    assert data.names("train") == [
        "coco/000000000001.jpg: dog (1)",
        "lvis/train2017/000000000001.jpg: dog (1)",
        "lvis/train2017/000000000001.jpg: dog (2)",
    ]
    assert data.names("test") == ["000000000002.jpg: dog (1)"]
    assert isinstance(data.parts["lvis"], CocoDataModule)
    one = load(
        ["data/joined.yaml"],
        ["data.parts.lvis=null", "data.weights.lvis=0.5", f"data.parts.coco.root={tmp_path}"],
    )
    assert build(resolve(one)["data"]).names("train") == ["000000000001.jpg: dog (1)"]
