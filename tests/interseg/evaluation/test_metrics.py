import os

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from interseg.evaluation.metrics import EFFORT_TARGETS, Interactions, clicks_to, effort, interval, iou, summarise

CURVES = torch.tensor([[0.5, 0.86, 0.7, 0.91], [0.9, 0.9, 0.9, 0.9], [0.1, 0.2, 0.3, 0.84], [0.2, 0.4, 0.6, 0.85]], dtype=torch.float64)
IMAGE, OBJECT = (0, 0, 100, 200), (20, 30, 60, 90)
PLAYED = {
    "curves": CURVES,
    "starts": torch.tensor([0.0, 0.5, 0.0, 0.1], dtype=torch.float64),
    "clicks": torch.ones(4, 4, 3, dtype=torch.int64),
    "correct": torch.arange(1, 5).repeat(4, 1),
    "network_seconds": torch.full((4, 4), 0.5, dtype=torch.float64),
    "simulator_seconds": torch.zeros(4, dtype=torch.float64),
    "refinements": torch.zeros(4, 3, dtype=torch.int64),
    "boxes": torch.tensor([[IMAGE, OBJECT, (0, 0, 0, 0), (0, 0, 0, 0)]] * 4),
}


def noc_reference(curve, target):
    for k, value in enumerate(curve.tolist(), 1):
        if value >= target:
            return k
    return len(curve)


@pytest.mark.parametrize("target", [0.05, 0.5, 0.85, 0.9, 0.95])
def test_noc_is_the_first_click_that_reaches_the_target(target):
    assert clicks_to(CURVES, target).tolist() == [noc_reference(c, target) for c in CURVES]


def test_summary_counts_failures_apart_from_the_reference_codes():
    figures = summarise(PLAYED, (0.85,), full_curves=True)
    assert figures["noc@85"] == (2 + 1 + 4 + 4) / 4
    assert figures["failures@85"] == 1
    assert figures["failures_reference@85"] == 2  # a success on the last click counts there too
    assert figures["clicks_to_mean@85"] == 4
    assert figures["miou@0"] == pytest.approx(0.15)
    assert len(figures["effort"]) == len(EFFORT_TARGETS)
    assert figures["miou@1"] == pytest.approx(np.mean([0.5, 0.9, 0.1, 0.2]))
    mean = CURVES.mean(0)
    assert figures["auc"] == pytest.approx(float((mean[:-1] + mean[1:]).sum() / 2 / 3))


def test_an_object_outside_its_crop_counts_all_clicks_and_keeps_its_iou():
    boxes = PLAYED["boxes"].clone()
    boxes[0, 2:] = torch.tensor([(20, 30, 60, 90), (10, 20, 70, 100)])
    boxes[1, 2:] = torch.tensor([(25, 30, 60, 90), (15, 20, 70, 100)])
    boxes[2, 2:] = torch.tensor([(0, 0, 100, 90), (0, 0, 100, 100)])
    boxes[3, 2:] = torch.tensor([(40, 30, 60, 90), (30, 20, 70, 100)])  # cut at the top, padding or not
    figures = summarise(PLAYED | {"boxes": boxes}, (0.8, 0.85), full_curves=False)
    assert figures["outside"] == 1
    assert figures["noc@80"] == (2 + 1 + 4 + 4) / 4
    assert figures["failures@80"] == 1
    assert figures["failures@85"] == 2
    assert figures["miou@4"] == pytest.approx(float(CURVES[:, 3].mean()))
    assert [figures[f"recall+{p}"] for p in (0, 5, 10, 20)] == [0.5, 0.75, 0.75, 1.0]
    kept = [40 * 60, 35 * 60, 100 * 90, 20 * 60]
    assert figures["area_reduction+0"] == pytest.approx(1 - sum(kept) / 4 / 20000)
    kept = [60 * 80, 55 * 80, 100 * 100, 40 * 80]
    assert figures["area_reduction+10"] == pytest.approx(1 - sum(kept) / 4 / 20000)
    boxes[:, 2:] = torch.tensor(IMAGE)  # a method that crops, and kept everything
    figures = summarise(PLAYED | {"boxes": boxes}, (0.8,), full_curves=False)
    assert (figures["outside"], figures["recall+0"], figures["area_reduction+0"]) == (0, 1.0, 0.0)
    assert "outside" not in summarise(PLAYED, (0.8,), full_curves=False)


