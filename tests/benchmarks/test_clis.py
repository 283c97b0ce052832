"""Benchmarks of CLIS: starts and strengths of the methods, and tables."""

import json

from benchmarks.clis import CANDIDATES, folder_of, name_candidate, print_rounds, start_of, strengths
from benchmarks.clis import METHODS as METHOD_LINES
from benchmarks.clis_annotations import markdown


def test_the_benchmark_of_annotations_pairs_each_order_with_random_ones():
    rows = {
        ("error_mass", 4): (0.5, 0.7),
        ("random", 4): (0.4, 0.5),
        ("error_mass", 8): (0.6, 0.8),
        ("random", 8): (0.6, 0.8),
    }
    found = {
        key: [
            {"before": f"{key[1] / 10}", "basic": str(value), "sequence": str(sequence)}
            for sequence, value in enumerate(values)
        ]
        for key, values in rows.items()
    }
    assert markdown(found, "basic").splitlines() == [
        "| | before | 4 | 8 |",
        "|---|---|---|---|",
        "| error mass | 0.400 / 0.800 | 0.600, +0.150 [-0.485, +0.785] | "
        "0.700, +0.000 [+0.000, +0.000] |",
        "| random | 0.400 / 0.800 | 0.450 | 0.700 |",
    ]


def test_the_benchmark_begins_every_method_with_the_one_pretraining():
    assert {start_of(method)[0] for method in METHOD_LINES} == {
        "pretrained",
        "pretrained-variational",
    }
    assert start_of("EWC, 100") == ("pretrained", [])
    assert start_of("CLIS, variational from scratch") == (
        "pretrained-variational",
        ["--config", "clis/variational.yaml"],
    )


def test_the_benchmark_takes_the_strengths_that_are_best_over_all_sets(tmp_path):
    for number, name in enumerate(("a", "b")):
        for method, candidates in CANDIDATES.items():
            for place, value in enumerate(
                candidates
            ):  # the first is best in a, the last in b, by more
                run = folder_of(tmp_path / name, name_candidate(method, value))
                run.mkdir(parents=True)
                figure = 0.6 - 0.1 * place if number == 0 else 0.4 + 0.2 * place
                (run / "transfer.json").write_text(
                    json.dumps({"mean": dict.fromkeys(("basic", "forward", "backward"), figure)})
                )
    found = strengths([tmp_path / "a", tmp_path / "b"])
    assert found == {
        method: list(candidates.values())[-1] for method, candidates in CANDIDATES.items()
    }
    assert strengths([tmp_path / "a"])["EWC"] == ["model.consolidation.weight=100"]
    assert strengths([]) == {}


def test_the_benchmark_prints_what_a_round_takes(capsys):
    rounds = [
        {"basic": 0.8, "seconds": 1.5, "passes": 110.0},
        {"basic": 0.85, "seconds": None, "passes": None},
    ]
    print_rounds({"CLIS": rounds})
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| CLIS | round 1 | 0.800 | 1.50 | 110 |",
        "| CLIS | round 2 | 0.850 |  |  |",
    ]
