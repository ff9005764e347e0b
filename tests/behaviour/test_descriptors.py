"""A process without descriptors left: what fails says so, and gives back all that it had taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from telex.testing import Servers
from telex.tls import server_context
from tests.behaviour.stage import echoing
from tests.certificates import Authority
from tests.programs import FRONT_ENDS, run_program

_BEGIN = """
import contextlib, gc, resource, socket

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
app = telex.Application()

@app.on()
def echo(message):
    return message

def descriptors():
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))

@contextlib.contextmanager
def only(count):
    # Leave so many descriptors to the process.
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for number in taken[:count]:
        os.close(number)
    try:
        yield
    finally:
        for number in taken[count:]:
            os.close(number)

thread = None if kind == "sync" else LoopThread()

def do(what, *arguments, **options):
    if thread is None:
        return getattr(telex.sync, what)(*arguments, **options)

    async def begin():
        return await getattr(telex.asyncio, what)(*arguments, **options)

    return thread.do(begin())

def close(opened):
    if thread is None:
        opened.close()
    else:
        thread.do(opened.close())

def attempt(what, *arguments, **options):
    # With more and more descriptors, until it works.
    failures = 0
    for count in range(20):
        before = descriptors()
        with only(count):
            try:
                opened = do(what, *arguments, **options)
            except (telex.ConnectError, telex.AddressError) as error:
                assert "too many open files" in str(error), error
                failures += 1
                opened = None
        if opened is not None:
            close(opened)
        after = descriptors()
        assert after == before, (what, arguments, count, before, after)
        if opened is not None:
            break
    print(what, arguments[-1].partition(":")[0], failures > 0 and opened is not None)
"""

CONNECTING = (
    _BEGIN
    + """
ca, *addresses = arguments
for address in addresses:
    options = {"tls": telex.tls.client_context(ca)} if address.startswith("tls") else {}
    for _ in range(2):  # what is made once is made now
        close(do("connect", address, **options))
    attempt("connect", address, **options)
"""
)

SERVING = (
    _BEGIN
    + """
[path] = arguments
for address in ("tcp://localhost:0", f"unix://{path}"):
    close(do("serve", app, address))
    attempt("serve", app, address)
assert not os.path.exists(path)
"""
)

END = """
if thread is not None:
    thread.stop()
    assert thread.unhandled == [], thread.unhandled
gc.collect()
"""

STRICT = ("-W", "error::ResourceWarning")


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_client_without_descriptors_fails_and_keeps_none(
    front_end: str, tmp_path: Path, authority: Authority
) -> None:
    """Whichever of them is missing, it is told by a ConnectError, and no socket is left open."""
    context = server_context(*authority.issue("127.0.0.1", file_name="here"))
    with Servers() as serve:
        addresses = [
            serve(echoing(), address=f"unix://{tmp_path}/socket"),
            serve(echoing(), address="tcp://localhost:0"),
            serve(echoing(), tls=context),
        ]
        output = run_program(
            CONNECTING + END, front_end, str(authority.file), *map(str, addresses), flags=STRICT
        )
    assert output == "connect unix True\nconnect tcp True\nconnect tls True\n"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_server_without_descriptors_fails_and_keeps_none(front_end: str, tmp_path: Path) -> None:
    """Whichever of them is missing, it is told by an AddressError, and nobody listens."""
    output = run_program(SERVING + END, front_end, str(tmp_path / "socket"), flags=STRICT)
    assert output == "serve tcp True\nserve unix True\n"
