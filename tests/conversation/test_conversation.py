"""Conversations: each request is answered once or fails, and both sides hear why one ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from telex import (
    ConnectionClosedError,
    ContentError,
    Limits,
    Message,
    ProtocolError,
    RemoteError,
    TooLargeError,
)
from telex.conversation.conversation import Call, Conversation, Phase
from tests.conversations import (
    TOKEN,
    TOKENS,
    carry,
    error,
    new_client,
    new_server,
    reply,
    request,
    sent_by,
    tell,
)

GARBAGE = b"\x00\x01"
BROKEN_JSON = b"{"


def failure_of(conversation: Conversation) -> str:
    """Return why a conversation has failed, which it must have."""
    assert conversation.phase is Phase.FAILED
    assert conversation.is_over
    assert conversation.error is not None
    return str(conversation.error)


# Plain messages


def test_plain_messages_arrive_in_order_with_what_the_application_put_on_them() -> None:
    """Numbers and headers of plain messages are the application's own."""
    client, server = new_client(), new_server()
    messages = [
        Message("one", id=7, re=8, subject="s", headers={"x": 1}, more=True, timeout_ms=9),
        Message(b"two" * 10_000),
        Message({"three": 3}),
    ]
    for message in messages:
        client.send(message)
    assert carry(client, server) == messages
    server.send(messages[0])
    assert carry(server, client) == messages[:1]


def test_a_timeout_travels_with_a_request_and_not_with_its_answer() -> None:
    """A handler may return the request itself."""
    client, server = new_client(), new_server()
    call = client.request(Message("x", timeout_ms=2_500))
    (arrived,) = carry(client, server)
    assert (arrived.kind, arrived.timeout_ms) == ("request", 2_500)
    server.answer(arrived.id, arrived)
    carry(server, client)
    assert call.reply == Message("x", kind="reply", re=1)


def test_only_plain_messages_can_be_sent_as_they_are() -> None:
    """Kinds are the conversation's business."""
    with pytest.raises(ContentError, match="plain messages, not kind 'close'"):
        new_client().send(Message("x", kind="close"))


def test_a_row_of_messages_goes_as_far_as_it_can() -> None:
    """What cannot be sent raises; what came before it is sent, and what comes after it is not."""
    client, server = new_client(), new_server()
    row = [Message("one"), Message("x", kind="close"), Message("two")]
    with pytest.raises(ContentError, match="plain messages, not kind 'close'"):
        client.send_many(row)
    client.send_many(row[2:])
    assert carry(client, server) == [row[0], row[2]]


def test_a_row_of_requests_gives_its_calls() -> None:
    """Each is answered by its number; what cannot be sent raises behind those that are."""
    client, server = new_client(limits=Limits(max_header_size=1_000)), new_server()
    calls: list[Call] = []
    with pytest.raises(TooLargeError):
        client.request_many([Message("a"), Message("b", subject="x" * 1_000)], calls)
    client.request_many([Message("b")], calls)
    for message in carry(client, server):
        server.answer(message.id, Message(message.body))
    carry(server, client)
    assert [call.reply and call.reply.body for call in calls] == [b"a", b"b"]


def test_long_content_is_received_where_it_belongs() -> None:
    """A front-end puts bytes into the content's own buffer; in the end there is none any more."""
    message = Message(bytes(300_000), subject="long")
    data = message.to_bytes()
    server = new_server()
    assert server.receive_data(data[:60_000]) == []
    buffer = server.content_buffer()
    assert buffer is not None
    with buffer:
        buffer[:] = data[60_000:]
    assert server.content_received(len(data) - 60_000) == [message]
    server.lose("it is gone")
    assert server.content_buffer() is None


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_is_received(
    convert: Callable[[bytes], bytes | bytearray | memoryview],
) -> None:
    """A front-end hands in whatever its receive buffer is."""
    assert new_server().receive_data(convert(Message("x").to_bytes())) == [Message("x")]


def test_bytes_are_counted_until_they_are_taken() -> None:
    """Front-ends see how much there is to send, and when it is too much to go on."""
    client = new_client(limits=Limits(high_water=10_000))
    assert (client.bytes_to_send, client.is_full) == (0, False)
    client.send(Message(b"x" * 9_000))
    assert (client.bytes_to_send > 9_000, client.is_full) == (True, False)
    client.send(Message(b"x" * 9_000))
    assert client.is_full
    size = client.bytes_to_send
    assert sum(map(len, client.data_to_send())) == size
    assert (client.bytes_to_send, client.is_full, client.data_to_send()) == (0, False, [])


def test_bytes_of_a_message_that_is_coming_in_are_counted() -> None:
    """A server adds them up over all its connections."""
    server = new_server()
    server.receive_data(Message("hello").to_bytes()[:-2])
    assert server.bytes_buffered == len(Message("hello").to_bytes()) - 2
    assert server.processor.bytes_needed == 2


def test_a_conversation_is_at_rest_between_messages() -> None:
    """Between messages nothing is begun; a message, an answer or output on its way is."""
    server = new_server()
    rests: list[bool] = [server.is_at_rest]
    data, long = request(1).to_bytes(), Message(bytes(300_000)).to_bytes()
    for size in (len(data) - 1, 1):
        server.receive_data(data[:size])
        data = data[size:]
        rests.append(server.is_at_rest)
    for more in (True, False):
        server.answer(1, Message("x"), more=more)
        rests.append(server.is_at_rest)
        server.data_to_send()
        rests.append(server.is_at_rest)
    assert rests == [True, False, False, False, False, False, True]
    for piece, is_at_rest in ((long[:1], False), (long[1:-1], False), (long[-1:], True)):
        server.receive_data(piece)
        assert server.is_at_rest == is_at_rest


@pytest.mark.parametrize(
    "end",
    [
        lambda server: server.close("closed", "enough"),
        lambda server: server.lose("it is gone"),
        lambda server: server.fail(ProtocolError("broken")),
        lambda server: server.receive_eof(),
        lambda server: tell(server, Message({}, kind="close")),
    ],
)
def test_a_conversation_that_ends_is_not_at_rest(end: Callable[[Conversation], object]) -> None:
    """There is more to decide then, though nothing is to be sent."""
    server = new_server()
    end(server)
    server.data_to_send()
    assert not server.is_at_rest


def test_a_conversation_that_waits_for_a_token_is_not_at_rest() -> None:
    """It is when the token has come."""
    server = new_server(tokens=TOKENS)
    assert not server.is_at_rest
    tell(server, Message({"version": 1, "token": TOKEN}, kind="hello"))
    assert not server.is_at_rest
    server.data_to_send()
    assert server.is_at_rest


