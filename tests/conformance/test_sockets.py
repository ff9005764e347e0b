"""Both servers and both clients keep the conversations over real sockets, with TLS and without.

What needs the time handed in, or an end that no front-end drives, is played without sockets.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

import telex.asyncio
import telex.sync
import telex.tls
from telex import Limits
from telex.conformance.application import fixed_application
from telex.conformance.channel import Channel, connect
from telex.conformance.loading import conversations, setups
from telex.conformance.player import Player, Shortfall
from telex.conformance.run import Conversation, setup_of
from telex.conformance.serve import options_of
from telex.testing.loop_thread import LoopThread
from telex.testing.serving import FrontEnd, Serving, start
from tests.behaviour.stage import Client
from tests.certificates import Authority
from tests.conformance.programs import TIMEOUT, ClientProgram, LoopClient, ServerProgram

AT_ONCE = 8
"""Conversations that are played at a time: most of them wait for the other end."""

over_both = pytest.mark.parametrize("scheme", ["tcp", "tls"])
of_both_front_ends = pytest.mark.parametrize("front_end", ["sync", "asyncio"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificate of the servers."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def contexts(
    scheme: str, authority: Authority
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return the contexts of a server and of a client; None without TLS."""
    if scheme == "tcp":
        return None, None
    pair = authority.issue("127.0.0.1", "localhost")
    server = telex.tls.server_context(pair.certificate, pair.key)
    return server, telex.tls.client_context(authority.file)


def played(role: str) -> list[Conversation]:
    """Return the conversations of a role that can be played over sockets."""
    return [one for one in conversations() if one["role"] == role and not one.get("needs")]


def check_all(role: str, play: Callable[[Conversation], Shortfall | None]) -> None:
    """Play all conversations of a role, several at a time; fail with all that fell short."""
    chosen = played(role)
    assert chosen
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {one["name"]: pool.submit(play, one) for one in chosen}
    fallen: list[str] = []
    for name, future in futures.items():
        problem = future.exception() or future.result()
        if problem is not None:
            said = str(problem) if isinstance(problem, Shortfall) else repr(problem)
            fallen.append(f"{name}: {said}")
    if fallen:
        pytest.fail("\n".join(fallen), pytrace=False)


@contextlib.contextmanager
def serving(front_end: FrontEnd, scheme: str, setup: str, tls: Any) -> Iterator[Serving]:
    """Run a server with the fixed application for the time of the context."""
    options = {**options_of(setups()[setup]), "tls": tls}
    server = start(front_end, fixed_application(), f"{scheme}://127.0.0.1:0", options)
    try:
        yield server
    finally:
        server.shutdown()
        assert server.has_ended(Limits().drain_timeout)
        assert server.clean_up() == []


@over_both
@of_both_front_ends
def test_a_server_keeps_the_conversations(
    front_end: FrontEnd, scheme: str, contexts: tuple[Any, Any]
) -> None:
    """All conversations with a server pass, many on one server, each on its own connection."""
    server_tls, client_tls = contexts
    with contextlib.ExitStack() as running:
        shared = {
            name: running.enter_context(serving(front_end, scheme, name, server_tls))
            for name in setups()
        }

        def play(conversation: Conversation) -> Shortfall | None:
            with contextlib.ExitStack() as own:
                server = shared[setup_of(conversation)]
                if any("do" in step for step in conversation["steps"]):  # it shuts down
                    name = setup_of(conversation)
                    server = own.enter_context(serving(front_end, scheme, name, server_tls))
                channel = own.enter_context(connect(server.address, client_tls, TIMEOUT))
                program = ServerProgram(server.shutdown)
                steps = conversation["steps"]
                return Player(channel, steps, timeout=TIMEOUT, program=program).play()

        check_all("server", play)


