"""Who may talk: tokens and certificates, and what is said to those who have none."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

import pytest

import telex.tls
from telex import (
    AddressError,
    Application,
    ConnectError,
    ConnectionClosedError,
    Limits,
    Message,
    TelexError,
    TooLargeError,
)
from telex.application.peer import Peer
from tests.behaviour.stage import PATIENCE, Connect, Serve, receive_all, receive_one
from tests.behaviour.transports import over_every_transport
from tests.certificates import Authority
from tests.encrypted import EncryptedSocket

TOKENS = {"pump-7": "5f2b17c0", "pump-8": "77aa01e9"}


@pytest.fixture
def app() -> Application:
    """Return an application that says who asks."""
    app = Application()

    @app.on()
    def who(message: Message, peer: Peer) -> object:
        return {"identity": peer.identity}

    return app


@pytest.fixture
def mutual(certificates: Path, authority: Authority) -> ssl.SSLContext:
    """Return the TLS side of a server that demands certificates."""
    return telex.tls.server_context(
        certificates / "server-certificate.pem", certificates / "server-key.pem", authority.file
    )


@over_every_transport
def test_a_token_is_an_identity(serve: Serve, connect: Connect, app: Application) -> None:
    """Each client is known by the name of its token."""
    server = serve(app, tokens=TOKENS)
    for name, token in TOKENS.items():
        answer = connect(server, token=token).request("x", timeout=PATIENCE)
        assert answer.content == {"identity": name}


@over_every_transport
def test_a_wrong_token_is_refused_at_once(serve: Serve, connect: Connect, app: Application) -> None:
    """Connecting raises what the server said, and the server sees why too."""
    server = serve(app, tokens=TOKENS)
    with pytest.raises(ConnectionClosedError, match="token is not known") as caught:
        connect(server, token="guessed")
    assert (caught.value.code, caught.value.by) == ("unauthorized", "peer")
    ending = server.ending()
    assert isinstance(ending, ConnectionClosedError)
    assert (ending.code, ending.by) == ("unauthorized", "us")
    assert "guessed" not in str(caught.value) + str(ending)


def test_without_a_token_nothing_is_handled(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The first request fails with what the server said, and no handler has seen it."""
    server = serve(app, tokens=TOKENS)
    connection = connect(server)
    with pytest.raises(ConnectionClosedError, match="demands a token") as caught:
        connection.request("x", timeout=PATIENCE)
    assert caught.value.code == "unauthorized"
    assert server.events.messages == []


