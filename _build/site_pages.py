"""Makes one site of pages that lie all over the repository; a hook of ``mkdocs.yml``.

Pages link to each other as files of the repository do, so that they can be read there. The site has
``docs/`` at its top, ``README.md`` as its first page, and every other file that a page links to at
its own path. What pages say is not this module's business.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PROJECT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = PROJECT / "docs"
FIRST_PAGE: Final = PROJECT / "README.md"

_LINK: Final = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside ``docs/`` that its pages link to, and those that these link to."""
    for source in sorted(_reachable()):
        if not source.is_relative_to(DOCS):
            place = _place_of(source)
            files.append(
                File.generated(
                    config, place, abs_src_path=str(source), inclusion=InclusionLevel.INCLUDED
                )
            )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links lead to where on the site the file is that they lead to in the repository."""
    source = Path(page.file.abs_src_path or "")
    here = PurePosixPath(_place_of(source)).parent

    def on_site(link: re.Match[str]) -> str:
        target = _target(source, link[1])
        return link[1] if target is None else os.path.relpath(_place_of(target), here)

    return _LINK.sub(on_site, markdown)


def _reachable() -> set[Path]:
    """Return the pages, and all files that can be reached from them."""
    found: set[Path] = set()
    to_visit = [FIRST_PAGE, *DOCS.rglob("*.md")]
    while to_visit:
        source = to_visit.pop()
        if source not in found:
            found.add(source)
            to_visit += _targets(source)
    return found


def _targets(source: Path) -> Iterator[Path]:
    if source.suffix == ".md":
        for link in _LINK.findall(source.read_text(encoding="utf-8")):
            if (target := _target(source, link)) is not None:
                yield target


def _target(source: Path, link: str) -> Path | None:
    """Return the file that a link of a page leads to; None where it leads to none."""
    target = (source.parent / link).resolve()
    if target.is_dir():
        target /= "README.md"
    return target if target.is_file() and target.is_relative_to(PROJECT) else None


def _place_of(source: Path) -> str:
    """Return where a file of the repository is on the site."""
    place = source.relative_to(DOCS if source.is_relative_to(DOCS) else PROJECT)
    return (place.with_name("index.md") if place.name == "README.md" else place).as_posix()