def test_a_message_over_the_limits_is_not_sent() -> None:
    """Without a greeting the peer is thought to take what this side takes."""
    client = new_client(limits=Limits(max_content_size=10, max_header_size=300))
    with pytest.raises(TooLargeError, match="content is 11 bytes"):
        client.send(Message(b"x" * 11))
    with pytest.raises(TooLargeError, match="header block is"):
        client.request(Message(b"", subject="s" * 300))
    assert (client.bytes_to_send, client.calls.count) == (0, 0)
    assert client.request(Message(b"")).id == 1


# Requests


def test_answers_find_their_requests_in_any_order() -> None:
    """Each call gets its own answer, whatever the order."""
    client, server = new_client(), new_server()
    calls = [client.request(Message(f"question {n}", subject="ask")) for n in range(3)]
    requests = carry(client, server)
    assert [(message.kind, message.subject) for message in requests] == [("request", "ask")] * 3
    assert (server.unanswered, client.calls.count) == (3, 3)
    for message in reversed(requests):
        server.answer(message.id, Message(f"answer to {message.content}"))
    assert carry(server, client) == []
    assert [[part.content for part in call.parts] for call in calls] == [
        [f"answer to question {n}"] for n in range(3)
    ]
    assert all(call.is_done and call.error is None for call in calls)
    assert (server.unanswered, client.calls.count) == (0, 0)


def test_an_answer_in_parts_ends_with_its_last() -> None:
    """Parts are there as they come, and only the end of the answer ends the call."""
    client, server = new_client(), new_server()
    call = client.request(Message("list"))
    call.keeps_parts = True
    (message,) = carry(client, server)
    for part in ("a", "b"):
        server.answer(message.id, Message(part), more=True)
        carry(server, client)
    assert ([part.content for part in call.parts], call.is_done) == (["a", "b"], False)
    assert (server.unanswered, client.calls.count) == (1, 1)
    server.answer(message.id, Message(b""))
    carry(server, client)
    assert ([part.content for part in call.parts], call.is_done) == (["a", "b"], True)


@pytest.mark.parametrize("content", [b"", ""])
def test_an_empty_answer_is_an_answer(content: object) -> None:
    """Whoever asked gets one message, and need not know how handlers say nothing."""
    client = new_client()
    call = client.request(Message("x"))
    tell(client, reply(1, content))
    assert ([part.content for part in call.parts], call.is_done) == ([content], True)


def test_an_empty_last_part_counts_unless_it_only_ends_the_answer() -> None:
    """Empty text is content, and so are empty bytes before the end."""
    client = new_client()
    call = client.request(Message("x"))
    call.keeps_parts = True
    tell(client, reply(1, b"", more=True), reply(1, ""))
    assert [part.content for part in call.parts] == [b"", ""]


def test_parts_that_nobody_takes_are_not_kept() -> None:
    """Whoever asked for one message learns that the answer comes in parts, and no more."""
    client = new_client()
    call = client.request(Message("x"))
    tell(client, reply(1, "a", more=True), reply(1, "b", more=True))
    assert (call.is_in_parts, call.parts, call.reply) == (True, [], None)
    tell(client, reply(1, "c"))
    assert (call.is_done, call.parts, call.reply) == (True, [], None)


def test_a_request_is_answered_only_once() -> None:
    """What a handler says after its answer is not said."""
    client, server = new_client(), new_server()
    client.request(Message("x"))
    (message,) = carry(client, server)
    server.answer(message.id, Message("first"))
    server.answer(message.id, Message("second"))
    server.refuse(message.id, "late", "too late")
    assert [said.content for said in sent_by(server)] == ["first"]


def test_only_requests_are_answered() -> None:
    """What nobody has asked under gets no answer, and no refusal either."""
    server = new_server()
    asked, _told = tell(server, request(5), error("odd"))
    for id in (None, 0, 6):
        server.answer(id, Message("answer"))
        server.refuse(id, "no", "no")
    assert (sent_by(server), server.unanswered) == ([], 1)
    server.answer(asked.id, Message("answer"))
    assert (len(sent_by(server)), server.unanswered) == (1, 0)


def test_an_answer_that_cannot_be_sent_leaves_the_request_to_be_refused() -> None:
    """The handler's mistake does not use up the answer."""
    server = new_server(limits=Limits(max_content_size=10))
    (message,) = tell(server, request(1))
    with pytest.raises(TooLargeError):
        server.answer(message.id, Message("x" * 11))
    assert server.unanswered == 1
    server.refuse(message.id, "handler-failed", "the handler failed")
    assert [said.kind for said in sent_by(server)] == ["error"]


