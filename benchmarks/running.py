"""Commands of the house, run by benchmarks as processes of their own."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def run_once(proof: Path, script: str, *line: str) -> None:
    """Run a command, unless its proof exists.

    The process ends if the command fails, and after SLURM's signal to stop (`train.sh`).

    Args:
        proof: File that exists once the command has finished; it is made if the command makes none.
        script: Name of the command, such as "train.py".
        line: Arguments of the command.
    """
    if proof.exists():
        return
    print(" ".join(["python", script, *line]), flush=True)
    signals: list[int] = []
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    before = signal.signal(signal.SIGUSR1, lambda number, frame: signals.append(number))
    with subprocess.Popen([sys.executable, ROOT / script, *line], text=True, **pipes) as command:

        def pass_on(number: int, frame: Any) -> None:
            signals.append(number)
            # SLURM signals a step's tasks, on some clusters not the processes that they started
            command.send_signal(number)

        signal.signal(signal.SIGUSR1, pass_on)
        _, errors = command.communicate()
    signal.signal(signal.SIGUSR1, before)
    if signals:
        sys.exit(0)  # the command resumes from its checkpoint
    if command.returncode:
        sys.exit(errors[-2000:])
    proof.touch()
