"""A server without a front-end: a conversation on a plain socket, for tests of the client.

It answers when and in which order a test wants, or never, and does nothing by itself.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from telex import Message
from telex.conversation.conversation import Conversation, Greeting
from telex.sync import Connection, connect
from tests.sync.stage import PATIENCE, ROOMY

Take = Callable[["Answerer", list[Message]], None]
"""What is done with the messages that came together."""


class Answerer:
    """One connection of a server, which hands what comes to ``take``, in a thread of its own.

    When the client ends, so does it, unless ``ends`` is false.
    """

    def __init__(self, sock: socket.socket, take: Take) -> None:
        self.socket = sock
        self.conversation = Conversation(
            ROOMY, Greeting("answerer"), serves=True, now=time.monotonic()
        )
        self.ends = True
        self.waiting: list[Message] = []
        self.batches: list[int] = []
        self._take = take
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def answer(self, request: Message, content: object, *, more: bool = False) -> None:
        """Answer a request, or send a part of its answer."""
        self.conversation.answer(request.id, Message(content), more=more)

    def flush(self) -> None:
        """Send what the conversation has to say."""
        with self._lock, contextlib.suppress(OSError):
            self.socket.sendall(b"".join(self.conversation.data_to_send()))

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.socket.recv(1 << 18):
                messages = self.conversation.receive_data(data)
                self.batches.append(len(messages))
                self._take(self, messages)
                self.flush()
            if not self.ends:
                return
            self.conversation.receive_eof()
            self.conversation.close("closed", "so does this side")
            self.flush()
            self.socket.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def answering(take: Take, **options: Any) -> Iterator[tuple[Connection, Answerer]]:
    """Connect a client to a server that hands every batch of messages to ``take``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        connection = connect(address, **{"limits": ROOMY, **options})
        sock, _ = listener.accept()
    with sock:
        answerer = Answerer(sock, take)
        try:
            yield connection, answerer
        finally:
            connection._driver.release()
            answerer.thread.join(PATIENCE)


def echo(answerer: Answerer, messages: list[Message]) -> None:
    """Answer every request with its content."""
    for message in messages:
        answerer.answer(message, message.content)


def never(answerer: Answerer, messages: list[Message]) -> None:
    """Keep everything, and answer nothing."""
    answerer.waiting += messages