class Odd(dict[str, object]):
    """Content that cannot be written, and fails in a way of its own when it is asked why."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__(odd=object())
        self.error = error

    def items(self) -> Any:
        """Fail."""
        raise self.error("odd")


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("raised", [ContentError, ArithmeticError, KeyboardInterrupt])
def test_whatever_an_answer_raises_when_it_is_written_the_request_waits(
    raised: type[BaseException], more: bool
) -> None:
    """The types of users run code when they are written, and that may raise anything."""
    server = new_server()
    (message,) = tell(server, request(1))
    with pytest.raises(raised):
        server.answer(message.id, Message(Odd(raised)), more=more)
    assert (server.unanswered, server.bytes_to_send) == (1, 0)
    server.answer(message.id, Message("another"))
    assert [said.content for said in sent_by(server)] == ["another"]
    assert server.unanswered == 0


def test_a_part_of_an_answer_leaves_the_request_to_be_answered() -> None:
    """Each part is said, and the last one is the end of it, though it be a refusal."""
    server = new_server()
    (message,) = tell(server, request(1))
    for _ in range(2):
        server.answer(message.id, Message("part"), more=True)
        assert server.unanswered == 1
    server.answer(message.id, Message("last"))
    server.answer(message.id, Message("late"), more=True)
    server.answer(message.id, Message("late"))
    server.refuse(message.id, "late", "too late")
    assert server.unanswered == 0
    assert [said.content for said in sent_by(server)] == ["part", "part", "last"]


@pytest.mark.parametrize(
    "end",
    [
        lambda server: server.close("closed", "enough"),
        lambda server: server.lose("it is gone"),
        lambda server: server.fail(ProtocolError("broken")),
    ],
)
def test_an_answer_that_nobody_is_told_leaves_its_request_unanswered(
    end: Callable[[Conversation], object],
) -> None:
    """Whoever sees the end counts what was lost by it."""
    server = new_server()
    asked = tell(server, request(1), request(2))
    end(server)
    server.data_to_send()
    server.answer(asked[0].id, Message("too late"))
    server.refuse(asked[1].id, "late", "too late")
    assert (server.unanswered, server.bytes_to_send) == (2, 0)


def test_a_number_may_be_used_again_once_it_is_answered() -> None:
    """It is taken while its request waits, whichever way that is answered."""
    server = new_server()
    for _ in range(2):
        (message,) = tell(server, request(5))
        server.answer(message.id, Message("x"))
        (message,) = tell(server, request(5))
        server.refuse(message.id, "no", "no")
    assert len(sent_by(server)) == 4
    assert (server.error, server.unanswered) == (None, 0)


def test_the_first_of_two_requests_under_one_number_is_still_answered() -> None:
    """The mistake is told behind the answer to what came before it."""
    server = new_server()
    (message,) = tell(server, request(5), request(5))
    assert server.unanswered == 1
    server.answer(message.id, Message("first"))
    assert [(said.kind, said.re) for said in sent_by(server)] == [("reply", 5), ("error", None)]
    assert "not answered yet" in failure_of(server)


def test_a_refusal_is_an_error_with_code_title_and_detail() -> None:
    """The caller gets what the handler said, as RFC 9457 puts it."""
    client, server = new_client(), new_server()
    call = client.request(Message("two, please"))
    (message,) = carry(client, server)
    server.refuse(message.id, "out-of-stock", "none left \ud800")
    (said,) = sent_by(server)
    assert said.content_type == "application/problem+json"
    assert said.content == {
        "code": "out-of-stock",
        "title": "out of stock",
        "detail": "none left ?",
    }
    tell(client, said)
    assert isinstance(call.error, RemoteError)
    assert (call.error.code, call.error.detail) == ("out-of-stock", "none left ?")
    assert (call.is_done, call.parts) == (True, [])


def test_an_error_may_end_an_answer_in_parts() -> None:
    """The parts that came are there, and so is the reason why there are no more."""
    client = new_client()
    call = client.request(Message("x"))
    call.keeps_parts = True
    tell(client, reply(1, "a", more=True), error("handler-failed", re=1))
    assert [part.content for part in call.parts] == ["a"]
    assert isinstance(call.error, RemoteError)


def test_a_refused_plain_message_is_told_to_the_application_of_its_sender() -> None:
    """It is an error about no request, and must not be taken for one about some request."""
    client, server = new_client(), new_server()
    call = client.request(Message("x"))
    client.send(Message("y", id=call.id))
    carry(client, server)
    server.complain("bad-content", "it is no number")
    (told,) = carry(server, client)
    assert (told.kind, told.re, told.content["code"]) == ("error", None, "bad-content")
    assert not call.is_done


@pytest.mark.parametrize("code", ["overloaded", "timeout", "shutting-down", "unauthorized"])
def test_refusing_a_plain_message_ends_nothing(code: str) -> None:
    """A handler may use a code that would end the conversation if it stood alone."""
    client, server = new_client(), new_server()
    client.send(Message("x"))
    carry(client, server)
    server.complain(code, "not now")
    (told,) = carry(server, client)
    assert told.content["code"] == "refused"
    assert told.content["detail"] == f"{code}: not now"
    assert client.phase is Phase.OPEN


def test_a_side_that_serves_nothing_refuses_requests() -> None:
    """A request to a client is answered too, by a refusal."""
    client = new_client()
    assert tell(client, request(3)) == []
    (said,) = sent_by(client)
    assert (said.kind, said.re, said.content["code"]) == ("error", 3, "no-handler")
    assert client.unanswered == 0


def test_a_server_may_ask_too() -> None:
    """Requests go both ways, and their numbers do not get mixed up."""
    client, server = new_client(), new_server()
    mine, yours = client.request(Message("x")), server.request(Message("y"))
    assert mine.id == yours.id
    (message,) = carry(client, server)
    server.answer(message.id, Message("z"))
    carry(server, client)
    carry(client, server)
    assert mine.parts[0].content == "z"
    assert isinstance(yours.error, RemoteError)


def test_too_many_unanswered_requests_are_a_reason_to_stop_reading() -> None:
    """What the peer can have in work is bounded."""
    server = new_server(limits=Limits(max_pending=2))
    (first,) = tell(server, request(1))
    seen = [server.is_saturated]
    tell(server, request(2))
    seen.append(server.is_saturated)
    server.answer(first.id, Message("x"))
    seen.append(server.is_saturated)
    assert seen == [False, True, False]


def test_progress_is_told_to_whoever_waits() -> None:
    """A front-end is called for every part, and for the end."""
    client = new_client()
    call = client.request(Message("x"))
    call.keeps_parts = True
    seen: list[tuple[int, bool]] = []
    call.on_progress = lambda: seen.append((len(call.parts), call.is_done))
    tell(client, reply(1, "a", more=True), reply(1, "b"))
    assert seen == [(1, False), (2, True)]


def test_answers_to_what_was_given_up_are_dropped() -> None:
    """A late answer is no mistake, in whatever form it comes; a second one is."""
    client = new_client()
    calls = [client.request(Message("x")) for _ in range(3)]
    ping = client.ping()
    for call in (*calls, ping, calls[0]):
        client.abandon(call)
    assert client.calls.count == 0
    assert client.calls.abandoned == 4
    late = [
        reply(1, "a", more=True),
        reply(1),
        error("no", re=2),
        reply(3),
        Message(b"", kind="pong", re=4),
    ]
    assert tell(client, *late) == []
    assert client.phase is Phase.OPEN
    assert client.calls.abandoned == 0
    assert not any(call.is_done or call.parts for call in calls)
    tell(client, reply(1))
    assert "no answer yet" in failure_of(client)


def test_answers_are_awaited_to_requests_that_were_given_up_too() -> None:
    """The peer sends them all the same; the answer to a ping is none."""
    client = new_client()
    client.ping()
    assert client.calls.open_requests == 0
    client.abandon(client.request(Message("x")))
    assert client.calls.open_requests == 1
    tell(client, reply(2))
    assert client.calls.open_requests == 0


def test_giving_up_what_is_done_changes_nothing() -> None:
    """A timeout that comes together with the answer finds the answer."""
    client = new_client()
    call = client.request(Message("x"))
    tell(client, reply(1, "y"))
    client.abandon(call)
    assert call.is_done
    tell(client, reply(1, "y"))
    assert "no answer yet" in failure_of(client)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (reply(2), "reply, re 2: a reply must name a request that has no answer yet"),
        (Message("x", kind="reply"), "reply: a reply must name a request"),
        (reply(3), "reply, re 3: a reply must name a request"),
        (Message(b"", kind="ping"), "ping: a ping must have an id"),
        (Message(b"", kind="pong", re=1), "pong, re 1: a pong must name a ping that has no answer"),
        (Message(b"", kind="pong", re=9), "pong, re 9: a pong must name a ping"),
        (Message(b"", kind="pong"), "pong: a pong must name a ping"),
        (Message({}, kind="welcome"), "welcome: it answers no hello"),
        (request(7), "request, id 7: its id is that of a request that is not answered yet"),
        (Message("x", kind="request"), "request: a request must have an id, to be answered"),
    ],
)
def test_what_fits_nothing_ends_the_conversation(message: Message, problem: str) -> None:
    """An answer to nothing, or a number used twice, is a mistake of the peer that it is told of."""
    server, client = new_server(), new_client()
    side = server if message.kind == "request" else client
    tell(server, request(7))
    client.request(Message("x"))
    client.ping()
    tell(client, Message(b"", kind="pong", re=2))
    client.request(Message("x"))
    tell(client, reply(3))
    side.data_to_send()
    assert tell(side, message, Message("behind it")) == []
    assert problem in failure_of(side)
    assert isinstance(side.error, ProtocolError)
    (said,) = sent_by(side)
    assert (said.kind, said.re, said.content["code"]) == ("error", None, "bad-message")
    assert problem in said.content["detail"]


def test_a_reply_does_not_answer_a_ping() -> None:
    """Only a pong does."""
    client = new_client()
    client.ping()
    tell(client, reply(1))
    assert "a reply must name a request" in failure_of(client)


# Control


def test_a_ping_is_answered_by_the_conversation_itself() -> None:
    """No handler has to do anything for it."""
    client, server = new_client(), new_server()
    call = client.ping()
    assert carry(client, server) == []
    assert carry(server, client) == []
    assert (call.is_done, call.error, call.parts) == (True, None, [])


def test_a_ping_that_is_not_understood_fails() -> None:
    """An error that names it is its answer."""
    client = new_client()
    call = client.ping()
    tell(client, error("unsupported-kind", re=1))
    assert isinstance(call.error, RemoteError)


@pytest.mark.parametrize("kind", ["publish", "", "x" * 1_000])
def test_an_unknown_kind_is_refused_and_the_conversation_goes_on(kind: str) -> None:
    """What this version does not know is answered by an error, not dropped."""
    server = new_server()
    assert tell(server, Message("x", kind=kind, id=4), Message("y")) == [Message("y")]
    (said,) = sent_by(server)
    assert (said.kind, said.re, said.content["code"]) == ("error", 4, "unsupported-kind")
    assert len(said.content["detail"]) < 100


def test_an_error_that_names_no_request_is_the_applications() -> None:
    """It is no answer, and it does not end anything."""
    client = new_client()
    messages = [error("unsupported-kind"), error("bad-content")]
    assert tell(client, *messages) == messages
    assert client.phase is Phase.OPEN


@pytest.mark.parametrize("side", [new_client, new_server])
def test_an_error_that_answers_nothing_ends_the_conversation(
    side: Callable[[], Conversation],
) -> None:
    """As every answer does to what was not asked, or was answered before, on either side."""
    conversation = side()
    ping = conversation.ping()
    assert tell(conversation, error("odd", re=1), error("odd", re=1)) == []
    assert isinstance(ping.error, RemoteError)
    assert "an error must name a request" in failure_of(conversation)
    (_ping, said) = sent_by(conversation)
    assert (said.kind, said.content["code"]) == ("error", "bad-message")


# Greetings


def test_hello_and_welcome_open_a_conversation() -> None:
    """Both sides say what they are and what they take, and the token names the client."""
    client, server = new_client(token=TOKEN, keepalive=True), new_server(tokens=TOKENS)
    assert [client.phase, server.phase] == [Phase.GREETING, Phase.GREETING]
    (hello,) = sent_by(client)
    assert (hello.kind, hello.content) == (
        "hello",
        {
            "version": 1,
            "agent": "client",
            "limits": {"max_header_size": 16_384, "max_content_size": 16_777_216},
            "token": TOKEN,
            "keepalive": True,
        },
    )
    tell(server, hello)
    assert (server.phase, server.identity, server.wants_keepalive) == (Phase.OPEN, "ada", True)
    (welcome,) = sent_by(server)
    assert (welcome.kind, sorted(welcome.content)) == ("welcome", ["agent", "limits", "version"])
    tell(client, welcome)
    assert client.phase is Phase.OPEN


def test_who_wants_nothing_says_no_hello() -> None:
    """A conversation without tokens and keepalive is open from the first byte."""
    client, server = new_client(), new_server()
    assert (client.phase, server.phase) == (Phase.OPEN, Phase.OPEN)
    assert client.data_to_send() == []


def test_a_hello_is_welcome_where_no_token_is_demanded() -> None:
    """The token is not looked at, and names nobody."""
    client, server = new_client(token=TOKEN), new_server()
    carry(client, server)
    carry(server, client)
    assert (client.phase, server.identity, server.wants_keepalive) == (Phase.OPEN, None, False)


def test_a_client_need_not_wait_for_welcome() -> None:
    """What it sends behind its hello is handled if the hello is accepted."""
    client, server = new_client(token=TOKEN), new_server(tokens=TOKENS)
    call = client.request(Message("x"))
    client.send(Message("y"))
    asked, plain = carry(client, server)
    assert plain == Message("y")
    server.answer(asked.id, Message("z"))
    carry(server, client)
    assert call.parts[0].content == "z"


@pytest.mark.parametrize("token", [None, "wrong", ""])
def test_a_wrong_token_is_refused(token: str | None) -> None:
    """Nothing that comes with it is handled, and the client is told why."""
    client, server = new_client(keepalive=True), new_server(tokens=TOKENS)
    (hello,) = sent_by(client)
    hello.content = {**hello.content, "token": token}
    if token is None:
        hello.content = {"keepalive": True}
    assert tell(server, hello, Message("x"), request(1)) == []
    assert failure_of(server).startswith("connection closed by this side: hello is refused: it")
    assert server.identity is None
    carry(server, client)
    refusal = client.closed_error()
    assert (refusal.by, refusal.code) == ("peer", "unauthorized")
    assert client.farewell is not None


@pytest.mark.parametrize("message", [Message("x"), request(1), error("x"), Message("x", kind="x")])
def test_without_its_token_a_peer_may_ask_for_nothing(message: Message) -> None:
    """Until the hello is accepted only pings are answered."""
    server = new_server(tokens=TOKENS)
    assert tell(server, Message(b"", kind="ping", id=1)) == []
    assert [said.kind for said in sent_by(server)] == ["pong"]
    assert tell(server, message) == []
    assert "demands a token" in failure_of(server)
    assert sent_by(server)[0].content["code"] == "unauthorized"


@pytest.mark.parametrize("kind", [None, "request", "reply", "welcome", "other"])
@pytest.mark.parametrize("size", [1, 100_000, 10_000_000])
def test_without_its_token_a_peer_is_refused_by_the_header_of_its_message(
    kind: str | None, size: int
) -> None:
    """None of the content is waited for, and none is kept."""
    server = new_server(tokens=TOKENS)
    data = Message(bytes(size), kind=kind, id=1).to_bytes()
    assert server.receive_data(data[:-size]) == []
    assert "demands a token" in failure_of(server)
    assert sent_by(server)[0].content["code"] == "unauthorized"


@pytest.mark.parametrize("kind", ["hello", "ping", "close"])
def test_what_may_come_before_a_token_is_refused_by_its_header_when_it_is_long(kind: str) -> None:
    """64 KiB may come, in as many pieces as the peer likes."""
    server = new_server(tokens=TOKENS)
    most, more = (Message(bytes(65_536 + n), kind=kind, id=1).to_bytes() for n in (0, 1))
    for start in range(0, 65_000, 1_000):
        assert server.receive_data(most[start : start + 1_000]) == []
    assert server.error is None
    server = new_server(tokens=TOKENS)
    assert server.receive_data(more[:-65_537]) == []
    assert "content is 65,537 bytes, and at most 65,536" in failure_of(server)
    assert sent_by(server)[0].content["code"] == "too-large"


def test_a_token_admits_long_content_at_once() -> None:
    """Its message may have begun in one piece with the hello."""
    client, server = new_client(token=TOKEN), new_server(tokens=TOKENS)
    (hello,) = sent_by(client)
    data = Message(bytes(1_000_000)).to_bytes()
    assert server.receive_data(hello.to_bytes() + data[:50_000]) == []
    assert len(server.receive_data(data[50_000:])) == 1


def test_a_server_that_closes_lets_nobody_in_without_a_token() -> None:
    """Closing is no way around the token."""
    server = new_server(tokens=TOKENS)
    server.close("shutting-down", "the server is shutting down")
    server.data_to_send()
    assert tell(server, Message("x")) == []
    assert "demands a token" in failure_of(server)
    assert server.data_to_send() == []


def test_a_hello_that_meets_a_close_is_accepted_without_a_word() -> None:
    """Both had said something before they heard of each other; neither breaks."""
    client, server = new_client(token=TOKEN), new_server(tokens=TOKENS)
    client.send(Message("x"))
    server.close("shutting-down", "the server is shutting down")
    assert carry(client, server) == [Message("x")]
    assert [said.kind for said in sent_by(server)] == ["close"]
    assert server.phase is Phase.CLOSING


def test_a_welcome_that_meets_a_close_is_taken_without_a_word() -> None:
    """The same the other way round."""
    client, server = new_client(token=TOKEN), new_server(tokens=TOKENS)
    carry(client, server)
    client.close("closed", "done")
    assert carry(server, client) == []
    assert client.phase is Phase.CLOSING


def test_hello_comes_once() -> None:
    """Nobody becomes somebody else in the middle of a conversation."""
    client, server = new_client(token=TOKEN), new_server(tokens=TOKENS)
    (hello,) = sent_by(client)
    tell(server, hello)
    assert tell(server, hello) == []
    assert failure_of(server) == "hello: it came a second time"


def test_a_second_welcome_is_a_mistake() -> None:
    """It answers no hello."""
    client = new_client(keepalive=True)
    welcome = Message({}, kind="welcome")
    tell(client, welcome)
    assert client.phase is Phase.OPEN
    tell(client, welcome)
    assert "it answers no hello" in failure_of(client)


def test_a_welcome_that_cannot_be_read_ends_the_conversation() -> None:
    """The server is told what is wrong with it, and the client is not open."""
    client = new_client(keepalive=True)
    tell(client, Message([], kind="welcome"))
    assert failure_of(client) == "welcome: its content must be a JSON object"


def test_a_hello_to_a_client_and_a_welcome_to_a_server_end_the_conversation() -> None:
    """A client that was greeted would not know which of the two it is talking to."""
    client, server = new_client(), new_server()
    tell(client, Message({}, kind="hello"))
    tell(server, Message({}, kind="welcome"))
    assert [said.content["code"] for said in sent_by(client)] == ["bad-message"]
    assert [said.content["code"] for said in sent_by(server)] == ["bad-message"]


def test_a_hello_may_follow_plain_messages_and_pings() -> None:
    """A program that has begun with four headers can still greet."""
    server, ping = new_server(), Message(b"", kind="ping", id=1)
    assert tell(server, Message("x"), ping, Message({}, kind="hello")) == [Message("x")]
    assert [said.kind for said in sent_by(server)] == ["pong", "welcome"]


@pytest.mark.parametrize("message", [request(1), error("x"), Message("x", kind="x")])
def test_a_hello_may_follow_nothing_else(message: Message) -> None:
    """What was answered by other limits cannot be answered again."""
    server = new_server()
    tell(server, message, Message({}, kind="hello"))
    assert "only plain messages and pings may come before it" in failure_of(server)


@pytest.mark.parametrize("kind", ["error", "close", "ping", "pong", "hello", "welcome"])
def test_the_conversations_own_kinds_are_short(kind: str) -> None:
    """A peer needs no more than 64 KiB to say what they say."""
    for side in (new_client(), new_server()):
        tell(side, Message(bytes(65_537), kind=kind, id=1, re=1))
        assert failure_of(side) == "the content is 65,537 bytes, and at most 65,536 are allowed"
        assert sent_by(side)[0].content["code"] == "too-large"


def test_an_error_of_any_length_is_told_as_far_as_it_may_be() -> None:
    """Its end is cut, and its code is whole."""
    client, server = new_client(), new_server()
    call = client.request(Message("x"))
    (asked,) = carry(client, server)
    server.refuse(asked.id, "not-today", "ß" * 100_000)
    carry(server, client)
    assert isinstance(call.error, RemoteError)
    assert call.error.code == "not-today"
    assert call.error.detail.startswith("ßß")
    assert call.error.detail.endswith("ß…")


def test_a_greeting_that_cannot_be_read_ends_the_conversation() -> None:
    """The peer is told what is wrong with it."""
    server = new_server()
    tell(server, Message("text", kind="hello"))
    assert failure_of(server).startswith("hello: its content must be JSON in UTF-8")


def test_what_the_peer_takes_is_kept_to() -> None:
    """After a greeting, a message that the peer would refuse is refused before it is sent."""
    client = new_client(keepalive=True, limits=Limits(max_content_size=300, max_header_size=256))
    server = new_server()
    carry(client, server)
    with pytest.raises(TooLargeError, match="content is 301 bytes, and at most 300"):
        server.send(Message(b"x" * 301))
    with pytest.raises(TooLargeError, match="at most 256"):
        server.send(Message(b"", subject="s" * 256))
    carry(server, client)
    client.send(Message(b"x" * 301))
    carry(client, server)
    server.complain("bad-content", "d" * 1_000)
    (told,) = carry(server, client)
    assert told.content["code"] == "bad-content"
    assert told.content["detail"].endswith("dd…")
    assert len(told.body) == 300


# Endings


def test_close_from_both_sides_is_the_end() -> None:
    """Both know that nothing is missing, and who began."""
    client, server = new_client(), new_server()
    client.request(Message("x"))
    (message,) = carry(client, server)
    server.answer(message.id, Message("y"))
    carry(server, client)
    client.close("closed", "done")
    client.close("closed", "again")
    carry(client, server)
    assert (client.phase, server.phase) == (Phase.CLOSING, Phase.FINISHING)
    assert server.farewell is not None
    assert str(server.closed_error()) == "connection closed by the peer: done"
    server.close("closed", "done too")
    carry(server, client)
    assert (client.phase, server.phase) == (Phase.CLOSED, Phase.CLOSED)
    assert client.is_over
    assert (client.error, server.error) == (None, None)
    assert str(client.closed_error()) == "connection closed by this side: done"
    assert str(server.closed_error()) == "connection closed by the peer: done"


def test_both_may_close_at_once() -> None:
    """Two closes that cross are one ending, and what was sent before them arrives."""
    client, server = new_client(), new_server()
    tell(client, error("x"))
    tell(server, error("x"))
    client.send(Message("a"))
    server.send(Message("b"))
    client.close("closed", "done")
    server.close("shutting-down", "the server is shutting down")
    to_server, to_client = client.data_to_send(), server.data_to_send()
    assert server.receive_data(b"".join(to_server)) == [Message("a")]
    assert client.receive_data(b"".join(to_client)) == [Message("b")]
    assert (client.phase, server.phase) == (Phase.CLOSED, Phase.CLOSED)


def test_a_peer_that_knows_no_kinds_is_told_by_the_end_of_the_stream_alone() -> None:
    """A strict peer of the plain format never sees a close, except from a server that stops."""
    server = new_server()
    tell(server, Message("x"))
    server.close("closed", "done")
    assert (server.data_to_send(), server.phase) == ([], Phase.CLOSING)
    server = new_server()
    server.close("shutting-down", "the server is shutting down")
    (said,) = sent_by(server)
    assert (said.kind, said.content) == (
        "close",
        {"code": "shutting-down", "reason": "the server is shutting down"},
    )


def test_after_close_nothing_is_sent() -> None:
    """Neither by the application, nor by the conversation itself."""
    server = new_server()
    (asked,) = tell(server, request(1))
    server.close("closed", "done")
    assert [said.kind for said in sent_by(server)] == ["close"]
    server.answer(asked.id, Message("x"))
    server.refuse(asked.id, "no", "no")
    server.complain("no", "no")
    tell(server, Message(b"", kind="ping", id=1), Message("x", kind="x"))
    assert tell(server, request(2), Message("still received")) == [Message("still received")]
    for ask in (server.request, server.send):
        with pytest.raises(ConnectionClosedError, match="by this side: done"):
            ask(Message("x"))
    server.receive_data(GARBAGE)
    assert "proto-header" in failure_of(server)
    assert server.data_to_send() == []


def test_answers_that_come_after_our_close_are_no_mistake() -> None:
    """The calls have failed by then, and the peer could not know."""
    client, server = new_client(), new_server()
    done = client.request(Message("x"))
    (asked,) = carry(client, server)
    server.answer(asked.id, Message("y"), more=True)
    carry(server, client)
    client.close("closed", "done")
    assert isinstance(done.error, ConnectionClosedError)
    assert (done.error.by, done.error.unanswered) == ("us", 1)
    server.answer(asked.id, Message("z"))
    server.send(Message("plain"))
    assert carry(server, client) == [Message("plain")]
    assert client.phase is Phase.CLOSING


def test_nothing_is_taken_after_the_close_of_both() -> None:
    """The connection is over then, and what comes in the same bytes is dropped."""
    client = new_client()
    client.close("closed", "we are done")
    assert tell(client, Message("", kind="close"), Message("late")) == []
    assert client.phase is Phase.CLOSED
    assert client.error is None


def test_requests_that_meet_a_close_fail_with_its_reason() -> None:
    """Whoever waits is told at once that the peer will not answer, and why."""
    client, server = new_client(), new_server()
    call = client.request(Message("x"))
    ping = client.ping()
    server.close("shutting-down", "the server is shutting down")
    carry(server, client)
    for waiting in (call, ping):
        assert isinstance(waiting.error, ConnectionClosedError)
        assert str(waiting.error) == (
            "connection closed by the peer: the server is shutting down; 1 request was not answered"
        )
        assert waiting.error.code == "shutting-down"
    assert call.error is not ping.error
    assert carry(client, server) == []
    assert server.unanswered == 0
    for ask in (client.request, client.send):
        with pytest.raises(ConnectionClosedError, match="the server is shutting down"):
            ask(Message("x"))


def test_a_server_finishes_what_a_peer_that_closed_had_asked() -> None:
    """The end of the peer's stream takes no answer away."""
    server = new_server()
    asked, _plain = tell(server, request(1), Message("x"))
    server.receive_eof()
    assert [server.phase] == [Phase.FINISHING]
    server.answer(asked.id, Message("y"))
    server.send(Message("z"))
    server.complain("no", "no")
    assert [said.kind for said in sent_by(server)] == ["reply", None, "error"]
    with pytest.raises(ConnectionClosedError, match="by the peer: it ended its stream"):
        server.request(Message("x"))
    server.close("closed", "done")
    assert server.phase is Phase.CLOSED


