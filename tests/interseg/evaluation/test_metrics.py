import os

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from interseg.evaluation.contributions import Contribution
from interseg.evaluation.crops import Crops
from interseg.evaluation.metrics import (
    EFFORT_TARGETS,
    OUTCOME,
    Interactions,
    clicks_to,
    effort,
    failures,
    summarise,
)
from interseg.evaluation.refinements import Refinements
from tests.helpers.outcomes import CURVES, PLAYED


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
    assert failures(torch.tensor([[0.1, float("nan")], [0.1, 0.9]]), 0.85) == 1, "NaN reaches none"
    assert figures["clicks_to_mean@85"] == 4
    assert figures["miou@0"] == pytest.approx(0.15)
    assert len(figures["effort"]) == len(EFFORT_TARGETS)
    assert figures["miou@1"] == pytest.approx(np.mean([0.5, 0.9, 0.1, 0.2]))
    mean = CURVES.mean(0)
    assert figures["auc"] == pytest.approx(float((mean[:-1] + mean[1:]).sum() / 2 / 3))


@pytest.mark.parametrize("target", [0.4, 0.85, 0.95])
def test_effort_is_what_a_user_gives_and_gets_who_stops_at_a_target(target):
    clicks, obtained = [], []
    for curve in CURVES.tolist():
        given = next((k for k, value in enumerate(curve, 1) if value >= target), len(curve))
        clicks.append(given)
        obtained.append(curve[given - 1])
    (row,) = effort(CURVES, (target,))
    assert row == {
        "target": target,
        "clicks": np.mean(clicks),
        "miou": pytest.approx(np.mean(obtained)),
    }


def test_clicks_to_mean_needs_full_curves_and_may_never_come():
    assert "clicks_to_mean@85" not in summarise(PLAYED, (0.85,), full_curves=False)
    assert summarise(PLAYED, (0.99,), full_curves=True)["clicks_to_mean@99"] is None


def rows(ids):
    ids = torch.tensor(ids)
    curves = ids[:, None].double() / 100 + torch.arange(3)
    clicks = torch.full((len(ids), 3, 4), -1)
    clicks[:, 0] = torch.stack([ids, ids, torch.ones_like(ids), ids % 2], 1)
    return {
        "id": ids,
        "starts": ids.double() / 50,
        "curves": curves,
        "outlines": curves[..., None] / torch.tensor([2.0, 4.0]),
        "clicks": clicks,
        "correct": (clicks[..., 2] >= 0).long(),
        "network_seconds": (clicks[..., 2] >= 0) * 0.25,
        "simulator_seconds": torch.full((len(ids),), 0.125),
        "refinements": ids[:, None] * torch.tensor([1, 2, 0]),
        "boxes": ids[:, None, None] + torch.tensor([0, 0, 9, 9]).expand(4, 4),
        "drawn": ids / 10,
    }


OWN = (Refinements(), Crops(16))


def rank_main(rank, port, shards, results):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=len(shards))
    metric = Interactions(contributions=OWN)
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
    single = Interactions(contributions=OWN)
    ids = sorted({id for shard in shards for batch in shard for id in batch})
    if ids:
        single.update(rows(ids))
    expected = single.compute(), {key: value.tolist() for key, value in single.outcome.items()}
    assert results[0] == results[1] == expected
    assert expected[0].get("objects", 0) == len(ids)
    assert set(expected[1]) == (set(rows([])) if ids else set())


class Hard(Contribution):
    """A method's own rule: objects whose `easy` is 0 are never good enough."""

    keys, shown = ("easy",), ("hard",)

    def adjust_curves(self, outcome, curves):
        return curves * outcome["easy"][:, None]

    def figures(self, outcome):
        return {"hard": int((outcome["easy"] == 0).sum())}


def test_a_contribution_says_how_clicks_are_counted_and_adds_its_figures():
    boxes = torch.tensor([[(0, 0, 9, 9), (1, 1, 4, 4), (0,) * 4, (0,) * 4]] * 4)
    outcome = PLAYED | {"easy": torch.tensor([0, 1, 1, 1]), "boxes": boxes, "drawn": torch.zeros(4)}
    metric = Interactions((0.85,), True, [Hard(), Crops(16)])
    assert metric.keys == (*OUTCOME, "easy", "boxes", "drawn")
    metric.update({key: value[:2] for key, value in outcome.items()})
    assert metric.own_curves().tolist() == [[0.0] * 4, CURVES[1].tolist()]
    metric.update({key: value[1:] for key, value in outcome.items()})
    figures = metric.compute()
    assert metric.all_curves().tolist() == [[0.0] * 4, *CURVES[1:].tolist()]
    assert metric.outcome["curves"].tolist() == CURVES.tolist()
    plain = summarise(PLAYED, (0.85,), full_curves=True)
    own = {
        "noc@85": (4 + 1 + 4 + 4) / 4,
        "failures@85": 2,
        "failures_reference@85": 3,
        "hard": 1,
        "contributed": ["hard", "outside"],
    }
    (at_85,) = [row for row in figures["effort"] if row["target"] == 0.85]
    assert at_85["clicks"] == own["noc@85"]
    obtained = CURVES.double()[torch.arange(4), [3, 0, 3, 3]].mean()
    assert at_85["miou"] == pytest.approx(float(obtained)), "the IoU itself is nobody's rule"
    assert figures == plain | own | {"effort": figures["effort"]}


