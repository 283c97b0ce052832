"""Inner rounds (RITM) and the memory of clicks (ITIS), alone and together, at equal training time.

    python -m benchmarks.rounds FOLDER --minutes 30 [--method small.yaml] [--seeds 3] [--probe 40]
        --data '--config benchmarks/sources.yaml data.root=PATH' [key=value ...]

How steps are chosen, and what goes on after a kill: `benchmarks/equal_time.py`.
"""

from benchmarks.equal_time import arguments_of, print_markdown, train_and_evaluate

ITIS = [
    "loading.initial={_target_: interseg.clicks.initial.InitialClicks}",
    "callbacks.loop.train_user={_target_: interseg.clicks.users.ItisUser}",
]
ROWS = {
    "initial clicks alone": ["callbacks.loop.inner_rounds=0"],
    "memory": [*ITIS, "callbacks.loop.iterative=true", "callbacks.loop.inner_rounds=0"],
    "inner rounds": [],
    "memory and inner rounds": ["callbacks.loop.iterative=true"],
}
"""Over itis/ritm.yaml: network, guidance, loss and previous mask are the same in all."""
FIGURES = ("noc@85", "failures@85", "noc@90", "failures@90", "miou@1", "miou@5", "miou@20")


def main() -> None:
    arguments = arguments_of(__doc__.splitlines()[0], ROWS)
    arguments.add_argument("--method", default="small.yaml", help="the config under every row")
    options = arguments.parse_intermixed_args()
    given = ["--config", options.method, "--config", "itis/ritm.yaml", *options.data]
    table = train_and_evaluate({row: [*given, *words] for row, words in ROWS.items()}, options)
    print_markdown(table, {key: key for key in FIGURES})


if __name__ == "__main__":
    main()
