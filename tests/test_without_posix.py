"""Telex where Python lacks what it has on POSIX systems: see ``tests/without_posix.py``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import telex.asyncio
from telex import Application
from telex.network.os_errors import reason_of

PROJECT = Path(__file__).parent.parent

TAKE_AWAY = "from tests.without_posix import take_away; take_away()\n"

UNIX_SERVER = "unix:///tmp/telex-without-posix"


def run_without_posix(code: str) -> str:
    """Run ``code`` where the names are missing; return what it printed."""
    path = os.pathsep.join([str(PROJECT), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", TAKE_AWAY + code],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def test_everything_can_be_imported() -> None:
    """But for what forks processes, no module needs a name or a module that Windows lacks."""
    imports = (
        "import importlib, pkgutil, telex\n"
        "for module in pkgutil.walk_packages(telex.__path__, 'telex.'):\n"
        "    if module.name not in ('telex.__main__', 'telex.server.workers'):\n"
        "        importlib.import_module(module.name)\n"
        "print('all')"
    )
    assert run_without_posix(imports) == "all"


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
@pytest.mark.parametrize("what", ["connect(ADDRESS)", "serve(telex.Application(), ADDRESS)"])
def test_a_unix_socket_is_one_clear_error(front_end: str, what: str) -> None:
    """An address that this system cannot have says so, and says what is nearest to it."""
    call = what.replace("ADDRESS", f"'{UNIX_SERVER}'")
    opened = (
        f"telex.sync.{call}"
        if front_end == "sync"
        else f"asyncio.run(opened(telex.asyncio.{call}))"
    )
    said = run_without_posix(
        "import asyncio, telex\n"
        "async def opened(opening): await opening\n"
        f"try: {opened}\n"
        "except telex.TelexError as error: print(type(error).__name__, error)"
    )
    kind = "ConnectError" if what.startswith("connect") else "AddressError"
    assert said.startswith(kind)
    assert said.endswith("this system has no Unix sockets; tcp://127.0.0.1 is for this machine too")


def test_several_processes_are_one_clear_error() -> None:
    """Where no process can be forked, an address cannot be shared."""
    said = run_without_posix(
        "import telex\n"
        "from telex.network.listener import SharedAddress\n"
        "try: SharedAddress(telex.Address.parse('tcp://127.0.0.1:0'))\n"
        "except telex.AddressError as error: print(error)"
    )
    assert said == (
        "cannot share tcp://127.0.0.1:0 among processes: this system cannot fork them; "
        "right would be one process"
    )


def test_ctrl_c_ends_a_server_whose_loop_handles_no_signals() -> None:
    """An event loop of Windows has no ``add_signal_handler``; the signal module has."""
    served = (
        "import asyncio, signal, telex\n"
        "async def main():\n"
        "    async with telex.asyncio.serve(telex.Application(), 'tcp://127.0.0.1:0') as server:\n"
        "        before = signal.getsignal(signal.SIGINT)\n"
        "        serving = asyncio.create_task(server.serve_forever())\n"
        "        await asyncio.sleep(0)\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        await serving\n"
        "        print('ended', signal.getsignal(signal.SIGINT) is before)\n"
        "asyncio.run(main())"
    )
    assert run_without_posix(served) == "ended True"


class WatchesNothing(asyncio.SelectorEventLoop):
    """An event loop that watches no sockets for its users, as ``ProactorEventLoop``."""

    add_reader = asyncio.AbstractEventLoop.add_reader


@pytest.mark.parametrize("what", ["connect", "serve"])
def test_an_event_loop_that_watches_no_sockets_is_one_clear_error(what: str) -> None:
    """The default loop of Windows says which one is right, before anything is opened."""

    async def main() -> None:
        if what == "connect":
            await telex.asyncio.connect("tcp://127.0.0.1:1")
        else:
            await telex.asyncio.serve(Application(), "tcp://127.0.0.1:0")

    with (
        asyncio.Runner(loop_factory=WatchesNothing) as runner,
        pytest.raises(RuntimeError, match=r"WatchesNothing, .* right would be telex\.asyncio\.run"),
    ):
        runner.run(main())


def test_an_error_of_windows_is_told_in_its_own_words() -> None:
    """The numbers of its socket errors mean nothing to ``os.strerror``."""
    error = OSError(10061, "The target machine actively refused it")
    error.winerror = 10061  # type: ignore[attr-defined]
    assert reason_of(error) == "the target machine actively refused it"


def test_the_behaviour_is_the_same(tmp_path: Path) -> None:
    """What both ends do over TCP and TLS does not depend on what is missing.

    Those of asyncio also lack the signals of an event loop; the blocking ones share all else.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.without_posix",
        "-p",
        "no:cacheprovider",
    ]
    options = ["--basetemp", str(tmp_path / "base"), "--ignore", "tests/behaviour/test_limits.py"]
    result = subprocess.run(
        [*command, *options, "-q", "-k", "from_asyncio and to_asyncio", "tests/behaviour"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-8000:]
