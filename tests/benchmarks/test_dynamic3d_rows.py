"""Rows of benchmarks.dynamic3d: their settings are those that their names say."""

from pathlib import Path

from benchmarks import dynamic3d
from configs import load, resolve
from configs.options import parser
from interseg.continual.protocol import StreamProtocol
from tests.benchmarks.dynamic3d_runs import call

TABLE_1 = {  # epochs, replay, smoothing
    "offline": (100, False, False),
    "dynamic": (1, False, False),
    "dynamic, replay": (1, True, False),
    "dynamic, smoothing": (1, False, True),
    "dynamic, replay, smoothing": (1, True, True),
}


STREAM, STATIC = "stream", "static"
# learned from, what begins anew, replay, smoothing, guided, confidence, registration, slices a
# plane, satisfied, rounds
OTHERS = {
    "interactive": ("rest", STREAM, False, False, False, "none", "dis", 1, None, 6),
    "interactive, replay": ("rest", STREAM, True, False, False, "none", "dis", 1, None, 6),
    "interactive, replay, weighted": (
        "rest",
        STREAM,
        True,
        False,
        False,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "interactive, replay, weighted, guided": (
        "rest",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "interactive, replay, weighted, guided, smoothing": (
        "rest",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "interactive, replay, weighted, guided, smoothing, 2 + 2": (
        "rest",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        2,
        None,
        6,
    ),
    "cold": ("held_out", STATIC, True, False, False, "none", "dis", 1, None, 6),
    "cold, guided": ("held_out", STATIC, True, False, True, "none", "dis", 1, None, 6),
    "cold, guided, weighted": ("held_out", STATIC, True, False, True, "step", "dis", 1, None, 6),
    "warm, guided": ("held_out", STATIC, True, False, True, "none", "dis", 1, None, 6),
    "warm, guided, weighted": ("held_out", STATIC, True, False, True, "step", "dis", 1, None, 6),
    "cold, guided, weighted, as a stream": (
        "held_out",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "warm, guided, weighted, as a stream": (
        "held_out",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "after interaction, as a stream": (
        "held_out",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        1,
        None,
        6,
    ),
    "after 2 + 2, as a stream, 2 + 2": (
        "held_out",
        STREAM,
        True,
        True,
        True,
        "step",
        "dis",
        2,
        None,
        6,
    ),
    "until 0.85, interactive": ("rest", STREAM, False, False, False, "none", "dis", 1, 0.85, 30),
    "until 0.85, replay, weighted, guided": (
        "rest",
        STREAM,
        True,
        False,
        True,
        "step",
        "dis",
        1,
        0.85,
        30,
    ),
}
OTHERS["interactive, replay, weighted, guided, smoothing, copied slices"] = (
    "rest",
    STREAM,
    True,
    True,
    True,
    "step",
    "copy",
    1,
    None,
    6,
)


def test_rows_are_what_they_are_called(made, monkeypatch, tmp_path):
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--part",
        "0/2",
        "--permutations",
        "1",
    )
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--part",
        "1/2",
        "--permutations",
        "1",
    )
    found = {}
    for folder, words in made:
        options = parser("").parse_intermixed_args(list(words))
        config = resolve(load(options.config, options.overrides))
        found[folder.name] = (
            config["model"],
            StreamProtocol(**{k: v for k, v in config["protocol"].items() if k != "_target_"}),
            config["callbacks"]["loop"],
            config["trainer"]["max_epochs"],
        )
    assert TABLE_1.keys() | OTHERS.keys() == dynamic3d.ROWS.keys()
    for name, expected in TABLE_1.items():
        model, protocol, loop, epochs = found[dynamic3d.run_folder(tmp_path, name, 0).name]
        assert (epochs, model["replay"] is not None, model.get("smoothing", True)) == expected, name
        kind = "offline" if name == "offline" else "stream"
        assert (protocol.labels, protocol.rounds, protocol.kind) == ("whole", 1, kind), name
        assert model["steps"] == (1 if name == "offline" else sum(10 + 5 * k for k in range(6))), (
            "of all rounds"
        )
    for name, expected in OTHERS.items():
        model, protocol, loop, epochs = found[dynamic3d.run_folder(tmp_path, name, 0).name]
        first = (
            protocol.volumes,
            protocol.kind,
            model["replay"] is not None,
        )
        user = (
            loop["user"]["guided"],
            loop["confidence"],
            loop["registration"],
            loop["user"]["count"],
            loop.get("satisfied"),
        )
        assert (*first, model.get("smoothing", True), *user, protocol.rounds) == expected, name
        assert (
            epochs,
            model["samples"],
            model["steps"],
            model["more_steps"],
            loop["user"]["axes"],
        ) == (1, 4, 10, 5, [0, 1]), name
    starts = {
        name: Path(model["pretrained"]).parts[-3]
        for name, (model, *_) in found.items()
        if "pretrained" in model
    }
    assert starts == {
        dynamic3d.run_folder(tmp_path, name, 0).name: dynamic3d.run_folder(tmp_path, start, 0).name
        for name, start in {
            "warm, guided": "offline",
            "warm, guided, weighted": "offline",
            "warm, guided, weighted, as a stream": "offline",
            "after interaction, as a stream": "interactive, replay, weighted, guided, smoothing",
            "after 2 + 2, as a stream, 2 + 2": (
                "interactive, replay, weighted, guided, smoothing, 2 + 2"
            ),
        }.items()
    }
