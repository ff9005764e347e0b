"""Reads a page of the documentation as a person at a keyboard does, and does what it shows.

A page is followed from top to bottom, in a directory of its own. A Python block that begins with a
comment such as ``# server.py`` is saved under that name; any other is executed, and a comment
behind an expression is what that must be. In a console block, what stands behind ``$`` is run, and
what stands below it must be printed; a server goes on for the blocks after it. ``…`` stands for
anything. A command goes on in the next line behind a backslash.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

PATIENCE = 120.0
"""Seconds after which a command is taken to hang."""

SERVES = re.compile(
    r"(telex (conformance )?serve|python server\.py"
    r"|python (examples|conformance)/\w+\.py (serve|collect))"
    r"(?!.*\|\|)"
)
"""Commands that go on until Ctrl-C; ``||`` tells those that are meant to fail."""

STANDS_BY = re.compile(r"python examples/gateway\.py answer")
"""Commands that go on until Ctrl-C beside a server, which they are clients of."""

CTRL_C = 130
"""The exit code of a client that Ctrl-C ends."""

_PORTS = range(20_000, 32_000)
"""Those that no system gives to somebody who takes any port."""

TSHARK = shutil.which("tshark")

FETCH = (
    "import sys, urllib.request as web; print(web.urlopen(sys.argv[-1]).read().decode(), end=str())"
)
"""What stands in for ``curl`` on a machine that does without."""

STAND_INS = {
    "python": f'exec "{sys.executable}" "$@"',
    # It takes its time on a machine that does much else.
    "pytest": f'exec "{sys.executable}" -m pytest -p pytest_telex -p no:cacheprovider '
    '--hypothesis-profile=ci "$@"',
    # It warns whoever is root, as those are who run tests in a container.
    "tshark": f'{{ "{TSHARK}" "$@" 2>&1 >&3 | grep -v "^Running as user" >&2; }} 3>&1',
    "telex": f'exec "{sys.executable}" "$(dirname "$0")/telex_on_port.py" "$@"',
    "curl": f'exec "{sys.executable}" -c \'{FETCH}\' "$@"',
    # Sets an environment up, such as the one that runs this, and then does no more than this.
    "make": 'exec telex "$@"',
    # The project and its extras are looked at, without a network and without changing anything.
    "pip": f'TELEX_MYPYC=0 exec "{sys.executable}" -m pip --quiet --disable-pip-version-check '
    '"$@" --dry-run --no-deps --no-build-isolation --no-index',
}
"""What the commands of a page are here: those of the environment under test."""

TELEX_ON_PORT = """\
from telex.cli import main, options

options.DEFAULT_ADDRESS = "tcp://127.0.0.1:{port}"
main()
"""

SIGN = """\
import trustme

authority = trustme.CA()
issued = authority.issue_cert("localhost", "127.0.0.1")
issued.private_key_pem.write_to_path("key.pem")
issued.cert_chain_pems[0].write_to_path("cert.pem")
authority.cert_pem.write_to_path("cert.pem", append=True)
"""
"""What stands in for ``openssl req`` on a machine that does without."""


class Block(NamedTuple):
    """A fenced block of a page: where it is, what it is in, and what it says."""

    place: str
    language: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if line.startswith("```"):
            text = []
            for _number, inside in lines:
                if inside == "```":
                    break
                text.append(inside)
            yield Block(f"{page.name}, line {number}", line.removeprefix("```"), "\n".join(text))


def name_of(block: Block) -> str | None:
    """Return the name of the file that a block shows, if it shows one."""
    name = re.match(r"# (\w+\.py)\n", block.text) if block.language == "python" else None
    return name and name[1]


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Yield the commands of a console block, each with what it prints."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _newline, printed = part.replace("\\\n", "").partition("\n")
        yield command, printed


def comparable(text: str) -> str:
    """Return what is printed without what chance decides: ports, and how bytes come in pieces."""
    text = re.sub(r"((?:127|0)\.0\.0\.[01]:)\d+", r"\1PORT", text.rstrip("\n"))
    text = re.sub(r"^server │ \S+ connected\n", "", text, flags=re.MULTILINE)
    return re.sub(r"(?:^.* received .*bytes?, .*\n)+", _joined_arrivals, text, flags=re.MULTILINE)


def _joined_arrivals(arrivals: re.Match[str]) -> str:
    """Make one line of the bytes that came until a message was complete, or the connection over."""
    lines = arrivals[0].splitlines()
    sizes = [int(size.replace(",", "")) for size in re.findall(r"received ([\d,]+)", arrivals[0])]
    prefix, end = lines[-1].partition("received")[0], lines[-1].rpartition(", ")[2]
    return f"{prefix}received {sum(sizes)} bytes, {end}\n"


def is_as_shown(printed: str, shown: str) -> bool:
    """Say whether what was printed is what the page shows."""
    pattern = re.escape(comparable(shown)).replace("…", ".*")
    return re.fullmatch(pattern, comparable(printed), re.DOTALL) is not None


def wait_for(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds; say whether it came to hold in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def free_port(count: int = 1) -> int:
    """Return the first of ``count`` ports in a row, all free.

    The system gives none of them to somebody who takes any port, and this function none to another
    worker of pytest-xdist: whoever gets one may take it, and leave it, as often as it likes.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = len(_PORTS) // workers
    while True:
        first = random.choice(_PORTS[worker * share : (worker + 1) * share - count])
        with contextlib.suppress(OSError), contextlib.ExitStack() as taken:
            for port in range(first, first + count):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


