"""The fixtures of the behaviour suite, with the third front-end at both ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import telex.tls
from telex import Address, Application, TelexError
from tests.behaviour.conftest import check_faults
from tests.behaviour.stage import PATIENCE, Client, Connect, RunningServer, Serve
from tests.certificates import Authority
from tests.third_front_end.stage import ThirdClient, ThirdServer


@pytest.fixture
def scheme() -> str:
    """Name the transport."""
    return "tcp"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the server's certificate."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.issue("127.0.0.1")
    return authority


@pytest.fixture
def serve(scheme: str, authority: Authority, caplog: pytest.LogCaptureFixture) -> Iterator[Serve]:
    """Start servers; at the end each must have ended in time, and without a fault of its own."""
    servers: list[ThirdServer] = []

    def start(application: Application, **options: Any) -> RunningServer:
        if scheme == "tls":
            files: Path = authority.file.parent
            options["tls"] = telex.tls.server_context(
                files / "server-certificate.pem", files / "server-key.pem"
            )
        servers.append(ThirdServer(application, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    check_faults(caplog)


@pytest.fixture
def connect(scheme: str, authority: Authority) -> Iterator[Connect]:
    """Connect clients; at the end all are closed."""
    connections: list[ThirdClient] = []

    def open_connection(server: RunningServer | Address | str, **options: Any) -> Client:
        if scheme == "tls":
            options["tls"] = telex.tls.client_context(authority.file)
        options.setdefault("timeout", PATIENCE)
        where = server.address if type(server) is RunningServer else server
        assert not isinstance(where, RunningServer) or isinstance(where, ThirdServer)
        connections.append(ThirdClient(where, **options))
        return cast("Client", connections[-1])  # it has what the tests of this folder call

    yield open_connection
    for connection in connections:
        with contextlib.suppress(TelexError):
            connection.close(1.0)
        connection.join(PATIENCE)
        assert not connection.is_alive()
