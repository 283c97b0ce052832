"""The console command `interseg`: `interseg predict`, `interseg annotate`, `interseg check`.

Each is the same as its script in a clone.
"""

import importlib
import sys
from collections.abc import Callable

import interseg

COMMANDS = {
    "predict": ("commands.predict", "segment photos by scripted clicks"),
    "annotate": ("annotate.command", "annotate photos by clicks in the browser"),
    "check": ("commands.check", "look at a data set: counts, sizes, what is wrong"),
}
"""Module and purpose of each command."""
EXTRAS = {"starlette": "annotate", "uvicorn": "annotate"}
"""Extras of the package, by the modules that only they bring."""
USAGE = (
    "usage: interseg COMMAND [arguments]\n\n{commands}\n\n"
    "interseg COMMAND --help explains a command; interseg --version\n"
)


def main() -> int | None:
    """Call the command that the first argument names, with the others; it ends the process itself.

    Returns:
        Exit code if no command was called: 2 for one that does not exist.
    """
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    arguments = sys.argv[2:]
    if name == "--version":
        print(interseg.__version__)
        return 0
    if name in ("--help", "-h"):
        print(usage(), end="")
        return 0
    if name not in COMMANDS:
        print(f"error: there is no command {name!r}; use {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    from configs.console import run_guarded  # torch only when a command is called

    sys.argv = [f"interseg {name}", *arguments]
    run_guarded(lambda: body_of(name)())
    return None


def usage() -> str:
    """Write the text of `interseg --help`."""
    lines = [f"  {name:10}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return USAGE.format(commands="\n".join(lines))


def body_of(name: str) -> Callable[[], int | None]:
    """Import a command's function; raises `InputError` if an extra of the package is missing."""
    from interseg.errors import InputError

    try:
        found: Callable[[], int | None] = importlib.import_module(COMMANDS[name][0]).main
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise InputError(
            f"interseg {name} needs {error.name}; pip install 'interseg[{EXTRAS[error.name]}]'"
        ) from None
    return found