@pytest.mark.parametrize("message", [Message("x"), request(2), Message("", kind="close")])
def test_nothing_may_come_after_close(message: Message) -> None:
    """A peer that goes on after its last word is not listened to."""
    server = new_server()
    close = Message({"code": "closed", "reason": "done"}, kind="close")
    assert len(tell(server, request(1), close, message)) == 1
    assert "it came after the peer had said its last" in failure_of(server)


def test_the_end_of_the_stream_after_close_is_nothing_new() -> None:
    """The reason stays the one that the peer gave."""
    server = new_server()
    tell(server, Message({"code": "closed", "reason": "done"}, kind="close"))
    server.receive_eof()
    assert (server.phase, str(server.closed_error())) == (
        Phase.FINISHING,
        "connection closed by the peer: done",
    )


def test_no_bytes_are_no_message() -> None:
    """A front-end that hands in nothing changes nothing, before the end of the stream and after."""
    server = new_server()
    assert server.receive_data(b"") == []
    server.receive_eof()
    assert server.receive_data(b"") == []
    assert server.phase is Phase.FINISHING


def test_a_stream_that_ends_inside_a_message_is_an_error() -> None:
    """What was cut is not taken for an orderly end, and the calls say so."""
    client = new_client()
    call = client.request(Message("x"))
    client.receive_data(reply(1, "hello").to_bytes()[:-1])
    client.receive_eof()
    assert "the stream ended after" in failure_of(client)
    assert isinstance(call.error, ConnectionClosedError)
    assert "the stream ended after" in call.error.reason
    assert (client.closed_error().by, client.closed_error().code) == ("peer", "closed")
    assert [message.content["code"] for message in sent_by(client)[1:]] == ["bad-message"]


