"""The rooms of the house and which way the doors open."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIGHTNING = ("lightning_modules", "datamodules", "callbacks")
COMMANDS = {path.stem for path in ROOT.glob("*.py")} - {"annotate"} | {"commands"}
"""Scripts of the top level and their bodies; `annotate` names the annotator's package too."""
TOP = {*COMMANDS, "benchmarks", "tests"}
"""Rooms that nothing below them imports."""
FORBIDDEN = {
    "interseg": {"pytorch_lightning", "lightning", "configs", "annotate", *LIGHTNING, *TOP},
    "annotate": {"pytorch_lightning", "lightning", "lightning_modules", "callbacks", *TOP},
    "configs": {"annotate", *TOP},
    "commands": {"lightning_modules", *TOP} - {"commands"},
    "benchmarks": {*COMMANDS, "tests"},
    **{room: {"configs", "annotate", *LIGHTNING, *TOP} - {room} for room in LIGHTNING},
}
FLOORS = (
    {
        "errors",
        "files",
        "distributed",
        "distance",
        "checkpoints",
        "batches",
        "depth",
        "features",
        "images",
        "labels",
        "listing",
        "masks",
    },
    {"clicks"},
    {"views", "losses", "classical"},
    {"networks", "continual", "inference", "volumes"},
    {"evaluation"},
)
"""Of interseg/, from the ground up: a wing or a flat module imports from its own floor and from
those below."""


def imports(path: Path) -> set[str]:
    """Modules that a file imports, `interseg.clicks.layout` for a name of it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def scripts() -> list[Path]:
    return sorted(ROOT.glob("*.py"))


def test_the_commands_import_their_bodies_and_nothing_imports_a_command():
    for path in scripts():
        assert not {name.split(".")[0] for name in imports(path)} & (
            {path.stem, *TOP} - {"annotate", "commands"}
        ), path
    assert {"train", "evaluate", "predict"} <= COMMANDS


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_imports_what_lies_above_it(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not {name.split(".")[0] for name in imports(path)} & FORBIDDEN[room], path


def part(path: Path) -> str:
    """The wing or flat module of interseg/ that a file belongs to."""
    return path.relative_to(ROOT / "interseg").parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return [
        path for path in sorted((ROOT / "interseg").rglob("*.py")) if path.name != "__init__.py"
    ]


def test_every_part_of_the_library_is_on_a_floor_and_imports_from_no_higher_one():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    assert {part(path) for path in modules()} == floor.keys()
    for path in modules():
        for name in imports(path):
            package, _, rest = name.partition(".")
            if package == "interseg" and rest:
                other = rest.split(".")[0]
                assert other not in floor or floor[other] <= floor[part(path)], (
                    f"{path} imports {name}"
                )


@pytest.mark.parametrize("whole", [False, True], ids=["modules", "wings"])
def test_nothing_in_the_library_imports_itself_round_a_circle(whole):
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in modules()}
    doors: dict[str, set[str]] = {}
    for name, path in names.items():
        room = part(path) if whole else name
        others = {
            part(names[other]) if whole else other for other in imports(path) if other in names
        }
        doors[room] = doors.get(room, set()) | (others - {room})
    done: set[str] = set()

    def walk(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, " -> ".join((*way, room))
        if room not in done:
            for other in sorted(doors[room]):
                walk(other, (*way, room))
            done.add(room)

    for room in doors:
        walk(room, ())


def test_the_library_reads_no_folder_of_the_framework_but_by_its_one_door():
    doors = [
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if "import_module" in path.read_text(encoding="utf-8")
    ]
    assert doors == ["interseg/inference/model.py"]


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, interseg; print(sorted({'torch', 'pytorch_lightning', "
        "'cv2'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
