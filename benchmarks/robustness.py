"""A model under users who click less well than the field's rule assumes, as one table.

    python -m benchmarks.robustness FOLDER [key=value ...] --model 'NAME=--checkpoint RUN'
        [--model ...] --data '--config data/grabcut.yaml data.root=PATH'
        [--users NAME ...] [--seeds 3] [--deciles 1 5 10] [--target 0.9]

Every line is played by evaluate.py itself; what is finished is not done again, what was killed goes
on. Users who draw are played with several seeds. Deciles are `SampledUser`'s, from the deepest to
the shallowest pixels of errors. `robustness.json` in FOLDER holds the figures; compare.py sets
several such folders side by side.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.running import run_once
from interseg.evaluation.comparison import Evaluation
from interseg.evaluation.robustness import decile_gap, robustness_table, user_row
from interseg.files import write_whole


class Player(NamedTuple):
    """A simulated user.

    Args:
        node: Config of the user.
        draws: Whether it draws at random.
    """

    node: str
    draws: bool = True


def player(name: str, options: str = "", draws: bool = True) -> Player:
    """Make a user of interseg.clicks.users."""
    return Player(f"{{_target_: interseg.clicks.users.{name}{options and ', '}{options}}}", draws)


DETERMINISTIC = "deterministic"
USERS = {
    DETERMINISTIC: player("RitmUser", draws=False),
    "best": player("ExtremeUser", "best: true", draws=False),
    "worst": player("ExtremeUser", "best: false", draws=False),
    "sampled": player("SampledUser"),
    "random": player("RandomUser"),
    "border": player("BorderUser"),
    "jitter, 5 pixels": player("JitterUser", "pixels: 5.0"),
    "jitter, 5 %": player("JitterUser", "percent: 5.0"),
    "jitter, 10 %": player("JitterUser", "percent: 10.0"),
    "negative first": player("NegativeFirstUser", draws=False),
    "repeated": player("RepeatingUser", draws=False),
    "needless": player("NeedlessUser"),
    "1 label in 10 wrong": player("MistakenUser", "probability: 0.1"),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--model",
        action="append",
        required=True,
        help="NAME=words of evaluate.py, e.g. 'itis=--checkpoint RUN'",
    )
    arguments.add_argument(
        "--data", type=shlex.split, default=[], help="config and overrides of the data played on"
    )
    arguments.add_argument(
        "--users",
        nargs="+",
        choices=USERS,
        metavar="NAME",
        default=list(USERS),
        help=", ".join(USERS).replace("%", "%%"),
    )
    arguments.add_argument("--seeds", type=int, default=3, help="of users who draw")
    arguments.add_argument(
        "--deciles",
        type=int,
        nargs="*",
        default=list(range(1, 11)),
        help="of sampled clicks; none: --deciles",
    )
    arguments.add_argument("--target", type=float, default=0.9, help="IoU of NoC")
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    models = {}
    for given in options.model:
        name, _, words = given.partition("=")
        line = [
            *shlex.split(words),
            *options.data,
            *options.overrides,
            f"targets=[{options.target}]",
        ]
        models[name] = measure_model(options.folder / name, line, options)
    write_whole(
        options.folder / "robustness.json",
        json.dumps({"target": options.target, "models": models}, indent=1),
    )
    print(robustness_table(models))


def measure_model(folder: Path, line: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Play a model by all users, and summarise."""
    base = play_user(folder, line, DETERMINISTIC, USERS[DETERMINISTIC], 0)
    rows = {}
    for name in options.users:
        seeds = range(options.seeds if USERS[name].draws else 1)
        runs = [play_user(folder, line, name, USERS[name], seed) for seed in seeds]
        rows[name] = user_row(runs, base, options.target)
    deciles = {}
    for number in options.deciles:
        sampled = player("SampledUser", f"decile: {number}")
        deciles[number] = [
            play_user(folder, line, f"decile {number}", sampled, seed)
            for seed in range(options.seeds)
        ]
        rows[f"decile {number}"] = user_row(deciles[number], base, options.target)
    return {
        "users": rows,
        "decile_gap": decile_gap(deciles, options.target) if len(deciles) > 1 else None,
    }


def play_user(folder: Path, line: list[str], name: str, user: Player, seed: int) -> Evaluation:
    """Evaluate with a user and a seed, unless that is finished."""
    run = folder / f"{name.replace(' ', '-').replace(',', '').replace('%', 'percent')}-{seed}"
    run_once(
        run / "report.json",
        "evaluate.py",
        *line,
        f"callbacks.loop.user={user.node}",
        f"callbacks.loop.seed={seed}",
        f"run={run}",
    )
    return Evaluation(run)


if __name__ == "__main__":
    main()