def test_a_lost_connection_fails_what_was_waited_for() -> None:
    """Nobody is told, because nobody is there; whoever waits hears why."""
    client = new_client()
    call = client.request(Message("x"))
    client.data_to_send()
    client.lose("connection reset")
    client.lose("again")
    assert str(client.closed_error()) == "connection closed by the peer: connection reset"
    assert isinstance(call.error, ConnectionClosedError)
    assert client.data_to_send() == []
    with pytest.raises(ConnectionClosedError, match="connection reset"):
        client.request(Message("x"))


def test_the_last_words_of_a_peer_are_the_reason() -> None:
    """An error that ends a conversation fails all calls with what it says."""
    client = new_client()
    call = client.request(Message("x"))
    assert tell(client, error("overloaded")) == []
    assert isinstance(call.error, ConnectionClosedError)
    assert (call.error.by, call.error.code, call.error.reason) == (
        "peer",
        "overloaded",
        "because of overloaded",
    )
    client.lose("connection reset")
    assert client.closed_error().code == "overloaded"


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        ({"code": "bored", "reason": "no more"}, "bored", "no more"),
        ({"code": "bored", "title": "Bored"}, "bored", "Bored"),
        ({"code": "bored"}, "bored", "bored"),
        ({"code": 5, "reason": None}, "closed", "closed"),
        ([], "closed", "application/json, 2 bytes, kind close: []"),
        (b"", "closed", "application/octet-stream, 0 bytes, kind close: "),
        (BROKEN_JSON, "closed", "application/json, 1 byte, kind close: {"),
    ],
)
def test_a_close_is_understood_however_little_it_says(
    content: object, code: str, reason: str
) -> None:
    """The reason that users see is what the peer gave as one."""
    client = new_client()
    content_type = "application/json" if content is BROKEN_JSON else None
    tell(client, Message(content, content_type=content_type, kind="close"))
    closed = client.closed_error()
    assert (client.phase, closed.code, closed.reason) == (Phase.FINISHING, code, reason)


