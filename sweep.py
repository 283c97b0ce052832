"""Write a sweep's jobs for SLURM, without wandb: `python sweep.py SWEEP.yaml FOLDER [--count N]`.

FOLDER/jobs.txt has a line of arguments per job; job K trains in FOLDER/K. The command reads the
files that `wandb sweep` reads: every combination of a `grid`, or `--count` jobs drawn at random for
any method; a search that learns from finished runs (`bayes`) needs wandb.
"""

import argparse
import itertools
import json
import math
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from configs import read
from configs.console import run_guarded
from interseg.errors import InputError
from interseg.files import write_whole

MACROS = ("${env}", "${interpreter}", "python", "${program}")
"""Words at the start of a sweep's command; a job's script has them itself."""


def main() -> None:
    """Read the sweep, write the list of jobs, and print the command that queues them."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("sweep", help="a file of configs/sweeps/, or your own")
    arguments.add_argument("folder", type=Path, help="for the list and the runs")
    arguments.add_argument("--count", type=int, help="jobs, drawn at random")
    options = arguments.parse_args()
    is_file = Path(options.sweep).is_file()
    sweep = read(options.sweep if is_file else Path("sweeps", options.sweep))
    lines = []
    for number, values in enumerate(combinations(sweep, options.count)):
        lines.append(line(sweep, values, options.folder / str(number)))
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

    Args:
        sweep: Content of the file.
        count: Number of jobs to draw at random; None for every combination.

    Raises:
        InputError: The method is not grid and there is no count, a parameter has no values, or
            another program than train.py is swept.
    """
    program = Path(sweep.get("program", "train.py")).name
    if program != "train.py":
        raise InputError(f"the sweep's program is {program}; jobs of configs/slurm train")
    method, parameters = sweep.get("method"), sweep.get("parameters", {})
    if not parameters:
        raise InputError("the sweep has no parameters")
    for key, parameter in parameters.items():
        if not isinstance(parameter, dict):
            raise InputError(
                f"the sweep's parameter {key} is {parameter!r}; write {key}: {{values: [...]}}"
            )
    if count is not None and count < 1:
        raise InputError(f"--count is {count}; give 1 or more, or leave it out for a grid")
    if count is not None:
        generator = np.random.default_rng(0)
        return [draw_job(parameters, generator) for _ in range(count)]
    if method != "grid":
        raise InputError(
            f"the sweep's method is {method!r}: "
            "give --count N to draw N jobs at random, or use `wandb sweep`"
        )
    choices = [list_values(key, parameter) for key, parameter in parameters.items()]
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*choices)]


def draw_job(parameters: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """Draw the values of a job by key."""
    return {key: draw_value(key, parameter, generator) for key, parameter in parameters.items()}


def list_values(key: str, parameter: dict[str, Any]) -> list[Any]:
    """List all values of a parameter."""
    if "value" in parameter:
        return [parameter["value"]]
    if not parameter.get("values"):
        raise InputError(
            f"the sweep's parameter {key} has no values; "
            "a grid needs `values: [...]` or `value: ...`"
        )
    return list(parameter["values"])


def draw_value(key: str, parameter: dict[str, Any], generator: np.random.Generator) -> Any:
    """Draw a value of a parameter, of its list or of one of wandb's distributions."""
    if "value" in parameter or "values" in parameter:
        values = list_values(key, parameter)
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
    """Write a job's arguments as a shell reads them.

    They are the sweep's command without wandb, with the values in place of its `${args...}`.
    """
    given = [
        f"{key}={value if isinstance(value, str) else as_override(value)}"
        for key, value in values.items()
    ]
    words: list[str] = []
    for word in sweep.get("command", ["${program}", "${args_no_hyphens}"]):
        if word.startswith("${args"):
            words += given
        elif word not in {*MACROS, sweep.get("program"), "logger=wandb"}:
            words.append(re.sub(r"\$\{envvar:(\w+)\}", lambda found: environment(found[1]), word))
    return shlex.join([*words, f"run={run.resolve()}"])


def as_override(value: Any) -> str:
    """Write a value as YAML reads it, whose infinities and NaN are not JSON's."""
    text = json.dumps(value)
    for ours, theirs in (("-Infinity", "-.inf"), ("Infinity", ".inf"), ("NaN", ".nan")):
        text = re.sub(rf"(?<![\w\"]){ours}(?![\w\"])", theirs, text)
    return text


def environment(name: str) -> str:
    """Return an environment variable that the sweep's command refers to."""
    if name not in os.environ:
        raise InputError(f"the sweep's command needs the environment variable {name}; export it")
    return os.environ[name]


if __name__ == "__main__":
    run_guarded(main)