@over_both
@of_both_front_ends
def test_a_client_keeps_the_conversations(
    front_end: FrontEnd, scheme: str, contexts: tuple[Any, Any]
) -> None:
    """All conversations with a client pass, and its program gets what each of them says."""
    server_tls, client_tls = contexts
    with contextlib.ExitStack() as running:
        loop = LoopThread()
        running.callback(loop.stop)

        def play(conversation: Conversation) -> Shortfall | None:
            options = client_options(setups()[setup_of(conversation)], client_tls)
            with socket.create_server(("127.0.0.1", 0)) as listener:
                listener.settimeout(TIMEOUT)
                address = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
                opening = functools.partial(open_client, front_end, loop, address, options)
                program = ClientProgram(opening)
                try:
                    sock, _address = listener.accept()
                    channel = Channel(sock, server_tls, timeout=TIMEOUT, is_server=True)
                    with channel:
                        steps = conversation["steps"]
                        player = Player(channel, steps, timeout=TIMEOUT, program=program)
                        return player.play()
                finally:
                    program.end()

        check_all("client", play)
        assert loop.unhandled == []


def client_options(setup: dict[str, Any], tls: ssl.SSLContext | None) -> dict[str, Any]:
    """Return the options with which a client of Telex is in this setup."""
    return {
        "limits": Limits(**setup.get("limits", {})),
        "token": setup.get("token"),
        "keepalive": bool(setup.get("keepalive") or setup.get("hello")),
        "tls": tls,
        "timeout": TIMEOUT,
    }


def open_client(
    front_end: FrontEnd, loop: LoopThread, address: str, options: dict[str, Any]
) -> Client:
    """Connect a client of a front-end."""
    if front_end == "sync":
        return telex.sync.connect(address, **options)

    async def open_in_loop() -> telex.asyncio.Connection:
        return await telex.asyncio.connect(address, **options)

    return cast("Client", LoopClient(loop, loop.do(open_in_loop())))


def test_a_player_says_at_which_step_something_else_came() -> None:
    """The step is counted from 1; what was expected and what came are written alike."""
    one, other = socket.socketpair()
    with Channel(one, timeout=1.0) as channel, other:
        other.sendall(telex.Message("y", kind="reply", re=1).to_bytes())
        steps = [
            {"in": {"kind": "request", "id": 1, "text": "x"}},
            {"out": {"kind": "reply", "re": 1, "text": "x"}},
        ]
        shortfall = Player(channel, steps, timeout=1.0).play()
    expected = '{"kind": "reply", "re": 1, "text": "x"}'
    assert shortfall == Shortfall(2, expected, expected.replace('"x"', '"y"'))


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        (b"", "the end of the stream"),
        (b"\0", "what is no message: message at byte 0: the stream ended after 1"),
        (b"\0\0", "what is no message: message at byte 0: the proto-header announces"),
        (telex.Message("x").to_bytes(), '{"text": "x"}'),
    ],
)
def test_a_player_says_what_came_instead(sent: bytes, came: str) -> None:
    """An end, half a message and what is no message are told in words."""
    one, other = socket.socketpair()
    with Channel(one, timeout=1.0) as channel, other:
        other.sendall(sent)
        other.shutdown(socket.SHUT_WR)
        shortfall = Player(channel, [{"out": {"kind": "pong"}}], timeout=1.0).play()
    assert shortfall is not None
    assert shortfall.came.startswith(came)


def test_a_player_finds_a_message_too_many() -> None:
    """What comes after the last step is no part of the conversation."""
    one, other = socket.socketpair()
    with Channel(one, timeout=1.0) as channel, other:
        reply = telex.Message(b"", kind="reply", re=1)
        other.sendall(reply.to_bytes() * 2)
        shortfall = Player(channel, [{"out": {"kind": "reply", "re": 1}}], timeout=1.0).play()
    assert shortfall is not None
    assert shortfall.step == 2
    assert shortfall.expected.startswith("no further message")


def test_a_player_binds_names_to_the_numbers_that_come() -> None:
    """A number stands for its name from then on, and two names are two numbers."""
    one, other = socket.socketpair()
    with Channel(one, timeout=1.0) as channel, other:
        for number in (5, 5):
            other.sendall(telex.Message(b"", kind="ping", id=number).to_bytes())
        steps = [
            {"out": {"kind": "ping", "id": "$p"}},
            {"in": {"kind": "pong", "re": "$p"}},
            {"out": {"kind": "ping", "id": "$q"}},
        ]
        shortfall = Player(channel, steps, timeout=1.0).play()
        assert b'"re":5' in other.recv(1000)
    assert shortfall is not None
    assert shortfall.step == 3