def test_figures_of_clicks_are_those_of_the_clicks_that_were_given():
    given, correct = [3, 0, 1, 2], [[1, 1, 3], [0, 0, 0], [0, 0, 0], [1, 2, 0]]
    clicks = torch.full((4, 3, 4), -1)
    for row, count in zip(clicks, given, strict=True):
        row[:count] = torch.tensor([5, 6, 0, 0])
    seconds = torch.tensor(
        [[(k + 1.0) / (i + 2) if k < given[i] else 0 for k in range(3)] for i in range(4)],
        dtype=torch.float64,
    )
    outcome = PLAYED | {
        "curves": CURVES[:, :3],
        "clicks": clicks,
        "correct": torch.tensor(correct),
        "network_seconds": seconds,
    }
    figures = summarise(
        outcome | {"simulator_seconds": torch.tensor([0.5, 0.25, 0, 0.75])},
        (0.85,),
        full_curves=False,
    )
    for k in (1, 2, 3):
        rows = [i for i in range(4) if given[i] >= k]
        assert figures[f"accuracy@{k}"] == pytest.approx(
            np.mean([correct[i][k - 1] / k for i in rows])
        )
        assert figures[f"seconds@{k}"] == pytest.approx(np.mean([k / (i + 2) for i in rows]))
    assert figures["clicked"] == (1 + 2 + 3) + 1 + (1 + 2)
    assert figures["clicked_wrong"] == (0 + 1 + 0) + 1 + (0 + 0)
    assert figures["network_seconds_per_click"] == pytest.approx(float(seconds.sum()) / 6)
    assert figures["simulator_seconds_per_click"] == pytest.approx(1.5 / 6)


def test_objects_below_the_target_after_k_clicks_are_counted_and_five_clicks_have_a_name():
    generator = np.random.default_rng(0)
    curves = generator.random((7, 12))
    clicks = torch.ones(7, 12, 4, dtype=torch.int64)
    more = {
        "curves": torch.from_numpy(curves),
        "outlines": torch.from_numpy(generator.random((7, 12, 2))),
        "clicks": clicks,
    }
    more |= {
        "id": torch.arange(7),
        "starts": torch.zeros(7),
        "correct": torch.ones(7, 12),
        "network_seconds": torch.ones(7, 12),
    }
    figures = summarise(
        more | {"simulator_seconds": torch.zeros(7)}, (0.85, 0.95), full_curves=True
    )
    for q in (85, 95):
        for k in (5, 10):
            assert figures[f"nof{k}@{q}"] == sum(
                max(curve[:k]) < q / 100 for curve in curves.tolist()
            )
        assert f"nof20@{q}" not in figures
    of_five = {key: value[:, :5] for key, value in more.items() if value.ndim > 1}
    ended = summarise(more | of_five | {"simulator_seconds": torch.zeros(7)}, (0.85,), True)
    assert ended["nof5@85"] == ended["failures@85"], "a game may end with the fifth click"
    assert figures["noc@95"] == np.mean([noc_reference(c, 0.95) for c in curves])
    assert figures["5-miou"] == figures["miou@5"] == pytest.approx(curves[:, 4].mean())
    for number, name in enumerate(("boundary_iou", "boundary_f")):
        means = more["outlines"][..., number].mean(0)
        assert [figures[f"{name}@{k}"] for k in range(1, 13)] == pytest.approx(means.tolist())
    assert "5-miou" not in summarise(
        more | {"simulator_seconds": torch.zeros(7)}, (0.85,), full_curves=False
    )


def test_harm_and_medians_are_of_the_clicks_that_were_given():
    curves = torch.tensor(
        [[0.5, 0.49, 0.6, 0.6], [0.3, 0.3, 0.3, 0.3], [0.2, 0.9, 0.5, 0.51]], dtype=torch.float64
    )
    clicks = torch.full((3, 4, 4), -1)
    clicks[0, :4], clicks[1, :1], clicks[2, :3] = 1, 1, 1
    seconds = torch.tensor([[1.0, 2, 3, 4], [9, 0, 0, 0], [5, 6, 7, 0]])
    starts = torch.tensor([0.0, 0.8, 0.0], dtype=torch.float64)
    more = {
        "curves": curves,
        "clicks": clicks,
        "starts": starts,
        "network_seconds": seconds,
        "correct": torch.zeros(3, 4),
    }
    figures = summarise(
        PLAYED | {"outlines": torch.ones(3, 4, 2)} | more, (0.85,), full_curves=False
    )
    assert figures["regress"] == 3 / 8  # 0.5 to 0.49, 0.8 to 0.3, 0.9 to 0.5
    assert figures["regress_2"] == 2 / 8
    assert figures["median_seconds_per_click"] == 4.5
    assert figures["median_seconds_per_object"] == 10
