"""Options of the commands, and their `--help` with methods, data and examples."""

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
WIDTH = 132
"""Columns of what `--help` lists."""


def output_file(text: str) -> Path:
    """Read the path of a file to write; a folder is refused before anything is computed."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; name a file")
    return path


def output_folder(text: str) -> Path:
    """Read the path of a folder to write into; a file is refused before anything is computed."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a file; name a folder")
    return path


class Parser(argparse.ArgumentParser):
    """Parser whose `--help` ends in examples and in the configs, which are read only then.

    Args:
        description: First line of the command's docstring.
        examples: Lines to type, each after the command's name.
        lists: Kinds of configs to list, see `listed`.
    """

    def __init__(
        self, description: str, examples: Sequence[str] = (), lists: Sequence[str] = ()
    ) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter)
        self.call = f"python {self.prog}" if self.prog.endswith(".py") else self.prog
        self.description = re.sub(r"python \w+\.py", self.call, description)
        self.examples, self.lists = examples, lists

    def format_help(self) -> str:
        """Write the help."""
        parts = [super().format_help()]
        if self.examples:
            parts.append(
                "\n".join(["examples:", *(f"  {self.call} {example}" for example in self.examples)])
                + "\n"
            )
        for kind in self.lists:
            parts.append("\n".join([f"{kind}:", *list_configs(kind)]) + "\n")
        return "\n".join(parts)


def parser(
    description: str,
    prints: bool = False,
    examples: Sequence[str] = (),
    lists: Sequence[str] = ("methods", "data"),
) -> Parser:
    """Make the parser of a command that takes configs; with `--print` if the command obeys it."""
    arguments = Parser(description, examples, lists)
    arguments.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="YAML",
        help="a config, merged over those before; may be repeated",
    )
    arguments.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package of yours whose classes a config may name",
    )
    if prints:
        arguments.add_argument("--print", action="store_true", help="print the config and stop")
    arguments.add_argument(
        "overrides", nargs="*", metavar="key=value", help="single values, e.g. trainer.max_epochs=3"
    )
    return arguments


def list_configs(kind: str) -> Iterator[str]:
    """List configs of `configs/`, a line each, with what the first line of each says.

    Args:
        kind: "methods" (configs that name a model, and their variants), "data", or "users".
    """
    if kind != "methods":
        folder = "data" if kind == "data" else kind
        yield from (describe_config(file) for file in sorted((FOLDER / folder).glob("*.yaml")))
        return
    for file in sorted(FOLDER.glob("*.yaml")):
        if is_method(file):
            yield describe_config(file)
            below = sorted((FOLDER / file.stem).glob("*.yaml"))
            variants = [one.relative_to(FOLDER).as_posix() for one in below if goes_over(one)]
            yield from textwrap.wrap(
                ", ".join(variants),
                WIDTH,
                initial_indent=f"{'':31}over it: ",
                subsequent_indent=f"{'':40}",
            )
            yield from (describe_config(one) for one in below if not goes_over(one))
    yield from (
        describe_config(file)
        for folder in ("classical", "external")
        for file in sorted((FOLDER / folder).glob("*.yaml"))
    )


def is_method(file: Path) -> bool:
    """Tell whether a config names a class of a model."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    model = content.get("model") if isinstance(content, dict) else None
    return isinstance(model, dict) and "_target_" in model


def goes_over(file: Path) -> bool:
    """Tell whether a config is to be merged over another, as its comment then says first."""
    return comment_of(file).startswith("Over ")


def comment_of(file: Path) -> str:
    """Read the first line of a config's comment."""
    return file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def describe_config(file: Path) -> str:
    """Write a config's name and the first line of its comment, cut to the width."""
    comment = comment_of(file)
    text = (
        comment if len(comment) <= WIDTH - 31 else f"{comment[: WIDTH - 34].rsplit(' ', 1)[0]} ..."
    )
    return f"  {file.relative_to(FOLDER).as_posix():29}{text}"
