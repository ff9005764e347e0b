"""The documentation as a site: it is built without a warning, shows all, and needs no network."""

from __future__ import annotations

import fcntl
import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

DESCRIBED = {
    "telex": "telex",
    "telex.sync": "sync",
    "telex.asyncio": "asyncio",
    "telex.metrics": "observability",
    "telex.testing": "testing",
    "telex.tracing": "observability",
}
"""Modules whose ``__all__`` is described, with its page in ``docs/api``."""

NOT_DESCRIBED = {"telex.__version__"}

PATIENCE = 200.0
"""Seconds after which building the site is taken to hang."""


class Requests(HTMLParser):
    """Finds what a browser would fetch to show a page: not its links, but all else."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of what an element fetches."""
        attributes = dict(attrs)
        if tag == "link" and attributes.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(attributes.get("href") or "")
        if (source := attributes.get("src")) is not None:
            self.addresses.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the site is, which is built once, whichever processes share the tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    target, is_built = shared / "site", shared / "site-is-built"
    with (shared / "site-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_built.exists():
            build(target)
            is_built.touch()
    return target


def build(target: Path) -> None:
    """Build the site as ``make docs`` does; fail when that warns of anything."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", target],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert built.returncode == 0, built.stdout
    assert "Documentation built" in built.stdout  # who is kept from warning has not been strict
    assert "WARNING" not in built.stdout


def test_make_docs_builds_this_site() -> None:
    """What is tested here is what the command does, except for where it puts the site."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert "NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict\n" in makefile


def test_every_page_of_the_repository_is_on_the_site(site: Path) -> None:
    """The first page is the README; those of the docs and of the examples have theirs."""
    first = (site / "index.html").read_text(encoding="utf-8")
    assert "<h1" in first
    assert "lets Python programs exchange" in first
    for page in (PROJECT / "docs").rglob("*.md"):
        place = page.relative_to(PROJECT / "docs")
        assert (site / place).with_suffix(".html").exists(), place
    assert (site / "examples" / "index.html").exists()
    assert (site / "CHANGELOG.html").exists()


def test_files_that_pages_link_to_are_on_the_site(site: Path) -> None:
    """A program, a unit or the vectors can be opened from the page that speaks of them."""
    for name in ("examples/chat.py", "conformance/vectors.json"):
        assert (site / name).read_bytes() == (PROJECT / name).read_bytes()


def test_the_site_needs_no_network(site: Path) -> None:
    """No page fetches a font, a script or a picture from anywhere else."""
    for page in site.rglob("*.html"):
        requests = Requests()
        requests.feed(page.read_text(encoding="utf-8"))
        assert requests.addresses
        assert not [address for address in requests.addresses if "//" in address], page


@pytest.mark.parametrize("module", DESCRIBED)
def test_every_public_name_is_described(module: str, site: Path) -> None:
    """Whatever can be imported has its place on a page of the API, with its docstring."""
    page = (site / "api" / f"{DESCRIBED[module]}.html").read_text(encoding="utf-8")
    described = set(re.findall(r'<h\d id="(telex[\w.]*)"', page))
    exported = importlib.import_module(module).__all__
    assert {f"{module}.{name}" for name in exported} - NOT_DESCRIBED <= described


def test_examples_in_docstrings_are_shown_as_code(site: Path) -> None:
    """What begins with ``>>>`` is no quotation, and a table of limits no heading."""
    page = (site / "api" / "telex.html").read_text(encoding="utf-8")
    assert '<span class="gp">&gt;&gt;&gt; </span>' in page
    assert "<blockquote>" not in page
    assert "====" in page
