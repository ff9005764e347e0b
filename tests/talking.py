"""A client without a front-end: a conversation on a plain socket, for tests of servers.

It does what it is told and nothing by itself, so that a test can be as slow, silent or rude as it
likes.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pytest

from telex import Limits, Message
from telex.conversation.conversation import Call, Conversation, Greeting
from tests.behaviour.stage import PATIENCE


class Talker:
    """One connection; ``messages`` are the plain ones that have come."""

    def __init__(self, sock: socket.socket, **greeting: Any) -> None:
        self.socket = sock
        self.conversation = Conversation(
            Limits(max_content_size=1 << 30),
            Greeting("talker", **greeting),
            serves=False,
            now=time.monotonic(),
        )
        self.messages: list[Message] = []
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def ask(self, content: object, **keywords: Any) -> Call:
        """Send a request, and return the call that the answer will complete."""
        call = self.conversation.request(Message(content, **keywords))
        call.keeps_parts = True
        self.flush()
        return call

    def send(self, content: object, **keywords: Any) -> None:
        """Send a plain message."""
        self.conversation.send(Message(content, **keywords))
        self.flush()

    def flush(self) -> None:
        """Send what the conversation has to say."""
        self.socket.sendall(b"".join(self.conversation.data_to_send()))

    def listen(self, condition: Callable[[], object], what: str) -> None:
        """Receive, and do what the conversation wants, until ``condition()`` is true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.socket.recv(1 << 18)
            except TimeoutError:
                pytest.fail(f"gave up waiting: {what}")
            if not data:
                self.conversation.receive_eof()
                assert condition(), f"the server ended it, instead of this: {what}"
                return
            self.messages += self.conversation.receive_data(data)
            with contextlib.suppress(ConnectionError):  # the server may have heard enough
                self.flush()

    def answer_to(self, call: Call) -> Message:
        """Wait for the answer to a request, which must be one message."""
        self.listen(lambda: call.is_done, f"request {call.id} is answered")
        if call.error is not None:
            raise call.error
        [answer] = call.parts
        return answer

    def hear_out(self) -> None:
        """Receive until the server ends its stream."""
        self.socket.settimeout(PATIENCE)
        while data := self.socket.recv(1 << 18):
            self.messages += self.conversation.receive_data(data)
        self.conversation.receive_eof()
