"""Commands of the house, run by benchmarks as processes of their own."""

import argparse
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interseg.files import write_whole

ROOT = Path(__file__).parent.parent
FREE = ("run=", "loading.num_workers=", "trainer.enable_progress_bar=")
"""Beginnings of words that change no figure."""
DATA = {"train": "the training data", "test": "the data played on"}
HERE = "FOLDER"
"""The folder of a line's note, in the note."""


def add_data(arguments: argparse.ArgumentParser, *kinds: str) -> None:
    """Add `--train` or `--test`, the config and overrides of that data as one argument."""
    for kind in kinds:
        about = f"config and overrides of {DATA[kind]}"
        arguments.add_argument(f"--{kind}", type=shlex.split, required=True, help=about)


def run_once(proof: Path, script: str, *line: str) -> None:
    """Run a command, unless its proof exists.

    The process ends if the command fails, if an evaluation left objects out, if another line made
    what is in the proof's folder (it stands beside the folder, in a file `.line`), and once the
    command has answered a signal to stop (SLURM's, or SIGTERM), which is passed on.

    Args:
        proof: File that exists once the command has finished; it is made if the command makes none.
        script: Name of the command, such as "train.py".
        line: Arguments of the command.
    """
    same_as_before(proof.parent, [script, *line])
    if proof.exists():
        check_errors(proof)
        return
    print(" ".join(["python", script, *line]), flush=True)
    signals: list[int] = []
    endings = (signal.SIGUSR1, signal.SIGTERM)
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    before = {
        number: signal.signal(number, lambda number, frame: signals.append(number))
        for number in endings
    }
    with subprocess.Popen([sys.executable, ROOT / script, *line], text=True, **pipes) as command:

        def pass_on(number: int, frame: Any) -> None:
            signals.append(number)
            # SLURM signals a step's tasks, on some clusters not the processes that they started
            command.send_signal(number)

        for number in endings:
            signal.signal(number, pass_on)
        try:
            _, errors = command.communicate()
        except KeyboardInterrupt:  # the terminal has told the command, which ends its step
            command.wait()
            raise
    for number, handler in before.items():
        signal.signal(number, handler)
    if signals:
        sys.exit(0)  # the command resumes from its checkpoint
    if command.returncode:
        if not proof.parent.exists():
            note_of(proof.parent).unlink(missing_ok=True)
        sys.exit(errors[-2000:])
    proof.touch()


def same_as_before(folder: Path, line: Sequence[str]) -> None:
    """End the process if a folder was made or begun by another line; where files lie is no part."""
    note, here = note_of(folder), folder.parent
    wanted = shlex.join(word for word in line if not word.startswith(FREE))
    wanted = name_here(name_here(wanted, here), here.resolve())
    made = note.read_text() if folder.exists() and note.exists() else wanted
    if name_here(name_here(made, here), here.resolve()) != wanted:
        sys.exit(
            f"{folder} is of another line ({note}):\n{made}\nnow it is\n{wanted}\n"
            "Give another folder, or remove this one"
        )
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, wanted)


def name_here(line: str, folder: Path) -> str:
    """Write HERE for a folder that a line names, so that it may be spelled otherwise, or moved."""
    return re.sub(rf"(?<![\w./-]){re.escape(str(folder))}(?=[/\s\']|$)", HERE, line)


def note_of(folder: Path) -> Path:
    """Return the file that has the line of a folder."""
    return folder.with_name(f"{folder.name}.line")


def check_errors(proof: Path) -> None:
    """End the process if an evaluation's report says that objects could not be read."""
    errors = json.loads(proof.read_text()).get("errors") if proof.suffix == ".json" else None
    if errors:
        sys.exit(
            f"{proof.parent} was played without {len(errors)} objects ({errors[0]}); "
            "mend or remove their files, remove the folder, and give the line again"
        )
