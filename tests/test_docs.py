"""Pages of the docs: printed examples run, links and figures are right, no page is missing."""

import importlib
import re
import sys

import numpy as np
import pytest

from tests.helpers.commands import ROOT, called
from tests.helpers.drawing import draw, draw_classes, draw_folder, write
from tests.helpers.streams import TASKS

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s#]+)(#[^)\s]*)?\)")
SMALL = (
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "loading.num_workers=0",
    "max_clicks=2",
    "callbacks.report=null",
)
STREAM = (
    *TASKS,
    "loading.augment=[]",
    "model.steps=2",
    "trainer.max_epochs=1",
    "callbacks.report=null",
)
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "models/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]


def draw_leaves(root):
    for split in ("train", "test"):
        image, ids = draw(len(split))
        write(root / split / "0.png", image)
        np.save(root / split / "0.npy", ids)
    return root


def draw_photos(root):
    return draw_folder(root, 4)


@pytest.mark.parametrize("page", ["method", "network", "data", "user", "stream"])
def test_printed_examples_run_as_they_stand(page, tmp_path, monkeypatch):
    """A page's files, written under their titles, work with its commands, in one's own package."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "__init__.py").touch()
    draw_data = {"data": draw_leaves, "stream": draw_classes}.get(page, draw_photos)
    data = draw_data(tmp_path / "data")
    places = {
        "DATA": data,
        "RUN": tmp_path / "run",
        "OUT.html": tmp_path / "check.html",
        "OUT": tmp_path / "out",
    }
    lines = []
    for language, title, text in BLOCK.findall(
        (ROOT / "docs" / "extend" / f"{page}.md").read_text()
    ):
        if title:
            (tmp_path / title).write_text(text)
        if language == "bash":
            lines += text.strip().split("\n")
    try:
        for line in lines:
            words = [str(place_of(word, places)) for word in line.removeprefix("python ").split()]
            more = () if words[0] == "check.py" else STREAM if page == "stream" else SMALL
            result = called(words[0], *words[1:], *more, cwd=tmp_path)
            assert result.returncode == 0, result.stderr
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "mylab"]:
            del sys.modules[name]
        importlib.invalidate_caches()
    table = "transfer.csv" if page == "stream" else "objects.csv"
    assert (tmp_path / "out" / table).read_text().count("\n") > 1


def place_of(word, places):
    """Put a folder in the place of its name."""
    key, _, value = word.rpartition("=")
    if not key:
        return places.get(word, word)
    first, slash, rest = value.partition("/")
    return f"{key}={places.get(first, first)}{slash}{rest}"


def prose(page):
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """Anchors of a page's headings, as the site names them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {
        "#" + re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())
        for title in titles
    }


def test_every_link_leads_to_a_file_and_a_heading():
    """`make docs` checks the built site; this checks all pages in the repository quickly."""
    broken = []
    for page in PAGES:
        for target, anchor in LINK.findall(prose(page)):
            if "://" in target:
                continue
            path = (page.parent / target).resolve()
            if not path.exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
            elif (
                anchor
                and path.suffix == ".md"
                and "reference" not in path.parts
                and anchor not in anchors(path)
            ):
                broken.append(f"{page.relative_to(ROOT)}: {target}{anchor}")
    assert broken == []


def test_the_site_has_every_page():
    shown = (ROOT / "mkdocs.yml").read_text()
    nav = set(re.findall(r"^\s+- (\S+\.(?:md|ipynb))$", shown, re.MULTILINE))
    docs = {
        path.relative_to(ROOT / "docs").as_posix()
        for kind in ("*.md", "*.ipynb")
        for path in (ROOT / "docs").rglob(kind)
    }
    assert nav == docs | {
        f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.md")
    } | {"models/README.md", "CHANGELOG.md"}


def test_the_reference_has_every_module():
    """Packages are shown with all that is in them; the flat modules of interseg/ are named."""
    named = {
        name
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    }
    for folder in ("interseg", "lightning_modules", "datamodules", "callbacks"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names = {
                ".".join(parts[:count])
                for count in range(2 if folder == "interseg" else 1, len(parts) + 1)
            }
            assert names & named or parts == ("interseg", "__init__"), path


def test_the_figures_of_the_front_page_are_on_the_page_that_they_name():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 100
    rows = re.findall(
        r"^\| [^|]+ \| [^|]+ \| ([\d.; ]+) \| ([\d.; ]+) \| \[[^\]]+\]\(([^)]+)\) \|$",
        text,
        re.MULTILINE,
    )
    assert len(rows) >= 6
    for *cells, page in rows:
        for figure in re.findall(r"[\d.]+", " ".join(cells)):
            assert re.search(
                rf"(?<![\d.]){re.escape(figure)}(?![\d])", (ROOT / page).read_text()
            ), f"{figure} is not on {page}"


def test_every_config_has_a_page():
    """A config that a person may name is named on a how-to page, or its folder's siblings are."""
    pages = [page for page in PAGES if "benchmarks" not in page.parts]
    text = "\n".join(page.read_text() for page in pages)
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        name = path.relative_to(ROOT / "configs").as_posix()
        assert name in text or f"`{path.stem}`" in text, name
