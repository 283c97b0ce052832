"""Hooks of the site: pages outside docs/, and links within the repository as links within the site.

Every page links to files as they lie in the repository, so that the links hold in both places. One
that names no file is a warning, which ends a strict build.
"""

import logging
import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks.links")
ROOT = Path(__file__).parent.parent
TAKEN = (
    "benchmarks/*.md",
    "benchmarks/*.svg",
    "benchmarks/*.yaml",
    "models/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
)
"""Files outside docs/ that are pages and pictures of the site, under their paths in the
repository."""
LINK = re.compile(
    r"(?P<before>!?\[(?P<text>[^\]\n]*)\])\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that lie outside docs/."""
    for pattern in TAKEN:
        for path in sorted(ROOT.glob(pattern)):
            files.append(
                File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path))
            )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page."""
    here = page.file.src_uri
    source = join("docs", here) if (ROOT / "docs" / here).is_file() else here

    def turn(found: re.Match[str]) -> str:
        target = found["target"]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = normpath(join(dirname(source), target))
        if not (ROOT / path).exists():
            LOG.warning("%s links to %s, which does not exist", source, target)
            return found[0]
        place = path.removeprefix("docs/")
        if files.get_file_from_path(place) is None:  # a file of the repository that is no page
            return found["text"] if "`" in found["text"] else f"`{found['text']}`"
        return f"{found['before']}({relpath(place, dirname(here) or '.')}{found['anchor'] or ''})"

    parts = []
    for part in re.split(r"(^```.*?^```)", markdown, flags=re.MULTILINE | re.DOTALL):
        is_code = part.startswith("```")
        parts.append(part if is_code else LINK.sub(turn, part))
    return "".join(parts)
