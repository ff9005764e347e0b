"""The blocking client: ``connect()``, and the connection that it gives.

All input and output happens in the threads that call. What users call is here; what happens to a
connection meanwhile is the link's. It does not know the wire format, and it decides nothing about
what messages mean.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from telex.address import check_is_safe_for_tokens, meant_by
from telex.conversation.conversation import Greeting, Phase
from telex.conversation.greeting import check_room
from telex.errors import (
    ConnectError,
    ConnectionClosedError,
    RequestTimeoutError,
    TelexError,
    WaitTimeoutError,
)
from telex.limits import Limits
from telex.log import safe_logger
from telex.network.os_errors import NO_END
from telex.sync.answers import answer_to
from telex.sync.deadlines import moment_in
from telex.sync.dialing import Dialing
from telex.sync.link import Link
from telex.sync.parts import Parts
from telex.sync.pipeline import Pipeline
from telex.version import __version__
from telex.wire.factory import message_from

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self, Unpack

    from telex.address import Address
    from telex.application.peer import MessageKeywords
    from telex.wire.message import Message

_PATIENCE_AFTER_ERROR: Final = 1.0

_AGENT: Final = f"telex/{__version__}"

logger: Final = safe_logger("telex.client")


def connect(
    address: str | Address,
    *,
    limits: Limits | None = None,
    timeout: float | None = 10.0,
    token: str | None = None,
    keepalive: bool = False,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    insecure: bool = False,
) -> Connection:
    """Connect to a server and return the connection.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``. All that a name
    stands for is tried in turn, within ``timeout`` seconds together (``None``: as long as it
    takes). ``token`` is the secret by which the server knows this client. With ``keepalive`` each
    side notices when the other one is gone without a word: this side answers pings, and sends its
    own, while a thread waits in one of the connection's methods. ``tls`` is for ``tls://``; without
    it the server's certificate is verified with the system's authorities, for the host of the
    address or for ``server_hostname``. ``insecure`` allows a token over ``tcp://`` beyond this
    machine.

    Raises AddressError for a malformed address, and for one where others could read the token,
    ConnectError, with every reason, when no connection can be made, and ConnectionClosedError with
    code ``unauthorized`` when the token is refused.

    >>> connect("tcp://127.0.0.1:1")
    Traceback (most recent call last):
    telex.errors.ConnectError: cannot connect to tcp://127.0.0.1:1: connection refused
    """
    wanted = meant_by(address)
    if token is not None and not insecure:
        check_is_safe_for_tokens(wanted)
    kept = limits or Limits()
    deadline = moment_in(timeout)
    greeting = Greeting(_AGENT, token=token, keepalive=keepalive)
    check_room(greeting, kept)
    dialed = Dialing(wanted, kept, tls, server_hostname).open(deadline)
    link = Link(dialed.socket, kept, greeting, dialed.encryption, dialed.early)
    try:
        link.flush()
        conversation = link.conversation
        if not link.wait(lambda: conversation.phase is not Phase.GREETING, deadline):
            link.check_usable()
            raise ConnectError(str(wanted), f"no welcome came within {timeout:g} s")
        link.check_open()
    except BaseException:
        link.release()
        raise
    return Connection(link, wanted, dialed.peer_address)


class Connection:
    """A connection to a server, for any number of threads; made by ``connect()``.

    As a context manager it closes at the end, and waits for the peer to have read everything. As an
    iterator it gives the messages that come, and ends when the peer ends the connection.

    The work is done in the threads that call: while none does, nothing is received, and pings of
    the server wait for their answer. Ctrl-C, and whatever else a signal handler raises, leaves the
    connection usable: a message that was begun is finished before the next one. Where that cannot
    be (it came just while bytes were handed over), the connection is closed, and says so.

    >>> import threading, telex
    >>> app = telex.Application()
    >>> @app.on("greet")
    ... def greet(message):
    ...     return f"hello {message.content}"
    >>> with telex.sync.serve(app, "tcp://127.0.0.1:0") as server:
    ...     threading.Thread(target=server.serve_forever).start()
    ...     with telex.sync.connect(server.address) as connection:
    ...         connection.request("you", subject="greet", timeout=5).content
    'hello you'
    """

    def __init__(self, link: Link, address: Address, peer_address: str) -> None:
        self.address: Final = address
        """What was connected to."""
        self.peer_address: Final = peer_address
        """Where the peer actually is, such as ``127.0.0.1:7766``."""
        self._link: Final = link
        self._conversation: Final = link.conversation

    def __repr__(self) -> str:
        return f"<telex.sync.Connection to {self.address}, {self._conversation.phase.value}>"

    def send(
        self,
        content: object,
        *,
        chunk_size: int | None = None,
        delay: float = 0.0,
        **keywords: Unpack[MessageKeywords],
    ) -> None:
        """Send a message, or content with the keywords of ``Message``.

        Returns when all of it was given to the network; that the peer has read it is known when
        ``close()`` returns. With ``chunk_size`` it goes in pieces of so many bytes, ``delay``
        seconds apart, to be watched on its way. Raises ConnectionClosedError when the connection
        has ended, with the reason that the peer gave; ContentError and TooLargeError for a message
        that cannot be sent, before any of it is.
        """
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
        if delay < 0:
            raise ValueError(f"delay must not be negative, not {delay}")
        message = message_from(content, keywords)
        link = self._link
        link.look_for_end()
        if chunk_size is None:
            link.say(self._conversation.send, message)
            link.flush()
        else:
            link.gather(self._conversation.send, message)
            self._flush_in_chunks(chunk_size, delay)

    def send_many(self, messages: Iterable[object]) -> None:
        """Send messages, or contents, from an iterable, many with each system call.

        They are gathered until about 64 KiB are together, so for a source that takes its time
        ``send`` is the right way. When the iterable raises, or something in it cannot be sent, what
        came before it is sent. Raises what ``send`` raises.
        """
        link, conversation = self._link, self._conversation
        link.look_for_end()
        items = iter(messages)
        has_more = True
        while has_more:
            batch: list[Message] = []
            try:
                has_more = conversation.fill(batch, items)
            except BaseException as error:
                with contextlib.suppress(TelexError):  # the error on its way matters more
                    link.gather(conversation.send_many, batch)
                if isinstance(error, Exception):
                    link.flush()
                raise
            link.gather(conversation.send_many, batch)
            link.flush()

    def request(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Message:
        """Send a request, and return its answer, waiting at most ``timeout`` seconds for it.

        Raises RemoteError when the peer answers with an error, RequestTimeoutError,
        ConnectionClosedError when the connection ends before the answer is here, ContentError when
        the answer comes in several parts, and what ``send`` raises. After a timeout the request is
        forgotten, and its answer is dropped when it comes.
        """
        deadline = moment_in(timeout)
        call = self._link.say(self._conversation.request, message_from(content, keywords))
        return answer_to(call, self._link, timeout, deadline)

    def request_many(
        self, requests: Iterable[object], *, timeout: float | None = None, most: int = 256
    ) -> Iterator[Message | TelexError]:
        """Send requests, messages or contents from an iterable, and give their answers in order.

        At most ``most`` of them are under way at a time, and many go with each system call. An
        answer may take ``timeout`` seconds. What goes wrong with one request is given in the place
        of its answer, and the next ones are answered all the same: RemoteError,
        RequestTimeoutError, ContentError for an answer in several parts, and
        ConnectionClosedError. Raises what the iterable raises, ContentError for what cannot be
        sent, and ConnectionClosedError when not all could be: when all that was sent has been
        answered.

            for answer in connection.request_many(["ada", "bob"]):
                print(answer if isinstance(answer, telex.TelexError) else answer.content)
        """
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")
        return Pipeline(self._link, requests, timeout, most).answers()

    def request_parts(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Parts:
        """Send a request, and give the parts of its answer as they come.

        The request is sent when the first part is asked for. Each part may take ``timeout``
        seconds. Raises, while iterating, what ``request`` raises. The connection reads no further
        while too many parts wait.

            for part in connection.request_parts("2026", subject="orders.list"):
                print(part.content)
        """
        return Parts(self._link, message_from(content, keywords), timeout)

    def ping(self, timeout: float | None = 10.0) -> float:
        """Ask the peer for a sign of life; return how long that took, in seconds.

        Raises RequestTimeoutError and ConnectionClosedError.
        """
        link = self._link
        begin = time.monotonic()
        call = link.say(self._conversation.ping)
        try:
            if not link.wait(lambda: call.is_done, moment_in(timeout)):
                link.check_usable()
                raise RequestTimeoutError("the answer to a ping", timeout or 0.0)
        finally:
            if not call.is_done:
                link.abandon(call)
        link.raise_error_of(call)
        return time.monotonic() - begin

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message, waiting for it at most ``timeout`` seconds; 0 does not wait.

        Answers to requests are not among these messages. Raises WaitTimeoutError when none comes in
        time, and ConnectionClosedError when the connection has ended, with the ProtocolError as its
        cause when what came is not a message.
        """
        link = self._link
        deadline = moment_in(timeout)
        while (message := link.take_message()) is None:
            if not link.has_more:
                raise link.closed_error()
            if not link.wait(self._need_not_wait, deadline) and link.is_alive:
                raise WaitTimeoutError("a message", timeout or 0.0)
        return message

    def __iter__(self) -> Iterator[Message]:
        link = self._link
        while not link.reception.is_closing:
            message = link.take_message()
            if message is not None:
                yield message
            elif link.has_more:
                link.wait(self._need_not_wait)
            elif link.ended_well or link.reception.is_closing:
                return
            else:
                raise link.closed_error()

    def close(self, timeout: float = 10.0) -> None:
        """Send what is unsent, wait until the peer has read all and ends too, and close.

        Messages that come meanwhile are dropped, but not an error that the peer tells: it is
        raised, as ConnectionClosedError, and so is a connection that breaks. Whoever waits for an
        answer is told that the connection is closed. ``timeout`` is for everything together, in
        seconds: raises WaitTimeoutError when the peer has not ended by then, so that it may not
        have read all, unless it may be at work on what was given up. Harmless when repeated.
        """
        link = self._link
        deadline = moment_in(timeout)
        if link.reception.is_closing:
            link.wait(lambda: link.is_released, deadline)
            return
        try:
            has_ended = link.finish(deadline)
            error = link.unseen_error()
        finally:
            link.release()
        if error is not None:
            raise error
        if has_ended:
            return
        if link.ending.unsent:
            reason = f"the peer did not read on for {timeout:g} s"
            raise ConnectionClosedError("us", reason, unsent=link.ending.unsent)
        raise WaitTimeoutError(NO_END, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception is None:
            self.close()
        elif isinstance(exception, Exception):
            self._close_after(exception)
        else:
            self._link.release()

    def _need_not_wait(self) -> bool:
        """Whether a message is here, or none will come."""
        return bool(self._link.reception.inbox.messages) or not self._link.is_open

    def _flush_in_chunks(self, chunk_size: int, delay: float) -> None:
        link = self._link
        before = self._conversation.bytes_to_send
        while left := link.send_some(chunk_size):
            if left == before:
                link.wait_to_send()
            else:
                time.sleep(delay)
            before = left

    def _close_after(self, exception: Exception) -> None:
        """Close while an exception is on its way to the caller, which matters more."""
        try:
            self.close(_PATIENCE_AFTER_ERROR)
        except TelexError as error:
            name = type(exception).__name__
            logger.warning("%s: %s, after a %s", self.peer_address, error, name)
