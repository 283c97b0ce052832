"""The pages' files: nothing is named that is not there, and nothing is there that no page uses."""

import re
from pathlib import Path

import pytest

from annotate.pages import FOLDER, render

PAGES = ("index.html", "teach.html", "volume.html")
ELEMENT = re.compile(r"""\$\("([a-z-]+)"\)""")


def test_no_source_of_a_page_is_missing_and_none_is_unused():
    named = set()
    for page in PAGES:
        html = render(page, "here").decode()
        named |= set(re.findall(r'(?:src|href)="/page/([^"]+)"', html))
    for path in FOLDER.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', path.read_text()))
    assert named == {path.name for path in FOLDER.iterdir() if path.suffix != ".jinja"}


@pytest.mark.parametrize("page", PAGES)
def test_every_element_that_a_page_s_scripts_look_up_is_in_its_markup(page):
    html = render(page, "here").decode()
    elements = re.findall(r' id="([^"]+)"', html)
    assert len(elements) == len(set(elements))
    (script,) = re.findall(r'<script[^>]+src="/page/([^"]+)"', html)
    wanted = {name for file in modules_of(script) for name in ELEMENT.findall(file.read_text())}
    assert wanted <= {*elements}


def modules_of(script: str) -> set[Path]:
    """A page's script and all that it imports, at whatever distance."""
    found, waiting = set(), [script]
    while waiting:
        path = FOLDER / waiting.pop()
        if path not in found:
            found.add(path)
            waiting += re.findall(r'from "\./([^"]+)"', path.read_text())
    return found