def test_bad_bytes_end_the_conversation_with_a_word_to_the_peer() -> None:
    """The peer is told what was wrong and where, behind everything that is unsent."""
    client, server = new_client(), new_server()
    call = client.request(Message("x"))
    server.send(Message("before"))
    assert server.receive_data(GARBAGE) == []
    assert "message at byte 0" in failure_of(server)
    assert server.receive_data(Message("x").to_bytes()) == []
    server.receive_eof()
    server.fail(ProtocolError("again"))
    server.close("closed", "done")
    server.check_time(1_000.0)
    size = server.bytes_to_send
    data = b"".join(server.data_to_send())
    assert len(data) == size
    assert client.receive_data(data) == [Message("before")]
    assert client.phase is Phase.FINISHING
    assert isinstance(call.error, ConnectionClosedError)
    assert (call.error.by, call.error.code) == ("peer", "bad-message")


def test_too_large_content_has_a_code_of_its_own() -> None:
    """A sender can tell what to do about it."""
    server = new_server(limits=Limits(max_content_size=10))
    server.receive_data(Message("x" * 11).to_bytes())
    assert server.closed_error().code == "too-large"
    assert sent_by(server)[0].content["code"] == "too-large"


@pytest.mark.parametrize("mistake", [GARBAGE, reply(9).to_bytes()])
def test_what_came_before_a_mistake_is_answered_before_the_mistake_is_told(mistake: bytes) -> None:
    """Where the network cuts makes no difference to who is answered."""
    client, server = new_client(), new_server()
    call = client.request(Message("x"))
    client.send(Message("y"))
    asked, _plain = server.receive_data(b"".join(client.data_to_send()) + mistake)
    assert server.phase is Phase.FAILED
    server.answer(asked.id, Message("z"))
    server.send(Message("plain"))
    server.complain("no", "no")
    assert [message.kind for message in carry(server, client)] == [None, "error"]
    assert (call.parts[0].content, call.error) == ("z", None)
    assert client.closed_error().code == "bad-message"
    with pytest.raises(ConnectionClosedError, match="by this side"):
        server.send(Message("late"))
    server.answer(asked.id, Message("late"))
    assert server.data_to_send() == []


