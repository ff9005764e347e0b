"""TLS of clients: how agreeing on it fails, and that nothing is lost over it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from typing import Any

import pytest

import telex.sync
from telex import AddressError, ConnectError, ConnectionClosedError, Limits, Message
from telex.network.resolver import Endpoint
from telex.sync.client_driver import ClientDriver
from telex.tls import client_context, server_context
from tests.behaviour.stage import PATIENCE, Client, Connect, Pair, Running
from tests.certificates import Authority

SMALL = Message("small").to_bytes()


@pytest.fixture
def server_side(certificates: Path) -> ssl.SSLContext:
    """Return the context of a server on this machine."""
    return server_context(certificates / "server-certificate.pem", certificates / "server-key.pem")


@pytest.fixture
def encrypted_pair(connect: Connect, server_side: ssl.SSLContext) -> Pair:
    """Connect clients to plain TLS sockets, which do what the test wants."""

    @contextlib.contextmanager
    def open_pair(**options: Any) -> Iterator[tuple[Client, socket.socket]]:
        accepted: list[ssl.SSLSocket] = []

        def accept() -> None:
            sock, _ = listener.accept()
            accepted.append(server_side.wrap_socket(sock, server_side=True))

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=accept)
            thread.start()
            connection = connect(f"tls://127.0.0.1:{listener.getsockname()[1]}", **options)
            thread.join(PATIENCE)
        [peer] = accepted
        peer.settimeout(PATIENCE)
        with peer:
            yield connection, peer

    return open_pair


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection, and do with it what the test wants; give the address."""

    def accept() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                serve(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"tls://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_certificate_of_a_stranger_is_refused_in_plain_words(
    connect: Connect, running: Running, server_side: ssl.SSLContext, tmp_path: Path
) -> None:
    """Who signed it is not trusted: that is what the error says, and TLS's own is its cause."""
    stranger = Authority(tmp_path, "stranger")
    with running(address="tls://127.0.0.1:0", tls=server_side) as stage:
        with pytest.raises(ConnectError, match="certificate is not to be trusted") as caught:
            connect(stage, tls=client_context(stranger.file))
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_certificate_for_another_name_is_refused(
    connect: Connect, running: Running, authority: Authority, server_side: ssl.SSLContext
) -> None:
    """The name that the certificate should have had is in the error; another may be demanded."""
    context = client_context(authority.file)
    with running(address="tls://127.0.0.1:0", tls=server_side) as stage:
        with pytest.raises(ConnectError, match=r"pump-7\.example"):
            connect(stage, tls=context, server_hostname="pump-7.example")
        with connect(stage, tls=context, server_hostname="localhost") as connection:
            assert connection.ping() > 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost.",
        "LocalHost",
        "bücher.example",
        "BÜCHER.example.",
        "xn--bcher-kva.example",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[fe80::1%1]",
    ],
)
def test_a_host_has_one_name_however_it_is_written(
    connect: Connect,
    running: Running,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    """A dot at the end, capital letters, other alphabets and zones are not in certificates."""
    names = ("localhost", "bücher.example", "::1", "fe80::1")
    context = server_context(*authority.issue(*names, file_name="names"))
    with running(address="tls://127.0.0.1:0", tls=context) as stage:
        port = stage.address.port
        here = Endpoint(socket.AF_INET, ("127.0.0.1", port))
        monkeypatch.setattr("telex.network.lookup.resolve", lambda address: [here])
        with connect(f"tls://{host}:{port}") as connection:
            assert connection.ping() > 0


@pytest.mark.parametrize("name", [".example", "a..example", "x" * 64])
def test_what_can_be_no_name_of_a_host_is_refused(connect: Connect, name: str) -> None:
    """It is refused as what it is, an address, before anything is dialed."""
    with pytest.raises(AddressError, match="no certificate can be for the name"):
        connect("tls://127.0.0.1:1", server_hostname=name)


def test_system_authorities_are_the_default(
    connect: Connect, running: Running, server_side: ssl.SSLContext
) -> None:
    """Without a context the system decides whom to trust: not the authority of a test."""
    with (
        running(address="tls://127.0.0.1:0", tls=server_side) as stage,
        pytest.raises(ConnectError, match="not to be trusted"),
    ):
        connect(stage, tls=None)


@pytest.mark.parametrize("options", [{"tls": None, "server_hostname": "x"}, {"tls": "context"}])
def test_tls_is_for_addresses_that_say_so(connect: Connect, options: dict[str, Any]) -> None:
    """A context that would not be used is an error, before anything is tried."""
    if options["tls"]:
        options = {"tls": client_context()}
    with pytest.raises(AddressError, match="right would be tls://HOST:PORT"):
        connect("tcp://127.0.0.1:1", **options)


def test_server_without_tls_is_told_apart(connect: Connect, authority: Authority) -> None:
    """Whatever answers in the clear does not speak TLS, and the error says so."""

    def answer_in_the_clear(sock: socket.socket) -> None:
        sock.recv(1_000)
        sock.sendall(Message("hello").to_bytes())

    with (
        listening(answer_in_the_clear) as address,
        pytest.raises(ConnectError, match="it does not speak TLS"),
    ):
        connect(address, tls=client_context(authority.file))


def test_server_that_hangs_up_is_told_apart(connect: Connect, authority: Authority) -> None:
    """An end instead of a handshake is an error that says what was missing."""
    with (
        listening(lambda sock: sock.close()) as address,
        pytest.raises(ConnectError, match=r"instead of agreeing on TLS|reset by peer"),
    ):
        connect(address, tls=client_context(authority.file))


@pytest.mark.parametrize(
    "options", [{"timeout": 0.1}, {"limits": Limits(handshake_timeout=0.1), "timeout": None}]
)
def test_silent_server_is_given_up(
    connect: Connect, authority: Authority, options: dict[str, Any]
) -> None:
    """Who accepts and says nothing is not waited for longer than connecting or TLS may take."""

    def be_silent(sock: socket.socket) -> None:
        while sock.recv(1_000):
            pass

    start = time.monotonic()
    with listening(be_silent) as address, pytest.raises(ConnectError, match="timed out"):
        connect(address, tls=client_context(authority.file), **options)
    assert time.monotonic() - start >= 0.1


def test_what_is_said_with_the_handshake_is_not_lost(
    connect: Connect, authority: Authority, server_side: ssl.SSLContext
) -> None:
    """A server may send before the client has finished: it is received like everything else."""

    def greet(sock: socket.socket) -> None:
        with server_side.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(Message("early").to_bytes() * 2)
            tls.unwrap()

    with listening(greet) as address:
        connection = connect(address, tls=client_context(authority.file))
        assert [message.content for message in connection] == ["early", "early"]
        connection.close()


def test_large_content_crosses_at_once(
    connect: Connect, running: Running, authority: Authority, server_side: ssl.SSLContext
) -> None:
    """Both sides have more to send than the network holds, and every byte arrives."""
    body = bytes(range(256)) * 20_000
    with (
        running(address="tls://127.0.0.1:0", tls=server_side) as stage,
        connect(stage, tls=client_context(authority.file)) as connection,
    ):
        answers = connection.request_many([body] * 8, timeout=PATIENCE)
        assert all(isinstance(answer, Message) and answer.body == body for answer in answers)
        for _ in range(4):
            connection.send(body)
        assert all(connection.receive(PATIENCE).body == body for _ in range(4))


def test_end_is_said_and_what_comes_before_it_is_heard(encrypted_pair: Pair) -> None:
    """Closing says so within TLS, and reads on until the peer has said the same."""
    with encrypted_pair() as (connection, peer):
        connection.send("last words")
        heard: list[bytes] = []

        def end() -> None:
            while data := peer.recv(1_000):  # 0 bytes without an error: the end was said
                heard.append(data)
            peer.sendall(Message("too late").to_bytes())
            assert isinstance(peer, ssl.SSLSocket)
            peer.unwrap().close()

        thread = threading.Thread(target=end)
        thread.start()
        connection.close()
        thread.join(PATIENCE)
        assert b"".join(heard) == Message("last words").to_bytes()


def cut(peer: socket.socket) -> None:
    """End the stream below TLS, as anybody on the way could."""
    with socket.socket(fileno=socket.dup(peer.fileno())) as bare:
        bare.shutdown(socket.SHUT_WR)


def test_end_that_is_not_of_tls_is_none(encrypted_pair: Pair) -> None:
    """What came is received; then whoever wants more is told that it was cut, and not ended."""
    with encrypted_pair() as (connection, peer):
        peer.sendall(SMALL)
        cut(peer)
        messages = iter(connection)
        assert next(messages).to_bytes() == SMALL
        with pytest.raises(ConnectionClosedError, match="peer: it cut the connection without"):
            next(messages)
        with pytest.raises(ConnectionClosedError, match="without ending TLS"):
            connection.send("more")
        connection.close()


def test_close_is_not_sure_of_a_peer_that_is_cut_off(encrypted_pair: Pair) -> None:
    """Whether it has read everything, and had nothing to say against it, nobody knows."""
    with encrypted_pair() as (connection, peer):
        connection.send("read by nobody")
        cut(peer)
        with pytest.raises(ConnectionClosedError, match="without ending TLS"):
            connection.close()


def test_a_peer_that_has_said_close_need_not_end_tls(encrypted_pair: Pair) -> None:
    """Nobody on the way can say that, so what follows it is of no matter."""
    farewell = Message({"code": "closed", "detail": "done"}, kind="close")
    with encrypted_pair() as (connection, peer):
        peer.sendall(SMALL + farewell.to_bytes())
        cut(peer)
        assert [message.content for message in connection] == ["small"]
        connection.close()


@pytest.fixture
def openssl_server(certificates: Path) -> Iterator[Callable[[str], tuple[str, Popen[bytes]]]]:
    """Start OpenSSL's own server, which takes orders on its standard input."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl on the path")
    processes: list[Popen[bytes]] = []

    def start(version: str) -> tuple[str, Popen[bytes]]:
        pair = [certificates / f"server-{what}.pem" for what in ("certificate", "key")]
        command: list[str | Path] = [
            program,
            "s_server",
            "-accept",
            "0",
            version,
            "-cert",
            pair[0],
            "-key",
            pair[1],
        ]
        process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
        processes.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"ACCEPT "):
                return f"tls://127.0.0.1:{int(line.rpartition(b':')[2])}", process
        pytest.fail("openssl does not listen")

    yield start
    for process in processes:
        with process:
            process.kill()


def printed_until(process: Popen[bytes], text: bytes) -> None:
    """Read what OpenSSL prints until it has printed this."""
    assert process.stdout is not None
    printed = b""
    while text not in printed:
        data = os.read(process.stdout.fileno(), 10_000)
        assert data, f"it ended before it had printed {text!r}"
        printed += data


def order(process: Popen[bytes], what: bytes) -> None:
    """Have OpenSSL do what a letter means to it."""
    assert process.stdin is not None
    process.stdin.write(what + b"\n")
    process.stdin.flush()


@pytest.mark.parametrize("letter", [b"k", b"K"], ids=["by one side", "by both sides"])
def test_renewed_keys_lose_nothing(
    connect: Connect, openssl_server: Callable[[str], tuple[str, Popen[bytes]]], letter: bytes
) -> None:
    """TLS 1.3 may change its keys at any time; messages before and after that arrive."""
    address, process = openssl_server("-tls1_3")
    connection = connect(address)
    connection.send("before")
    printed_until(process, b"before")
    order(process, letter)
    for number in range(3):
        connection.send(f"after-{number}")
        printed_until(process, f"after-{number}".encode())


@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "allowed"])
def test_no_message_is_lost_in_silence_when_tls_is_to_be_agreed_on_anew(
    connect: Connect,
    openssl_server: Callable[[str], tuple[str, Popen[bytes]]],
    authority: Authority,
    is_refused: bool,
) -> None:
    """TLS 1.2 lets a server ask for that; a message arrives, or an error says that it may not."""
    address, process = openssl_server("-tls1_2")
    context = client_context(authority.file)
    assert context.options & ssl.OP_NO_RENEGOTIATION
    if not is_refused:
        context.options &= ~ssl.OP_NO_RENEGOTIATION
    connection = connect(address, tls=context)
    connection.send("before")
    printed_until(process, b"before")
    order(process, b"R")
    if isinstance(connection, telex.sync.Connection):  # the other reads by itself
        assert isinstance(connection._driver, ClientDriver)
        assert select.select([connection._driver.socket], [], [], PATIENCE)[0]
    try:
        for number in range(3):
            connection.send(f"after-{number}")
        connection.close(1.0)
    except ConnectionClosedError:
        return
    printed_until(process, b"after-2")
