"""A sweep without wandb: `python sweep.py SWEEP.yaml FOLDER [--count N]` writes FOLDER/jobs.txt, a line of arguments a job, for SLURM.

It reads the files that `wandb sweep` reads: every combination of a `grid`, or `--count` jobs drawn
at random whatever the method; a search that learns from finished runs (`bayes`) needs wandb. Job K
trains in FOLDER/K.
"""

import argparse
import itertools
import math
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from configs import read
from configs.console import guarded
from interseg.errors import InputError
from interseg.files import write_whole

MACROS = ("${env}", "${interpreter}", "python", "${program}")
"""What a sweep's command begins with; a job's script says it itself."""


def main() -> None:
    """Read the sweep, write the list, print the command that queues it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("sweep", help="a file of configs/sweeps/, or your own")
    arguments.add_argument("folder", type=Path, help="for the list and the runs")
    arguments.add_argument("--count", type=int, help="jobs, drawn at random")
    options = arguments.parse_args()
    sweep = read(
        Path("sweeps", options.sweep) if not Path(options.sweep).is_file() else options.sweep
    )
    chosen = combinations(sweep, options.count)
    lines = [
        line(sweep, values, options.folder / str(number)) for number, values in enumerate(chosen)
    ]
    options.folder.mkdir(parents=True, exist_ok=True)
    listed = options.folder.resolve() / "jobs.txt"
    content = "\n".join(lines) + "\n"
    if listed.exists() and listed.read_text() != content:
        raise InputError(
            f"{listed} is of another sweep, whose runs lie beside it; give another folder"
        )
    write_whole(listed, content)
    print(
        f"JOBS={shlex.quote(str(listed))} sbatch --array=0-{len(lines) - 1} configs/slurm/train.sh"
    )


def combinations(sweep: dict[str, Any], count: int | None = None) -> list[dict[str, Any]]:
    """List the values of each job by key.

    Raises:
        InputError: another method than grid without a count, a parameter without values.
    """
    method, parameters = sweep.get("method"), sweep.get("parameters", {})
    if not parameters:
        raise InputError("the sweep has no parameters")
    if count is not None and count > 0:
        generator = np.random.default_rng(0)
        return [
            {key: drawn(key, parameter, generator) for key, parameter in parameters.items()}
            for _ in range(count)
        ]
    if method != "grid":
        raise InputError(
            f"the sweep's method is {method!r}, --count {count}: "
            "give --count N to draw N jobs at random, or use `wandb sweep`"
        )
    return [
        dict(zip(parameters, values, strict=True))
        for values in itertools.product(*(listed(k, p) for k, p in parameters.items()))
    ]


def listed(key: str, parameter: dict[str, Any]) -> list[Any]:
    """All values of a parameter."""
    if "value" in parameter:
        return [parameter["value"]]
    if not parameter.get("values"):
        raise InputError(
            f"the sweep's parameter {key} has no values; a grid needs `values: [...]` or `value: "
            "...`"
        )
    return list(parameter["values"])


def drawn(key: str, parameter: dict[str, Any], generator: np.random.Generator) -> Any:
    """One value of a parameter: of its list, or of the distributions that wandb has between `min` and `max`."""
    if "value" in parameter or "values" in parameter:
        values = listed(key, parameter)
        return values[int(generator.choice(len(values), p=parameter.get("probabilities")))]
    if not {"min", "max"} <= parameter.keys():
        raise InputError(
            f"the sweep's parameter {key} needs `values`, or `min` and `max`; "
            f"got {', '.join(parameter)}"
        )
    low, high = parameter["min"], parameter["max"]
    whole = isinstance(low, int) and isinstance(high, int)
    distribution = parameter.get("distribution", "int_uniform" if whole else "uniform")
    if distribution == "int_uniform":
        return int(generator.integers(low, high + 1))
    if distribution == "uniform":
        return float(generator.uniform(low, high))
    if distribution == "log_uniform_values":
        return float(math.exp(generator.uniform(math.log(low), math.log(high))))
    raise InputError(
        f"the sweep's parameter {key} has distribution {distribution}; "
        "use int_uniform, uniform or log_uniform_values"
    )


def line(sweep: dict[str, Any], values: dict[str, Any], run: Path) -> str:
    """Write a job's arguments as a shell reads them: the sweep's command without wandb, with the values in place of its `${args...}`."""
    given = [f"{key}={value}" for key, value in values.items()]
    words: list[str] = []
    for word in sweep.get("command", ["${program}", "${args_no_hyphens}"]):
        if word.startswith("${args"):
            words += given
        elif word not in {*MACROS, sweep.get("program"), "logger=wandb"}:
            words.append(re.sub(r"\$\{envvar:(\w+)\}", lambda found: environment(found[1]), word))
    return shlex.join([*words, f"run={run.resolve()}"])


def environment(name: str) -> str:
    """Return a variable that the sweep's command refers to."""
    if name not in os.environ:
        raise InputError(f"the sweep's command needs the environment variable {name}; export it")
    return os.environ[name]


if __name__ == "__main__":
    guarded(main)
