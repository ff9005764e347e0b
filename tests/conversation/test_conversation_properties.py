"""Two conversations joined by a pipe, and Hypothesis at both ends and in between.

Whatever both sides say in whatever order, however the bytes are cut, and wherever the pipe breaks:
each request is answered once or fails with the reason, plain messages arrive in order and once, and
what is lost is lost to the knowledge of both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from telex import (
    ConnectionClosedError,
    Limits,
    Message,
    MessageProcessor,
    RemoteError,
)
from telex.conversation.conversation import TRANSITIONS, Call, Conversation, Greeting, Phase
from tests.conversations import TOKEN, TOKENS

LIMITS = Limits(max_pending=5, ping_interval=5, ping_timeout=5, handshake_timeout=60)
GARBAGE = b"\x00\x01"
SILENT = (Phase.CLOSING, Phase.CLOSED, Phase.FAILED)
"""The phases in which a side sends nothing more."""


class Asked:
    """A request or a ping of one end, and what becomes of it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.times_ended = 0
        self.is_given_up = False
        self.progress: list[int] = []
        call.keeps_parts = True
        call.on_progress = self.note_progress

    def note_progress(self) -> None:
        """Count the endings; there must not be two."""
        self.progress.append(len(self.call.parts))
        self.times_ended += self.call.is_done


class Answer:
    """What one end has said to a request of the other."""

    def __init__(self, request: Message) -> None:
        self.request = request
        self.parts: list[object] = []
        self.code: str | None = None
        self.is_complete = False


class End:
    """One side: its conversation, what its application said and heard, and its way out."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.sent: list[object] = []
        self.heard: list[object] = []
        self.asked: list[Asked] = []
        self.answers: dict[object, Answer] = {}
        self.on_its_way = b""
        self.written = b""
        self.has_ended_stream = False
        self.phase = conversation.phase
        self.peer: End

    def flush(self) -> None:
        """Hand to the network what the conversation has to send."""
        size = self.conversation.bytes_to_send
        data = b"".join(self.conversation.data_to_send())
        assert len(data) == size
        self.written += data
        self.on_its_way += data

    def take(self, size: int) -> None:
        """Have the network bring some bytes from the peer."""
        data, self.peer.on_its_way = self.peer.on_its_way[:size], self.peer.on_its_way[size:]
        for message in self.conversation.receive_data(data):
            if message.kind == "request":
                number = message.content["number"]
                assert number not in self.answers, "a request came twice"
                self.answers[number] = Answer(message)
            else:
                assert message.kind is None
                self.heard.append(message.content)

    def take_end(self) -> None:
        """Have the network bring the end of the peer's stream."""
        self.peer.has_ended_stream = True
        self.conversation.receive_eof()

    @property
    def open_answers(self) -> list[Answer]:
        """The requests that the application has not answered completely."""
        return [answer for answer in self.answers.values() if not answer.is_complete]


sides = st.sampled_from(["client", "server"])
sizes = st.sampled_from([0, 0, 0, 10, 5_000])


