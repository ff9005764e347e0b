"""``telex wireshark``: where the dissector is, and how it gets to its place."""

from __future__ import annotations

import importlib.resources
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from telex.cli.failure import CommandError
from telex.cli.wireshark import script
from tests.cli.stage import Telex
from tests.wireshark.tshark import NEEDS_TSHARK, TSHARK

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home directory that is new."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def target(home: Path) -> Path:
    """Return where Wireshark looks for the plugins of who has this home."""
    return home / ".local" / "lib" / "wireshark" / "plugins" / "telex.lua"


def test_by_itself_it_prints_where_the_dissector_is(telex: Telex) -> None:
    """One line, which a shell can hand to tshark."""
    outcome = telex("wireshark")
    [file] = outcome.output
    assert (outcome.code, outcome.errors) == (0, [])
    assert Path(file).read_text(encoding="utf-8").startswith("-- Wireshark reads Telex")


def test_it_is_installed_where_wireshark_looks(telex: Telex, target: Path) -> None:
    """Directories are made on the way, and it is said where it is."""
    assert telex("wireshark", "--install") == (0, [f"installed {target}"], [])
    assert target.read_bytes() == script().read_bytes()
    assert telex("wireshark", "--install").output == [f"already installed: {target}"]


@NEEDS_TSHARK
def test_that_is_where_wireshark_looks(telex: Telex, home: Path, target: Path) -> None:
    """It is read from there by tshark by itself."""
    telex("wireshark", "--install")
    printed = subprocess.run(
        [str(TSHARK), "-G", "protocols"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Telex\tTELEX\ttelex" in printed


def test_a_directory_can_be_chosen(telex: Telex, tmp_path: Path) -> None:
    """For Wireshark on other systems, or for everybody on this one."""
    outcome = telex("wireshark", "--install", "--directory", str(tmp_path / "plugins"))
    assert outcome.output == [f"installed {tmp_path / 'plugins' / 'telex.lua'}"]


def test_a_different_file_is_not_overwritten(telex: Telex, target: Path) -> None:
    """Not unless that is wished: somebody may have worked on it."""
    target.parent.mkdir(parents=True)
    target.write_text("-- mine")
    refused = telex("wireshark", "--install")
    sentence = f"telex: {target} is a different file; --force replaces it"
    assert refused == (1, [], [sentence])
    assert target.read_text() == "-- mine"
    assert telex("wireshark", "--install", "--force").output == [f"replaced {target}"]
    assert target.read_bytes() == script().read_bytes()


def test_a_directory_that_cannot_be_is_one_line(telex: Telex, tmp_path: Path) -> None:
    """The system's reason is told."""
    (tmp_path / "file").touch()
    outcome = telex("wireshark", "--install", "--directory", str(tmp_path / "file" / "plugins"))
    assert (outcome.code, outcome.output, len(outcome.errors)) == (1, [], 1)
    assert outcome.errors[0].endswith("not a directory")


@pytest.mark.parametrize("option", [["--force"], ["--directory", "x"]])
def test_what_is_about_installing_needs_it(telex: Telex, option: list[str]) -> None:
    """An option that would do nothing is refused."""
    outcome = telex("wireshark", *option)
    assert outcome == (2, [], [f"telex: {option[0]}: it needs --install"])


def test_inside_an_archive_it_has_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs Telex from a zip file is told what would be right."""
    with zipfile.ZipFile(tmp_path / "telex.zip", "w") as archive:
        archive.writestr("telex/wireshark/telex.lua", "")
    inside = zipfile.Path(tmp_path / "telex.zip", "telex/")
    monkeypatch.setattr(importlib.resources, "files", lambda package: inside)
    with pytest.raises(CommandError, match=r"^the dissector is inside an archive"):
        script()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_is_in_what_is_built(tmp_path: Path, kind: str) -> None:
    """The packages that users get have the dissector."""
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE", "README.md"):
        shutil.copy(PROJECT / name, tmp_path)
    without = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for name in ("_build", "src"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=without)
    subprocess.run(
        [sys.executable, "-c", f"import backend; backend.build_{kind}('dist')"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "_build", "TELEX_MYPYC": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    [built] = (tmp_path / "dist").iterdir()
    if kind == "wheel":
        with zipfile.ZipFile(built) as wheel:
            names = wheel.namelist()
    else:
        with tarfile.open(built) as archive:
            names = archive.getnames()
    assert [Path(name).name for name in names if name.endswith(".lua")] == ["telex.lua"]
