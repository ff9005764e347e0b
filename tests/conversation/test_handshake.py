"""Handshakes: who says hello, who is admitted, and what each side keeps to afterwards."""

from __future__ import annotations

import pytest

from telex import (
    ConnectionClosedError,
    Limits,
    Message,
    MessageProcessor,
    ProtocolError,
    TooLargeError,
)
from telex.conversation.greeting import Greeting
from telex.conversation.handshake import MOST_BEFORE_ADMISSION, Handshake
from telex.conversation.outgoing import Outgoing
from tests.conversations import TOKEN, TOKENS

LIMITS = Limits(max_content_size=1_000)


class Side:
    """A handshake with the messages that it sends."""

    def __init__(self, greeting: Greeting, *, serves: bool) -> None:
        self._outgoing = Outgoing(Limits())
        self.handshake = Handshake(greeting, LIMITS, self._outgoing, serves=serves)

    def sent(self) -> list[Message]:
        """Take the messages that the handshake has sent."""
        return MessageProcessor().receive_messages(b"".join(self._outgoing.take()))


def new_server(*, demands_token: bool = True) -> Side:
    """Make the side that takes hello."""
    authenticate = TOKENS.owner_of if demands_token else None
    return Side(Greeting("server", authenticate=authenticate), serves=True)


def new_client(token: str | None = TOKEN) -> Side:
    """Make the side that says hello, if it has a token."""
    return Side(Greeting("client", token=token), serves=False)


def hello(token: str | None = TOKEN, *, keepalive: bool = False) -> Message:
    """Make a hello as it comes."""
    said = {} if token is None else {"token": token}
    return Message({**said, "keepalive": keepalive}, kind="hello")


def test_a_client_with_something_to_say_begins() -> None:
    """Everything else waits until its hello is answered; without hello nothing waits."""
    client = new_client()
    assert client.handshake.begin()
    (said,) = client.sent()
    assert (said.kind, said.content["token"]) == ("hello", TOKEN)
    silent = new_client(token=None)
    assert not silent.handshake.begin()
    assert silent.sent() == []


@pytest.mark.parametrize("demands_token", [True, False])
def test_a_server_waits_for_a_hello_only_if_it_demands_a_token(demands_token: bool) -> None:
    """It says nothing by itself."""
    server = new_server(demands_token=demands_token)
    assert server.handshake.begin() == demands_token
    assert server.sent() == []


def test_a_known_token_admits_its_owner() -> None:
    """The welcome answers the hello, and says what the server takes."""
    server = new_server()
    server.handshake.take_hello(hello(keepalive=True), can_answer=True)
    assert (server.handshake.is_admitted, server.handshake.owner) == (True, "ada")
    assert server.handshake.peer_wants_keepalive
    (said,) = server.sent()
    assert (said.kind, said.content["limits"]["max_content_size"]) == ("welcome", 1_000)


def test_a_hello_without_a_demand_admits_nobody_by_name() -> None:
    """Where no token is demanded, the token of a client proves nothing."""
    server = new_server(demands_token=False)
    server.handshake.take_hello(hello(), can_answer=True)
    assert (server.handshake.is_admitted, server.handshake.owner) == (True, None)
    assert not server.handshake.peer_wants_keepalive


@pytest.mark.parametrize(
    ("token", "reason"), [(None, "it holds no token"), ("wrong", "its token is not known here")]
)
def test_no_other_token_admits(token: str | None, reason: str) -> None:
    """The error has the code that tells the client so, and there is no welcome."""
    server = new_server()
    with pytest.raises(ConnectionClosedError, match=reason) as caught:
        server.handshake.take_hello(hello(token), can_answer=True)
    assert caught.value.code == "unauthorized"
    assert (server.handshake.is_admitted, server.handshake.owner) == (False, None)
    assert server.sent() == []


def test_a_side_that_can_send_no_more_answers_no_hello() -> None:
    """The client is admitted all the same."""
    server = new_server()
    server.handshake.take_hello(hello(), can_answer=False)
    assert (server.handshake.is_admitted, server.sent()) == (True, [])


@pytest.mark.parametrize("kind", ["hello", "ping", "close"])
def test_some_kinds_may_come_before_the_token(kind: str) -> None:
    """A client may show its token, ask for a sign of life, and go."""
    new_server().handshake.check_admits(Message("", kind=kind))


@pytest.mark.parametrize("kind", [None, "request", "reply", "welcome"])
def test_nothing_else_comes_before_the_token(kind: str | None) -> None:
    """The error has the code that tells the client so; after its token all may come."""
    server, message = new_server(), Message("", kind=kind)
    with pytest.raises(ConnectionClosedError, match="demands a token") as caught:
        server.handshake.check_admits(message)
    assert caught.value.code == "unauthorized"
    server.handshake.take_hello(hello(), can_answer=True)
    server.handshake.check_admits(message)


def test_what_comes_before_the_token_is_short() -> None:
    """The content of ``hello`` and ``close`` is at most 64 KiB, and that of ``ping`` is empty."""
    server = new_server()
    server.handshake.check_admits(Message(bytes(65_536), kind="ping"))
    with pytest.raises(TooLargeError, match="content is 65,537 bytes, and at most 65,536"):
        server.handshake.check_admits(Message(bytes(65_537), kind="ping"))


def test_little_comes_before_the_token() -> None:
    """A stranger does not keep a server busy with pings; the token ends the counting."""
    ping = Message("", kind="ping", id=1)
    stranger, client = new_server().handshake, new_server().handshake
    for _ in range(MOST_BEFORE_ADMISSION):
        stranger.check_admits(ping)
    with pytest.raises(ConnectionClosedError, match="at most 64 messages") as caught:
        stranger.check_admits(ping)
    assert caught.value.code == "unauthorized"
    client.take_hello(hello(), can_answer=True)
    for _ in range(2 * MOST_BEFORE_ADMISSION):
        client.check_admits(ping)


def test_a_welcome_answers_one_hello() -> None:
    """Without a hello, or after another welcome, it is a mistake."""
    welcome = Message({}, kind="welcome")
    client = new_client()
    with pytest.raises(ProtocolError, match="welcome: it answers no hello"):
        client.handshake.take_welcome(welcome)
    client.handshake.begin()
    client.handshake.take_welcome(welcome)
    with pytest.raises(ProtocolError, match="welcome: it answers no hello"):
        client.handshake.take_welcome(welcome)


def test_each_greeting_has_one_side_that_says_it() -> None:
    """Only a client says hello, and only a server says welcome."""
    with pytest.raises(ProtocolError, match="hello: only a client says it"):
        new_client().handshake.take_hello(hello(), can_answer=True)
    with pytest.raises(ProtocolError, match="welcome: only a server says it"):
        new_server().handshake.take_welcome(Message({}, kind="welcome"))


def test_a_hello_comes_early() -> None:
    """Behind a message that the greeting would have changed, it is a mistake."""
    server = new_server()
    with pytest.raises(ProtocolError, match="only plain messages and pings may come before it"):
        server.handshake.take_hello(hello(), can_answer=True, is_late=True)
    assert server.sent() == []


def test_a_hello_comes_once() -> None:
    """A second one is a mistake, even after a hello that could not be read."""
    server = new_server()
    with pytest.raises(ProtocolError, match="hello: its content must be a JSON object") as caught:
        server.handshake.take_hello(Message([], kind="hello"), can_answer=True)
    assert caught.value.__context__ is None
    with pytest.raises(ProtocolError, match="hello: it came a second time"):
        server.handshake.take_hello(hello(), can_answer=True)
