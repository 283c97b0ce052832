"""Sweeps without wandb: every file of configs/sweeps gives jobs whose arguments train.py takes."""

import math
import shlex
from pathlib import Path

import pytest

import sweep
from configs import load, parse, read
from interseg.errors import InputError

SWEEPS = sorted((Path(__file__).parent.parent.parent / "configs" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_sweep_gives_jobs_that_train_takes(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA", "/some/data set")
    monkeypatch.setattr(
        "sys.argv",
        [
            "sweep.py",
            file.name,
            str(tmp_path),
            *(["--count", "5"] if "bayes" in file.read_text() else []),
        ],
    )
    sweep.main()
    jobs = [shlex.split(line) for line in (tmp_path / "jobs.txt").read_text().splitlines()]
    assert f"--array=0-{len(jobs) - 1} configs/slurm/train.sh" in capsys.readouterr().out
    assert len({tuple(job[:-1]) for job in jobs}) == len(jobs)
    assert all(job[:2] == ["--config", "itis.yaml"] for job in jobs)
    for number in {*range(0, len(jobs), 7), len(jobs) - 1}:
        job = jobs[number]
        config = load([job[1]], job[2:])
        assert config["run"] == str(tmp_path / str(number))
        assert config["data"]["root"] == "/some/data set"
        assert config["logger"] == "csv"
    values = read(file)["parameters"]
    varied = [dict(word.split("=", 1) for word in job if "=" in word) for job in jobs]
    for key, parameter in values.items():
        if "values" in parameter:
            assert {v[key] for v in varied} == {str(value) for value in parameter["values"]}
        else:
            assert all(parameter["min"] <= float(v[key]) <= parameter["max"] for v in varied)


def test_values_are_written_as_yaml_reads_them(tmp_path):
    given = {"a": None, "b": True, "c": [1, None], "d": "${data.root}", "e": 1e-3, "f": "1e-3"}
    given |= {"g": [math.inf, -math.inf, "Infinity"]}
    words = shlex.split(sweep.line({}, given, tmp_path))[:-1]
    assert [next(iter(parse(word).values())) for word in words] == [
        *(None, True, [1, None], "${data.root}", 0.001, 0.001),
        [math.inf, -math.inf, "Infinity"],
    ]


def test_the_printed_command_takes_a_folder_of_any_name(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "it's mine"
    monkeypatch.setenv("DATA", "x")
    monkeypatch.setattr("sys.argv", ["sweep.py", "itis.yaml", str(folder)])
    sweep.main()
    assert shlex.split(capsys.readouterr().out)[0] == f"JOBS={folder / 'jobs.txt'}"


def test_draws_follow_their_distribution_and_are_the_same_again():
    parameters = {
        "a": {"min": 2, "max": 4},
        "b": {"min": 0.0, "max": 1.0},
        "c": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-2},
        "d": {"values": ["x", "y"], "probabilities": [0.0, 1.0]},
        "e": {"value": 7},
    }
    jobs = sweep.combinations({"method": "random", "parameters": parameters}, 400)
    assert jobs == sweep.combinations({"method": "random", "parameters": parameters}, 400)
    assert {job["a"] for job in jobs} == {2, 3, 4}
    assert 0.4 < sum(job["b"] for job in jobs) / 400 < 0.6
    assert 0.4 < sum(job["c"] < 1e-4 for job in jobs) / 400 < 0.6
    assert {(job["d"], job["e"]) for job in jobs} == {("y", 7)}


@pytest.mark.parametrize(
    ("content", "count", "message"),
    [
        ({"method": "bayes", "parameters": {"a": {"value": 1}}}, None, "'bayes': give --count N"),
        ({"method": "grid", "parameters": {"a": {"value": 1}}}, 0, "--count is 0; give 1 or more"),
        (
            {"method": "grid", "parameters": {"a": [1, 2]}},
            None,
            r"a is \[1, 2\]; write a: {values:",
        ),
        ({"method": "grid", "parameters": {"a": {"min": 1, "max": 2}}}, None, "a has no values"),
        (
            {"method": "random", "parameters": {"a": {"mu": 1}}},
            3,
            "a needs `values`, or `min` and `max`; got mu",
        ),
        (
            {
                "method": "random",
                "parameters": {"a": {"min": 1, "max": 2, "distribution": "normal"}},
            },
            3,
            "distribution normal",
        ),
        ({"method": "grid"}, None, "no parameters"),
        ({"program": "evaluate.py", "method": "grid"}, None, "program is evaluate.py"),
        (
            {
                "method": "grid",
                "parameters": {"a": {"value": 1}},
                "command": ["${envvar:NOWHERE_SET}"],
            },
            None,
            "NOWHERE_SET",
        ),
    ],
)
def test_what_cannot_be_queued_is_named(content, count, message, tmp_path):
    with pytest.raises(InputError, match=message):
        sweep.line(content, sweep.combinations(content, count)[0], tmp_path)