def test_a_conversation_that_is_not_over_has_no_better_reason_than_us() -> None:
    """Asked too early, the answer is at least not the peer's fault."""
    assert new_client().closed_error().by == "us"


# Time


def test_a_token_must_come_in_time() -> None:
    """Whoever connects and says nothing is sent away, also while it does not read."""
    for is_reading in (True, False):
        server = new_server(tokens=TOKENS, limits=Limits(handshake_timeout=5))
        server.check_time(4.9, is_reading=is_reading)
        assert server.phase is Phase.GREETING
        server.check_time(5.0, is_reading=is_reading)
        assert "timed out after 5 s waiting for hello" in failure_of(server)
        assert sent_by(server)[0].content["code"] == "timeout"


def test_a_client_is_not_held_to_the_time_for_its_own_hello() -> None:
    """How long it waits for the welcome is for connect() to say."""
    client = new_client(token=TOKEN)
    client.check_time(100.0)
    assert client.phase is Phase.GREETING


def test_a_message_that_does_not_get_on_times_out() -> None:
    """The peer is told what was waited for."""
    server = new_server()
    server.receive_data(b"\x00")
    server.check_time(1.0)
    server.check_time(10.9)
    assert not server.is_over
    server.check_time(11.0)
    assert "timed out after 10 s waiting for the rest of a header block" in failure_of(server)