@pytest.mark.parametrize("target", [0.4, 0.85, 0.95])
def test_effort_is_what_a_user_gives_and_gets_who_stops_at_a_target(target):
    clicks, obtained = [], []
    for curve in CURVES.tolist():
        given = next((k for k, value in enumerate(curve, 1) if value >= target), len(curve))
        clicks.append(given)
        obtained.append(curve[given - 1])
    (row,) = effort(CURVES, (target,))
    assert row == {"target": target, "clicks": np.mean(clicks), "miou": pytest.approx(np.mean(obtained))}


def test_clicks_to_mean_needs_full_curves_and_may_never_come():
    assert "clicks_to_mean@85" not in summarise(PLAYED, (0.85,), full_curves=False)
    assert summarise(PLAYED, (0.99,), full_curves=True)["clicks_to_mean@99"] is None


def test_iou_leaves_out_ignored_pixels_and_calls_an_empty_union_one():
    mask = np.array([[1, 1, 0, 0, 255]], np.uint8)
    assert iou(np.array([[True, False, True, False, True]]), mask) == 1 / 3
    assert iou(np.zeros((1, 5), bool), np.where(mask == 1, 0, mask).astype(np.uint8)) == 1.0


def rows(ids):
    ids = torch.tensor(ids)
    curves = ids[:, None].double() / 100 + torch.arange(3)
    clicks = torch.full((len(ids), 3, 3), -1)
    clicks[:, 0] = torch.stack([ids, ids, torch.ones_like(ids)], 1)
    return {
        "id": ids,
        "starts": ids.double() / 50,
        "curves": curves,
        "clicks": clicks,
        "correct": (clicks[..., 2] >= 0).long(),
        "network_seconds": (clicks[..., 2] >= 0) * 0.25,
        "simulator_seconds": torch.full((len(ids),), 0.125),
        "refinements": ids[:, None] * torch.tensor([1, 2, 0]),
        "boxes": ids[:, None, None] + torch.tensor([0, 0, 9, 9]).expand(4, 4),
    }


def rank_main(rank, port, shards, results):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=len(shards))
    metric = Interactions()
    for ids in shards[rank]:
        metric.update(rows(ids))
    results[rank] = metric.compute(), {key: value.tolist() for key, value in metric.outcome.items()}
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "shards",
    [
        [[[5, 1], [8]], [[3, 7], [5]]],  # rank 1 has the padded repeat of 5
        [[[5, 1, 8], [3, 7]], []],
        [[], [[5, 1, 8], [3, 7]]],
        [[[4]], []],
        [[], []],
    ],
)
def test_two_ranks_gather_what_one_gathers(free_port, shards):
    results = mp.Manager().dict()
    mp.start_processes(rank_main, (free_port, shards, results), nprocs=2, start_method="fork")
    single = Interactions()
    ids = sorted({id for shard in shards for batch in shard for id in batch})
    if ids:
        single.update(rows(ids))
    expected = single.compute(), {key: value.tolist() for key, value in single.outcome.items()}
    assert results[0] == results[1] == expected
    assert expected[0].get("objects", 0) == len(ids)


def test_an_interval_is_that_of_drawn_means_and_narrows_with_more_values():
    rng = np.random.default_rng(1)
    few, many = rng.normal(0.4, 1, 60), rng.normal(size=400)
    drawn = np.sort([few[rng.integers(60, size=60)].mean() for _ in range(20000)])
    assert interval(few) == pytest.approx((drawn[500], drawn[19500]), abs=0.02)
    assert np.ptp(interval(many.tolist())) < np.ptp(interval(few))
    assert interval([2.0, 2.0]) == (2, 2)
    assert np.isnan(interval([1.0])).all()