def test_a_hello_without_a_token_is_refused(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Wanting keepalive is no reason to be let in."""
    with pytest.raises(ConnectionClosedError, match="no token") as caught:
        connect(serve(app, tokens=TOKENS), keepalive=True)
    assert caught.value.code == "unauthorized"


def test_whoever_is_silent_is_not_waited_for(serve: Serve, app: Application) -> None:
    """A server that demands a token waits ``handshake_timeout`` for it, and says so."""
    server = serve(app, tokens=TOKENS, limits=Limits(handshake_timeout=0.3))
    with server.plug_in() as sock:
        [error] = receive_all(sock)
    assert error.content["code"] == "timeout"
    assert "hello" in error.content["detail"]


@over_every_transport
@pytest.mark.parametrize(
    ("kind", "code"),
    [(None, "unauthorized"), ("request", "unauthorized"), ("hello", "too-large")],
)
def test_without_a_token_nobody_fills_the_memory(
    serve: Serve, app: Application, authority: Authority, kind: str | None, code: str
) -> None:
    """The header of a message is enough to refuse the message; none of its content is kept."""
    server = serve(app, tokens=TOKENS)
    size = 16_000_000
    announcement = Message(bytes(size), kind=kind, id=1).to_bytes()[:-size]
    bare = server.plug_in()
    sock: socket.socket | EncryptedSocket = bare
    if server.address.scheme == "tls":
        sock = EncryptedSocket(bare, telex.tls.client_context(authority.file), name="127.0.0.1")
    with bare:
        sock.sendall(announcement)
        error = receive_one(sock)
    assert (error.kind, error.content["code"]) == ("error", code)
    ending = server.ending()
    assert isinstance(ending, ConnectionClosedError | TooLargeError)
    assert ending.code == code


def test_a_token_where_none_is_demanded_is_let_in(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """It proves nothing to a server that knows no tokens."""
    answer = connect(serve(app), token="anything").request("x", timeout=PATIENCE)
    assert answer.content == {"identity": None}


@pytest.mark.parametrize("scheme", ["tls"])
def test_a_certificate_is_an_identity(
    serve: Serve,
    connect: Connect,
    app: Application,
    mutual: ssl.SSLContext,
    authority: Authority,
    certificates: Path,
) -> None:
    """With mutual TLS a client is known by the name in its certificate."""
    own = telex.tls.client_context(
        authority.file, certificates / "client-certificate.pem", certificates / "client-key.pem"
    )
    connection = connect(serve(app, tls=mutual), tls=own)
    assert connection.request("x", timeout=PATIENCE).content == {"identity": "pump-7.example"}


@pytest.mark.parametrize("scheme", ["tls"])
def test_without_a_certificate_nothing_is_handled(
    serve: Serve, connect: Connect, app: Application, mutual: ssl.SSLContext
) -> None:
    """Who shows none learns it at the latest with the first request (TLS 1.3 tells it late)."""
    server = serve(app, tls=mutual)
    with pytest.raises((ConnectError, ConnectionClosedError)):
        connect(server).request("x", timeout=PATIENCE)
    assert server.events.messages == []


@pytest.mark.parametrize("scheme", ["tls"])
def test_a_server_with_the_wrong_certificate_is_not_believed(
    serve: Serve, connect: Connect, app: Application, tmp_path: Path
) -> None:
    """Nothing is sent to whom an unknown authority vouches for; the error says that."""
    server = serve(app)
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(ConnectError, match="certificate"):
        connect(server, tls=telex.tls.client_context(stranger.file))
    assert server.events.messages == []


@pytest.mark.parametrize("scheme", ["tls"])
def test_a_server_by_another_name_is_not_believed(
    serve: Serve, connect: Connect, app: Application, authority: Authority, tmp_path: Path
) -> None:
    """The certificate must be for the host that was asked for."""
    other = authority.issue("elsewhere.example", file_name="elsewhere")
    server = serve(app, tls=telex.tls.server_context(other.certificate, other.key))
    with pytest.raises(ConnectError, match="certificate"):
        connect(server)


@pytest.mark.parametrize("scheme", ["tls"])
def test_plain_text_to_a_tls_server_is_refused(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """A client without TLS learns that it is not talked to, and the server goes on."""
    server = serve(app)
    plain = f"tcp://127.0.0.1:{server.address.port}"
    with pytest.raises(TelexError):
        connect(plain).request("x", timeout=PATIENCE)
    assert connect(server).request("x", timeout=PATIENCE).content == {"identity": None}


def test_tls_to_a_plain_server_is_refused(
    serve: Serve, connect: Connect, app: Application, authority: Authority
) -> None:
    """The client cannot connect, and the server says what the bytes look like."""
    server = serve(app)
    with pytest.raises(ConnectError):
        connect(
            f"tls://127.0.0.1:{server.address.port}", tls=telex.tls.client_context(authority.file)
        )
    assert "TLS" in str(server.ending())


@pytest.mark.parametrize("scheme", ["tls"])
def test_a_silent_tls_handshake_is_not_waited_for(serve: Serve, app: Application) -> None:
    """A connection that does not begin its handshake is closed in ``handshake_timeout``."""
    server = serve(app, limits=Limits(handshake_timeout=0.3))
    with server.plug_in() as sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(100) == b""


def test_a_server_for_everybody_needs_tls(serve: Serve, app: Application) -> None:
    """Listening in the clear where others can connect is refused, unless that is insisted on."""
    with pytest.raises(AddressError, match="tls://"):
        serve(app, address="tcp://0.0.0.0:0")
    assert serve(app, address="tcp://0.0.0.0:0", insecure=True).address.host == "0.0.0.0"