class Reader:
    """Does what a page says, in a directory and on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port(3)  # two workers offer metrics on two ports
        self._metrics_port = self._port + 1
        commands = directory / "bin"
        commands.mkdir()
        stand_ins = dict(STAND_INS)
        if shutil.which("openssl") is None:
            (commands / "sign.py").write_text(SIGN)
            stand_ins["openssl"] = f'exec "{sys.executable}" "$(dirname "$0")/sign.py"'
        for name, script in stand_ins.items():
            (commands / name).write_text(f"#!/bin/sh\n{script}\n")
            (commands / name).chmod(0o755)
        (commands / "telex_on_port.py").write_text(TELEX_ON_PORT.format(port=self._port))
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
            "HOME": str(directory),  # what is installed or remembered goes there
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        for example in (directory / "examples").glob("*.py"):
            example.write_text(self._here(example.read_text(encoding="utf-8")), encoding="utf-8")
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._server = contextlib.ExitStack()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.__exit__(exception_type, exception, traceback)

    def follow(self, block: Block) -> None:
        """Do what a block says; fail where it does not come out as shown."""
        if (name := name_of(block)) is not None:
            (self._directory / name).write_text(self._here(block.text) + "\n", encoding="utf-8")
        elif block.language == "python":
            self._execute(block)
        elif block.language == "console":
            self._run_all(block)

    def _run_all(self, block: Block) -> None:
        for command, shown in commands_of(block):
            if STANDS_BY.match(command):
                self._server.enter_context(self._serving(command, shown, block.place))
            elif SERVES.match(command):
                self._server.close()
                self._server.enter_context(self._serving(command, shown, block.place))
            else:
                printed = self._run(command)
                assert is_as_shown(printed, shown), f"{block.place}: {command}\n{printed}"

    def _here(self, text: str) -> str:
        return text.replace("7766", str(self._port)).replace("9100", str(self._metrics_port))

    def _run(self, command: str) -> str:
        """Run a command; return what it printed, errors among it."""
        return subprocess.run(
            self._here(command),
            shell=True,
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        ).stdout

    @contextlib.contextmanager
    def _serving(self, command: str, shown: str, place: str) -> Iterator[None]:
        """Run a server while the context lasts, then end it as Ctrl-C does; see ``follow``."""
        output = self._directory / f"output-of-{command.replace('/', '-')}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                f"exec {self._here(command)}",
                shell=True,
                cwd=self._directory,
                env=self._environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            stands_by = STANDS_BY.match(command) is not None
            says_so = stands_by or "listening on" in shown
            assert wait_for(lambda: output.stat().st_size > 0 if says_so else self._serves())
            yield
            wait_for(lambda: is_as_shown(output.read_text(encoding="utf-8"), shown))
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == (CTRL_C if stands_by else 0)
        finally:
            process.kill()
            process.wait()
        printed = output.read_text(encoding="utf-8")
        assert is_as_shown(printed, shown), f"{place}: {command}\n{printed}"

    def _serves(self) -> bool:
        """Say whether somebody is served: before that, Ctrl-C may still end a server by force."""
        where = ("127.0.0.1", self._port)
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(where, PATIENCE) as sock,
        ):
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
            return True
        return False

    def _execute(self, block: Block) -> None:
        """Execute a Python block, statement by statement, in the names of those before it."""
        comments = {
            token.start[0]: token.string.removeprefix("# ")
            for token in tokenize.generate_tokens(io.StringIO(block.text).readline)
            if token.type == tokenize.COMMENT
        }
        with contextlib.chdir(self._directory), self._importing_from_here():
            self._execute_statements(block, comments)

    @contextlib.contextmanager
    def _importing_from_here(self) -> Iterator[None]:
        """Have ``import`` find the files that the page has shown, and nobody else afterwards."""
        sys.path.insert(0, str(self._directory))
        try:
            yield
        finally:
            sys.path.remove(str(self._directory))
            for shown in self._directory.glob("*.py"):
                sys.modules.pop(shown.stem, None)

    def _execute_statements(self, block: Block, comments: dict[int, str]) -> None:
        for statement in ast.parse(self._here(block.text)).body:
            if isinstance(statement, ast.Expr) and statement.end_lineno in comments:
                expression = ast.Expression(statement.value)
                value = eval(compile(expression, block.place, "eval"), self._names)
                shown = comments[statement.end_lineno]
                assert repr(value) == shown, f"{block.place}: {ast.unparse(expression)}"
            else:
                module = ast.Module([statement], [])
                exec(compile(module, block.place, "exec", dont_inherit=True), self._names)