class Pipe(RuleBasedStateMachine):
    """A client and a server that say what they like, and a network that does its worst."""

    @initialize(
        demands_token=st.booleans(),
        token=st.sampled_from([None, TOKEN, TOKEN, "wrong"]),
        keepalive=st.booleans(),
    )
    def begin(self, demands_token: bool, token: str | None, keepalive: bool) -> None:
        """Begin a conversation with any greeting."""
        self.now = 0.0
        self.count = 0
        self.is_damaged = False
        self.is_closing = False
        greeting = Greeting("client", token=token, keepalive=keepalive)
        client = Conversation(LIMITS, greeting, serves=False, now=0.0)
        greeting = Greeting("server", authenticate=TOKENS.owner_of if demands_token else None)
        server = Conversation(LIMITS, greeting, serves=True, now=0.0)
        self.ends = {"client": End(client), "server": End(server)}
        self.ends["client"].peer = self.ends["server"]
        self.ends["server"].peer = self.ends["client"]
        self.is_let_in = not demands_token or token == TOKEN

    def new_content(self, size: int) -> dict[str, Any]:
        """Make content that is told from all other."""
        self.count += 1
        return {"number": self.count, "filling": "x" * size}

    # What applications do

    @rule(side=sides, size=sizes)
    def send(self, side: str, size: int) -> None:
        """Send a plain message, where that is possible."""
        end, content = self.ends[side], self.new_content(size)
        if self.try_to(end, lambda: end.conversation.send(Message(content))):
            end.sent.append(content)

    @rule(side=sides, size=sizes)
    def request(self, side: str, size: int) -> None:
        """Ask for something, where that is possible."""
        end, content = self.ends[side], self.new_content(size)
        self.try_to(
            end, lambda: end.asked.append(Asked(end.conversation.request(Message(content))))
        )

    @rule(side=sides)
    def ping(self, side: str) -> None:
        """Ask for a sign of life, where that is possible."""
        end = self.ends[side]
        self.try_to(end, lambda: end.asked.append(Asked(end.conversation.ping())))

    @precondition(lambda self: self.ends["server"].open_answers)
    @rule(data=st.data(), size=sizes, more=st.booleans(), is_empty=st.booleans())
    def answer(self, data: st.DataObject, size: int, more: bool, is_empty: bool) -> None:
        """Answer any request, or a part of it."""
        answers = self.ends["server"].open_answers
        answer = data.draw(st.sampled_from(answers))
        content = b"" if is_empty else self.new_content(size)
        self.ends["server"].conversation.answer(answer.request.id, Message(content), more=more)
        if more or not answer.parts or not is_empty:
            answer.parts.append(content)
        answer.is_complete = not more

    @precondition(lambda self: self.ends["server"].open_answers)
    @rule(data=st.data(), code=st.sampled_from(["no-more", "overloaded"]))
    def refuse(self, data: st.DataObject, code: str) -> None:
        """Refuse any request, also in the middle of its answer."""
        answer = data.draw(st.sampled_from(self.ends["server"].open_answers))
        self.ends["server"].conversation.refuse(answer.request.id, code, "not today")
        answer.code = code
        answer.is_complete = True

    @precondition(lambda self: any(end.asked for end in self.ends.values()))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        """Stop waiting for any answer, whether it has come or not."""
        end = data.draw(st.sampled_from([end for end in self.ends.values() if end.asked]))
        asked = data.draw(st.sampled_from(end.asked))
        end.conversation.abandon(asked.call)
        asked.is_given_up |= not asked.call.is_done

    @rule(side=sides, code=st.sampled_from(["closed", "shutting-down"]))
    def close(self, side: str, code: str) -> None:
        """Say that there is no more."""
        self.ends[side].conversation.close(code, "enough")
        self.is_closing = True

    @rule(seconds=st.sampled_from([0.25, 4.0, 6.0]), is_reading=st.booleans())
    def wait(self, seconds: float, is_reading: bool) -> None:
        """Let time pass at both ends; whoever times out does so in words."""
        self.now += seconds
        for end in self.ends.values():
            was_over = end.conversation.is_over
            end.conversation.check_time(self.now, is_reading=is_reading)
            if end.conversation.is_over and not was_over:
                assert "timed out after" in str(end.conversation.error)
                self.is_damaged = True

    # What the network does

    @rule(side=sides)
    def flush(self, side: str) -> None:
        """Take what a side has to send."""
        self.ends[side].flush()

    @rule(side=sides, size=st.integers(1, 50) | st.just(1_000_000), is_flushed=st.booleans())
    def bring(self, side: str, size: int, is_flushed: bool) -> None:
        """Bring bytes, from one to all."""
        if is_flushed:
            self.ends[side].peer.flush()
        self.ends[side].take(size)

    @rule(side=sides)
    def bring_end(self, side: str) -> None:
        """Bring the end of a stream that has ended and has come completely."""
        end = self.ends[side]
        if end.peer.conversation.phase in SILENT:
            end.peer.flush()
            if not end.peer.on_its_way and not end.peer.has_ended_stream:
                end.take_end()

    @precondition(lambda self: not self.is_damaged)
    @rule(side=sides)
    def garble(self, side: str) -> None:
        """Bring bytes that are no message behind what is on its way."""
        self.is_damaged = True
        self.ends[side].on_its_way += GARBAGE

    @precondition(lambda self: not self.is_damaged)
    @rule(data=st.data(), is_clean=st.booleans())
    def cut(self, data: st.DataObject, is_clean: bool) -> None:
        """Break the connection: some of what was on its way still comes, and then nothing."""
        self.is_damaged = True
        for end in self.ends.values():
            end.flush()
        for end in self.ends.values():
            end.take(data.draw(st.integers(0, len(end.peer.on_its_way))))
            end.peer.on_its_way = b""
            end.peer.has_ended_stream = True
            if is_clean:
                end.conversation.receive_eof()
            else:
                end.conversation.lose("connection reset")

    # What must hold

    @invariant()
    def phases_follow_the_table(self) -> None:
        """No conversation goes where the table does not lead."""
        for end in getattr(self, "ends", {}).values():
            reachable = {end.phase}
            for _ in Phase:
                reachable |= {to for (at, _), to in TRANSITIONS.items() if at in reachable}
            end.phase = end.conversation.phase
            assert end.phase in reachable
            assert (end.conversation.error is not None) == (end.phase is Phase.FAILED)

    @invariant()
    def nothing_is_doubled(self) -> None:
        """No call ends twice, and no plain message comes twice or out of order."""
        for end in getattr(self, "ends", {}).values():
            assert end.peer.heard == end.sent[: len(end.peer.heard)]
            for asked in end.asked:
                assert asked.times_ended == asked.call.is_done
                assert asked.progress == sorted(asked.progress)

    def teardown(self) -> None:
        """Let everything come to its end in order, and look at what has become of all of it."""
        if not hasattr(self, "ends"):
            return
        self.settle()
        is_orderly = not self.is_damaged and self.is_let_in
        if is_orderly and not self.is_closing:
            self.check_all_is_answered()
        for end in self.ends.values():
            end.conversation.close("closed", "done")
        self.settle()
        for end in self.ends.values():
            self.check_calls(end)
            check_what_was_written(end)
            if is_orderly:
                assert end.peer.heard == end.sent
                assert end.conversation.phase is Phase.CLOSED
            assert str(end.conversation.closed_error()).startswith("connection closed by ")
        self.phases_follow_the_table()
        self.nothing_is_doubled()

    def settle(self) -> None:
        """Bring and answer everything, and bring the ends of streams, until all is quiet."""
        is_quiet = False
        while not is_quiet:
            is_quiet = True
            for end in self.ends.values():
                for answer in end.open_answers:
                    content = self.new_content(0)
                    end.conversation.answer(answer.request.id, Message(content))
                    answer.parts.append(content)
                    answer.is_complete = True
                end.flush()
                if end.on_its_way:
                    end.peer.take(len(end.on_its_way))
                    is_quiet = False
                elif end.conversation.phase in SILENT and not end.has_ended_stream:
                    end.peer.take_end()
                    is_quiet = False

    def check_all_is_answered(self) -> None:
        """Where nothing was closed, cut or refused entry, no call fails for such a reason."""
        for end in self.ends.values():
            for asked in end.asked:
                assert asked.call.is_done or asked.is_given_up
                assert asked.call.error is None or isinstance(asked.call.error, RemoteError)

    def check_calls(self, end: End) -> None:
        """Each call has its whole answer, or a reason why it has not; none waits."""
        assert end.conversation.calls.count == 0
        for asked in end.asked:
            call = asked.call
            assert call.is_done != asked.is_given_up
            if call.is_ping:
                assert call.parts == []
            else:
                self.check_answer(end, call)
            if call.error is not None:
                assert isinstance(call.error, (RemoteError, ConnectionClosedError))
                assert str(call.error)

    def check_answer(self, end: End, call: Call) -> None:
        """What came of an answer is what was said, up to where it was cut."""
        parts = [part.content for part in call.parts]
        answer = next((a for a in end.peer.answers.values() if a.request.id == call.id), None)
        if answer is None:
            assert parts == []
            assert not call.is_done or call.error is not None
        elif call.is_done and call.error is None:
            assert answer.code is None
            assert parts == answer.parts
        else:
            assert parts == answer.parts[: len(parts)]
            if isinstance(call.error, RemoteError):
                assert call.error.code == answer.code
                assert parts == answer.parts

    def try_to(self, end: End, step: Callable[[], object]) -> bool:
        """Do what only an ended conversation may refuse, which it does with the reason."""
        if end.conversation.phase in (Phase.OPEN, Phase.GREETING):
            step()
            return True
        try:
            step()
        except ConnectionClosedError:
            return False
        return True


def check_what_was_written(end: End) -> None:
    """On the wire, answers are given once each, and nothing stands behind the last word."""
    messages = MessageProcessor().receive_messages(end.written)
    kinds = [message.kind for message in messages]
    assert "hello" not in kinds[1:]
    assert "close" not in kinds[:-1]
    numbers = [message.id for message in messages if message.kind in ("request", "ping")]
    assert numbers == sorted(set(numbers), key=lambda number: number or 0)
    completed = [
        message.re
        for message in messages
        if message.re and message.kind in ("reply", "error") and not message.more
    ]
    assert len(completed) == len(set(completed))
    for place, message in enumerate(messages):
        if message.kind == "error" and message.re is None:
            assert place == len(messages) - 1


TestPipe = pytest.mark.timeout(300)(Pipe.TestCase)
TestPipe.settings = settings(max_examples=250, stateful_step_count=60, deadline=None)
