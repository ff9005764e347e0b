"""The blocking client: ``connect()``, and the connection that it gives.

All input and output happens in the threads that call. What users call is here; what happens to a
connection meanwhile is the driver's. It does not know the wire format, and it decides nothing about
what messages mean.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from telex.client.answers import answer_of, late_error, late_ping_error, raise_error_of
from telex.client.closing import PATIENCE_AFTER_ERROR, log_failed_close
from telex.client.options import ClientOptions
from telex.client.pipeline import Pipeline
from telex.client.preparing import prepared
from telex.errors import TelexError, WaitTimeoutError
from telex.sync.deadlines import moment_in
from telex.sync.dialing import dial
from telex.sync.parts import Parts
from telex.sync.pipeline import answers_to
from telex.wire.factory import message_from

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self, Unpack

    from telex.address import Address
    from telex.application.peer import MessageKeywords
    from telex.limits import Limits
    from telex.sync.shared_connection import SharedConnection
    from telex.wire.message import Message


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
    deadline = moment_in(timeout)
    options = ClientOptions(
        address,
        limits=limits,
        token=token,
        keepalive=keepalive,
        tls=tls,
        server_hostname=server_hostname,
        insecure=insecure,
    )
    driver, peer_address = dial(options, deadline)
    try:
        connection = driver.connection
        if connection.awaits_welcome:
            driver.flush()
            if not driver.wait(lambda: not connection.awaits_welcome, deadline):
                driver.check_usable()
                raise options.no_welcome_error(timeout)
        driver.check_open()
    except BaseException:
        driver.release()
        raise
    return Connection(driver, options.address, peer_address)


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

    def __init__(self, driver: SharedConnection, address: Address, peer_address: str) -> None:
        self.address: Final = address
        """What was connected to."""
        self.peer_address: Final = peer_address
        """Where the peer actually is, such as ``127.0.0.1:7766``."""
        self._driver: Final = driver
        self._conversation: Final = driver.connection.conversation
        # Whatever is sent goes through this: tracing writes headers here.
        self._prepare: Callable[[object, MessageKeywords], Message] = message_from

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
        message = self._prepare(content, keywords)
        driver = self._driver
        driver.look_for_end()
        if chunk_size is None:
            driver.say(self._conversation.send, message)
            driver.flush()
        else:
            driver.gather(self._conversation.send, message)
            self._flush_in_chunks(chunk_size, delay)

    def send_many(self, messages: Iterable[object]) -> None:
        """Send messages, or contents, from an iterable, many with each system call.

        They are gathered until about 64 KiB are together, so for a source that takes its time
        ``send`` is the right way. When the iterable raises, or something in it cannot be sent, what
        came before it is sent. Raises what ``send`` raises.
        """
        driver, conversation = self._driver, self._conversation
        driver.look_for_end()
        items = prepared(self._prepare, messages)
        has_more = True
        while has_more:
            batch: list[Message] = []
            try:
                has_more = conversation.fill(batch, items)
            except BaseException as error:
                with contextlib.suppress(TelexError):  # the error on its way matters more
                    driver.gather(conversation.send_many, batch)
                if isinstance(error, Exception):
                    driver.flush()
                raise
            driver.gather(conversation.send_many, batch)
            driver.flush()

    def request(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Message:
        """Send a request, and return its answer, waiting at most ``timeout`` seconds for it.

        Raises RemoteError when the peer answers with an error, RequestTimeoutError,
        ConnectionClosedError when the connection ends before the answer is here, ContentError when
        the answer comes in several parts, and what ``send`` raises. After a timeout the request is
        forgotten, and its answer is dropped when it comes.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        call = driver.say(self._conversation.request, self._prepare(content, keywords))
        if not driver.wait_for(call, deadline):
            raise late_error(call.subject, timeout)
        return call.reply or answer_of(call, driver.connection)

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
        pipeline = Pipeline(self._driver.connection, timeout, most)
        return answers_to(prepared(self._prepare, requests), self._driver, pipeline)

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
        return Parts(self._driver, self._prepare(content, keywords), timeout)

    def ping(self, timeout: float | None = 10.0) -> float:
        """Ask the peer for a sign of life; return how long that took, in seconds.

        Raises RequestTimeoutError and ConnectionClosedError.
        """
        driver = self._driver
        begin = time.monotonic()
        call = driver.say(self._conversation.ping)
        if not driver.wait_for(call, moment_in(timeout)):
            raise late_ping_error(timeout)
        raise_error_of(call, driver.connection)
        return time.monotonic() - begin

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message, waiting for it at most ``timeout`` seconds; 0 does not wait.

        Answers to requests are not among these messages. Raises WaitTimeoutError when none comes in
        time, and ConnectionClosedError when the connection has ended, with the ProtocolError as its
        cause when what came is not a message.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        while (message := driver.take_message()) is None:
            if not driver.has_more:
                raise driver.closed_error()
            if not driver.wait(self._need_not_wait, deadline) and driver.is_alive:
                raise WaitTimeoutError("a message", timeout or 0.0)
        return message

    def __iter__(self) -> Iterator[Message]:
        driver = self._driver
        while not driver.is_closing:
            message = driver.take_message()
            if message is not None:
                yield message
            elif driver.has_more:
                driver.wait(self._need_not_wait)
            elif driver.ended_well or driver.is_closing:
                return
            else:
                raise driver.closed_error()

    def close(self, timeout: float = 10.0) -> None:
        """Send what is unsent, wait until the peer has read all and ends too, and close.

        Messages that come meanwhile are dropped, but not an error that the peer tells: it is
        raised, as ConnectionClosedError, and so is a connection that breaks. Whoever waits for an
        answer is told that the connection is closed. ``timeout`` is for everything together, in
        seconds: raises WaitTimeoutError when the peer has not ended by then, so that it may not
        have read all, unless it may be at work on what was given up. Harmless when repeated.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        if driver.is_closing:
            driver.wait(lambda: driver.is_released, deadline)
            return
        error: TelexError | None
        try:
            has_ended = driver.finish(deadline)
            error = driver.unseen_error()
            if error is None and not has_ended:
                error = driver.connection.ending.overdue_error(timeout)
        finally:
            driver.release()
        if error is not None:
            raise error

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
            self._driver.release()

    def _need_not_wait(self) -> bool:
        """Whether a message is here, or none will come."""
        connection = self._driver.connection
        return connection.unread.count > 0 or not connection.may_receive

    def _flush_in_chunks(self, chunk_size: int, delay: float) -> None:
        driver = self._driver
        before = self._conversation.bytes_to_send
        while left := driver.send_some(chunk_size):
            if left == before:
                driver.wait_to_send()
            else:
                time.sleep(delay)
            before = left

    def _close_after(self, exception: Exception) -> None:
        """Close while an exception is on its way to the caller, which matters more."""
        try:
            self.close(PATIENCE_AFTER_ERROR)
        except TelexError as error:
            log_failed_close(self.peer_address, error, exception)
