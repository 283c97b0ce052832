"""A short run on a few drawn photos, and its evaluations."""

from tests.helpers.commands import CROP, called, tiny


def arguments(data, run):
    return [
        *(
            "--config",
            "small.yaml",
            "--config",
            "data/folder.yaml",
            f"data.root={data}",
            f"run={run}",
        ),
        *(*tiny("small.yaml"), f"loading.augment={CROP[0]}", "trainer.max_epochs=1"),
    ]


def evaluated(run, folder, *more, by=called):
    line = [
        "--checkpoint",
        run,
        f"run={folder}",
        "max_clicks=3",
        "loading.eval_batch_size=2",
        "logger=csv",
        *more,
    ]
    result = by("evaluate.py", *line)
    assert result.returncode == 0, result.stderr
    return result.stdout
