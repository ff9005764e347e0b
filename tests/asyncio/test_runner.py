"""Running a program: on uvloop where that is there and wanted, else on asyncio's own loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest

from telex.asyncio import run


async def loop_type() -> type:
    """Return the type of the running loop."""
    return type(asyncio.get_running_loop())


class Uvloop(asyncio.SelectorEventLoop):
    """Stands for the loop of uvloop."""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have uvloop installed, or what looks like it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=Uvloop))


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no uvloop."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "uvloop", None)


@pytest.mark.usefixtures("installed")
def test_uvloop_is_used_when_it_is_there() -> None:
    """Nobody has to ask for it, but one can ask for it to be left alone."""
    assert run(loop_type()) is Uvloop
    assert run(loop_type(), uvloop=True) is Uvloop
    assert run(loop_type(), uvloop=False) is not Uvloop


@pytest.mark.usefixtures("missing")
def test_without_uvloop_everything_works() -> None:
    """Only who insists on it is told that it is missing."""
    assert issubclass(run(loop_type()), asyncio.AbstractEventLoop)
    with pytest.raises(ImportError, match="uvloop is wanted and not installed"):
        run(loop_type(), uvloop=True)


def test_results_and_exceptions_come_out() -> None:
    """What the coroutine returns is returned, what it raises is raised."""

    async def fail() -> None:
        raise ZeroDivisionError

    assert run(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ZeroDivisionError):
        run(fail())


def test_uvloop_is_not_imported_without_need() -> None:
    """Loading the front-end brings asyncio, and no other loop."""
    code = "import sys, telex; telex.asyncio.connect; print('uvloop' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert output.stdout.strip() == b"False"
