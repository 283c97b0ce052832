"""The rooms of the house and which way the doors open."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIGHTNING = ("lightning_modules", "datamodules", "callbacks")
FORBIDDEN = {
    "interseg": {"pytorch_lightning", "lightning", "configs", *LIGHTNING},
    **{room: {"configs", *LIGHTNING} - {room} for room in LIGHTNING},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_imports_what_lies_above_it(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not imports(path) & FORBIDDEN[room], path
