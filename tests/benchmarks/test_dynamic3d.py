"""Runs of benchmarks.dynamic3d: every row is a config, parts of an array share them."""

import pytest

from benchmarks import dynamic3d
from configs import load, resolve
from configs.options import parser
from tests.benchmarks.dynamic3d_runs import call


def test_every_row_is_a_config(made, monkeypatch, tmp_path):
    for part in ("0/2", "1/2"):
        data = "--config data/msd.yaml data.seed=3"
        call(
            monkeypatch,
            tmp_path,
            "--data",
            data,
            "--part",
            part,
            "--permutations",
            "2",
            "--steps",
            "5",
            "--first",
            "10",
            "20",
        )
    assert len(made) == len({folder for folder, _ in made}) == 2 * (len(dynamic3d.ROWS) + 2)
    for folder, words in made:
        options = parser("").parse_intermixed_args(list(words))
        config = resolve(load(options.config, options.overrides))
        rounds = 1 if config["protocol"].get("labels") == "whole" else 6
        assert config["data"]["seed"] == 3, "one split for all rows"
        if not folder.name.startswith("offline"):
            assert (config["model"]["steps"], config["model"]["more_steps"]) == (30 // rounds, 0)
        assert ("pretrained" in config["model"]) == folder.name.startswith(("warm", "after"))
        number = folder.name.rpartition("-")[2]
        first = {f"offline_first-{count}-{number}": [int(number), count] for count in (10, 20)}.get(
            folder.name
        )
        assert config["protocol"].get("first") == first


@pytest.mark.parametrize("part", ["2/2", "1", "-1/2"])
def test_a_part_that_is_none_is_refused(made, monkeypatch, tmp_path, part):
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path, "--data", "--config data/msd.yaml", f"--part={part}")
    assert not made


def test_a_row_and_the_one_that_it_starts_from_are_of_one_part(made, monkeypatch, tmp_path):
    parts = []
    for part in range(3):
        before = len(made)
        call(monkeypatch, tmp_path, "--data", "--config data/msd.yaml", "--part", f"{part}/3")
        parts.append([folder.name for folder, _ in made[before:]])
    for name, start in dynamic3d.STARTS.items():
        for permutation in range(3):
            both = [dynamic3d.run_folder(tmp_path, row, permutation).name for row in (start, name)]
            (part,) = [part for part in parts if both[1] in part]
            assert part.index(both[0]) < part.index(both[1])
