"""The documentation: whatever it shows is run, and comes out as it says; see ``tests.reader``."""

from __future__ import annotations

import ast
import errno
import os
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from telex import Limits
from telex.cli.options import DEFAULT_ADDRESS
from tests.reader import Reader, blocks_of, name_of
from tests.wireshark.tshark import WHY_NOT

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
WIRE_FORMAT = PROJECT / "docs" / "wire-format.md"
EXAMPLES = PROJECT / "examples" / "README.md"
PAGES = [README, EXAMPLES, *sorted((PROJECT / "docs").glob("*.md"))]
API_PAGES = sorted((PROJECT / "docs" / "api").glob("*.md"))
ALL_PAGES = [
    *PAGES,
    *API_PAGES,
    PROJECT / "CHANGELOG.md",
    PROJECT / "conformance" / "README.md",
]

CHECKED_ELSEWHERE = {
    "": "a drawing",
    "mermaid": "tests/conversation/test_states.py",
    "ini": "test_what_deployment_shows_are_the_files, and test_deployment",
    "sh": "test_what_deployment_shows_are_the_files, and test_deployment",
    "dockerfile": "test_what_deployment_shows_are_the_files, and test_deployment",
}
"""Languages that the reader cannot run, with what holds their blocks to the truth."""

FILE_LANGUAGES = ("ini", "sh", "dockerfile")
DEPLOYMENT = PROJECT / "deployment"

TROUBLESHOOTING = PROJECT / "docs" / "troubleshooting.md"
LIMITS = PROJECT / "docs" / "limits.md"
UNITS = {"KiB": 1024, "MiB": 1024**2, "KiB/s": 1024, "s": 1}

LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


@pytest.fixture
def copy_of_project(tmp_path: Path) -> Path:
    """Return a directory in which a page can be followed: what of the project it speaks of."""
    for name in ("pyproject.toml", "setup.py", "LICENSE"):
        shutil.copy(PROJECT / name, tmp_path)
    without = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for name in ("_build", "src", "conformance", "examples", "deployment"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=without)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_what_a_page_shows_comes_out_as_it_says(page: Path, copy_of_project: Path) -> None:
    """Every example of a page is run, in its order, and prints or is what the page shows."""
    if page.stem == "wireshark" and WHY_NOT is not None:
        pytest.skip(WHY_NOT)
    with Reader(copy_of_project) as reader:
        for block in blocks_of(page):
            reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_example_is_in_a_language_that_is_run(page: Path) -> None:
    """No block escapes the test above by its language; or else another test has it."""
    languages = {block.language for block in blocks_of(page)}
    assert languages <= {"python", "console", *CHECKED_ELSEWHERE}
    assert languages & {"python", "console"}


def test_what_deployment_shows_are_the_files() -> None:
    """Each file of ``deployment/`` stands on the page of that name as it is, and nowhere else."""
    shown = {
        page.stem: {block.text for block in blocks_of(page) if block.language in FILE_LANGUAGES}
        for page in PAGES
    }
    files = {file.read_text(encoding="utf-8").rstrip("\n") for file in DEPLOYMENT.iterdir()}
    python = {block.text for block in blocks_of(PROJECT / "docs" / "deployment.md")}
    assert files <= shown.pop("deployment") | python
    assert not any(shown.values())


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_link_leads_somewhere(page: Path) -> None:
    """The file is there, and so is the heading."""
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        destination = page.parent / target if target else page
        assert destination.exists(), target
        if anchor:
            assert anchor in anchors_of(destination), anchor


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def written_in_the_code() -> set[str]:
    """Return the texts in the code, with ``…`` where something is put in, and those of the system.

    The system's are as Telex shows them, in small letters.
    """
    texts = {os.strerror(number).lower() for number in errno.errorcode} | {"timed out"}
    for module in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts


def test_the_lines_to_look_for_come_out_of_the_code() -> None:
    """Each piece of a line that troubleshooting explains is a text of the code, or the system's."""
    texts = written_in_the_code()
    cells = re.findall(
        r"^\| (`.*?`) \| ", TROUBLESHOOTING.read_text(encoding="utf-8"), re.MULTILINE
    )
    lines = [line for cell in cells for line in re.findall(r"`([^`]+)`", cell)]
    assert len(lines) > 40
    unknown = []
    for line in lines:
        for piece in re.split(r"[…:;]| waiting for ", line):
            words = piece.strip(" ,")
            if not any(words in text for text in texts):
                unknown.append((words, line))
    assert unknown == []


def code_of(page: Path, name: str) -> list[str]:
    """Return the lines of a file that a page shows, without blank ones and comments."""
    (block,) = (block for block in blocks_of(page) if name_of(block) == name)
    return [line for line in block.text.splitlines() if line and not line.startswith("#")]


def test_a_server_and_a_client_are_eleven_lines() -> None:
    """The README can count."""
    assert len(code_of(README, "server.py") + code_of(README, "client.py")) == 11


def test_a_speaker_is_thirty_lines_of_plain_python() -> None:
    """The speaker of the format's description is short, and has nothing of Telex in it."""
    code = code_of(WIRE_FORMAT, "speaker.py")
    imports = [
        node for node in ast.walk(ast.parse("\n".join(code))) if isinstance(node, ast.Import)
    ]
    assert len(code) <= 30
    assert {name.name for node in imports for name in node.names} == {"json", "socket", "struct"}


def test_make_demo_is_telex_demo() -> None:
    """What stands in for ``make demo`` above is what it comes to."""
    dry_run = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "demo"],
        cwd=PROJECT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert dry_run.stdout.splitlines()[-1].endswith("/telex demo")


def test_the_address_on_the_pages_is_the_default() -> None:
    """A command that names no address means the one that its example shows."""
    assert DEFAULT_ADDRESS == "tcp://127.0.0.1:7766"


def test_the_limits_on_the_page_are_the_defaults() -> None:
    """The format's description tells the limits that Telex keeps."""
    text = WIRE_FORMAT.read_text(encoding="utf-8")
    assert f"| header block | {Limits().max_header_size:,} bytes |" in text
    assert f"| content | {Limits().max_content_size:,} bytes |" in text


def test_every_limit_is_on_its_page_with_its_default() -> None:
    """Nobody has to look into the code for them."""
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \|", LIMITS.read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {}
    for name, default in rows:
        number, _space, unit = default.replace(",", "").partition(" ")
        told[name] = None if number == "none" else int(number) * UNITS.get(unit, 1)
    assert told == asdict(Limits())