def test_whoever_is_not_read_from_is_not_late() -> None:
    """Backpressure is not the peer's fault."""
    server = new_server(limits=Limits(idle_timeout=5))
    server.receive_data(b"\x00")
    server.check_time(1.0)
    server.check_time(9.0, is_reading=False)
    server.check_time(12.0)
    assert not server.is_over
    server.check_time(14.0)
    assert "waiting for any message" in failure_of(server)


def test_a_peer_that_takes_nothing_is_told_why_it_ends() -> None:
    """As far as it can be told: what keeps it from being read is what it does not take."""
    server = new_server(limits=Limits(idle_timeout=5))
    for now in (0.0, 4.9):
        server.check_time(now, is_reading=False, is_unsent=True)
    assert not server.is_over
    server.check_time(5.0, is_reading=False, is_unsent=True)
    assert "waiting for the peer to take what it is sent" in failure_of(server)
    assert server.closed_error().code == "timeout"


def greeted(limits: Limits | None = None) -> tuple[Conversation, Conversation]:
    """Have both ends of a conversation with keepalive."""
    client, server = new_client(keepalive=True), new_server(limits=limits)
    carry(client, server)
    carry(server, client)
    server.check_time(0.0)
    return client, server


def test_a_silent_peer_with_keepalive_is_pinged() -> None:
    """As long as it answers, it stays."""
    client, server = greeted()
    for now in (20.0, 40.25, 60.5):
        server.check_time(now - 0.1)
        assert server.data_to_send() == []
        server.check_time(now)
        assert server.calls.count == 1
        carry(server, client)
        carry(client, server)
        server.check_time(now + 0.25)
        assert server.calls.count == 0
    assert server.phase is Phase.OPEN


def test_a_peer_that_answers_no_ping_is_gone() -> None:
    """It is told, in case it is there after all."""
    _, server = greeted()
    server.check_time(20.0)
    server.check_time(39.9)
    assert server.phase is Phase.OPEN
    server.check_time(40.0)
    assert "timed out after 20 s waiting for the answer to a ping" in failure_of(server)
    assert [said.kind for said in sent_by(server)] == ["ping", "error"]


def test_a_peer_that_sends_and_answers_no_ping_is_there() -> None:
    """Anything is a sign of life, and unanswered pings do not pile up."""
    client, server = greeted()
    for round in range(1, 4):
        server.check_time(round * 30.0)
        server.data_to_send()
        client.send(Message("x"))
        carry(client, server)
        server.check_time(round * 30.0 + 1)
    assert (server.phase, server.calls.count) == (Phase.OPEN, 1)


def test_without_keepalive_nobody_is_pinged() -> None:
    """A peer that did not ask for it may be silent for ever."""
    server = new_server()
    server.check_time(1_000_000.0)
    assert (server.phase, server.data_to_send()) == (Phase.OPEN, [])


def test_who_was_told_close_is_not_pinged() -> None:
    """It need not answer."""
    _, server = greeted(Limits(idle_timeout=5))
    tell(server, request(1))
    server.close("x", "y")
    server.data_to_send()
    for now in (20.0, 40.0, 60.0):
        server.check_time(now)
    assert not server.is_over
    assert server.data_to_send() == []


def test_who_has_ended_its_input_is_pinged_and_waited_for_as_long_as_it_may_be_silent() -> None:
    """Nothing answers the ping, but the network tells when nobody is there any more."""
    _, server = greeted(Limits(ping_interval=2, ping_timeout=1))
    tell(server, request(1))
    server.receive_eof()
    server.data_to_send()
    server.check_time(20.0)
    assert server.data_to_send() == []
    for now in (20.5, 21.0, 22.0):
        server.check_time(now)
        assert b'"kind":"ping"' in b"".join(server.data_to_send())
    server.check_time(23.0)
    assert "waiting for an answer for a peer that has ended its input" in failure_of(server)


def test_an_end_ends_everything_and_keeps_the_reason() -> None:
    """Whoever waits is told; nothing is answered after it, and an earlier reason stays."""
    client, server = new_client(), new_server()
    call = client.request(Message("x"))
    [asked] = carry(client, server)
    for conversation in (client, server):
        conversation.end()
        assert conversation.phase is Phase.CLOSED
    assert isinstance(call.error, ConnectionClosedError)
    assert call.error.reason == "it was closed here"
    server.answer(asked.id, Message("late"))
    assert server.unanswered == 1
    server.fail(ConnectionClosedError("us", "too late"))
    assert server.error is None
    lost = new_client()
    lost.lose("it is gone")
    lost.end()
    assert lost.phase is Phase.FAILED
    assert lost.closed_error().reason == "it is gone"


def test_an_end_that_asks_refuses_requests_instead_of_not_reading() -> None:
    """Its own answers come behind them: past ``max_pending``, further requests are overloaded."""
    server = new_server(limits=Limits(max_pending=2))
    server.request(Message("x"))
    taken = tell(server, *(request(number) for number in (1, 2, 3)))
    assert [message.id for message in taken] == [1, 2]
    assert server.unanswered == 2
    refused = sent_by(server)[-1]
    assert (refused.kind, refused.re, refused.content["code"]) == ("error", 3, "overloaded")


def test_messages_are_confirmed_by_answers_and_by_an_end_that_answers_the_own_end() -> None:
    """A peer that ends for a reason of its own confirms nothing."""
    for code, unconfirmed in (("closed", 0), ("shutting-down", 2)):
        client, server = new_client(), new_server()
        client.send(Message("a"))
        client.ping()
        carry(client, server)
        assert client.unconfirmed == 1
        carry(server, client)
        assert client.unconfirmed == 0
        client.send(Message("b"))
        client.send(Message("c"))
        client.close("closed", "")
        tell(client, Message({"code": code}, kind="close"))
        assert client.unconfirmed == unconfirmed
