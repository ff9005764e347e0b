"""The fixtures of the behaviour suite: ``serve`` and ``connect``, for every pair of front-ends.

A test that asks for both runs four times. Over which transport is the fixture ``scheme``, which a
test may parametrize with ``over_every_transport``.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import telex
import telex.asyncio
import telex.sync
import telex.tls
from telex import Address, Application, TelexError
from telex.testing.loop_thread import LoopThread
from telex.testing.serving import FrontEnd
from tests.answering import Answerer, Take
from tests.behaviour.stage import (
    PATIENCE,
    Answering,
    Client,
    Connect,
    DrivenConnection,
    Pair,
    Running,
    RunningServer,
    Serve,
    echoing,
)
from tests.certificates import Authority

HANDLER_FAILED = re.compile(
    r"([^ ]+( \([^)]+\))?: )?"
    r"(handler [^ ]+ failed on |the (failure|shutdown) hook [^ ]+ failed|the observer failed"
    r"|lines of the log were left out: )"
)
"""The errors that a server may log on behalf of its user."""


def check_faults(caplog: pytest.LogCaptureFixture) -> None:
    """Fail when a server has logged an error that is not one of its user's handlers."""
    faults = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.ERROR and not HANDLER_FAILED.match(record.getMessage())
    ]
    assert faults == []


@pytest.fixture(params=["sync", "asyncio"], ids=lambda kind: f"from_{kind}")
def client_kind(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the client."""
    kind: FrontEnd = request.param
    return kind


@pytest.fixture(params=["sync", "asyncio"], ids=lambda kind: f"to_{kind}")
def server_kind(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the server."""
    kind: FrontEnd = request.param
    return kind


@pytest.fixture
def scheme() -> str:
    """Name the transport."""
    return "tcp"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificates of servers and clients."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.issue("127.0.0.1", "localhost")
    authority.issue("pump-7.example", file_name="client")
    return authority


@pytest.fixture(scope="session")
def certificates(authority: Authority) -> Path:
    """Return where the certificates are."""
    return authority.file.parent


@pytest.fixture
def serve(
    server_kind: FrontEnd,
    scheme: str,
    certificates: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Serve]:
    """Start servers; at the end each must have ended in time, and without a fault of its own."""
    servers: list[RunningServer] = []
    addresses = {
        "tcp": "tcp://127.0.0.1:0",
        "tls": "tls://127.0.0.1:0",
        "unix": f"unix://{tmp_path}/socket",
    }

    def start(application: Application, **options: Any) -> RunningServer:
        address = options.pop("address", addresses[scheme])
        if address.startswith("tls:") and "tls" not in options:
            options["tls"] = telex.tls.server_context(
                certificates / "server-certificate.pem", certificates / "server-key.pem"
            )
        kind = options.pop("front_end", server_kind)
        servers.append(RunningServer(kind, application, address, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    check_faults(caplog)


@pytest.fixture
def running(serve: Serve) -> Running:
    """Run servers for the time of a context."""

    @contextlib.contextmanager
    def run(application: Application | None = None, **options: Any) -> Iterator[RunningServer]:
        server = serve(application or echoing(), **options)
        yield server
        server.stop()

    return run


@pytest.fixture
def connect(client_kind: FrontEnd, authority: Authority) -> Iterator[Connect]:
    """Connect clients; at the end all are closed, and nothing must be left unhandled."""
    connections: list[Client] = []
    thread = LoopThread() if client_kind == "asyncio" else None

    def open_connection(server: RunningServer | Address | str, **options: Any) -> Client:
        address = server.address if isinstance(server, RunningServer) else server
        if str(address).startswith("tls:") and "tls" not in options:
            options["tls"] = telex.tls.client_context(authority.file)
        options.setdefault("timeout", PATIENCE)
        if thread is None:
            connections.append(telex.sync.connect(address, **options))
        else:

            async def start() -> telex.asyncio.Connection:
                return await telex.asyncio.connect(address, **options)

            connections.append(DrivenConnection(thread, thread.do(start())))
        return connections[-1]

    yield open_connection
    for connection in connections:
        with contextlib.suppress(TelexError):
            connection.close(1.0)
    if thread is not None:
        thread.stop()
        assert thread.unhandled == []


@pytest.fixture
def pair(connect: Connect) -> Pair:
    """Connect clients to plain sockets, which do what the test wants."""

    @contextlib.contextmanager
    def open_pair(**options: Any) -> Iterator[tuple[Client, socket.socket]]:
        options.setdefault("limits", telex.Limits(max_content_size=1 << 30))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}", **options)
            peer, _address = listener.accept()
        peer.settimeout(PATIENCE)
        with peer:
            yield connection, peer

    return open_pair


@pytest.fixture
def answering(pair: Pair) -> Answering:
    """Connect clients to conversations on plain sockets, which answer as the test wants."""

    @contextlib.contextmanager
    def answer(take: Take, **options: Any) -> Iterator[tuple[Client, Answerer]]:
        with pair(**options) as (connection, peer):
            answerer = Answerer(peer, take)
            yield connection, answerer
            with contextlib.suppress(TelexError):
                connection.close(1.0)
            answerer.thread.join(PATIENCE)

    return answer
