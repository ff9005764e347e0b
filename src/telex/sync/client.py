"""The blocking client: ``connect()``, and the connection that it gives.

All input and output happens in the threads that call. What users call is here; what happens to a
connection meanwhile is the driver's. It does not know the wire format, and it decides nothing about
what messages mean.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from typing import TYPE_CHECKING, Final

from telex.client.answers import answer_of, late_error, late_ping_error, raise_error_of
from telex.client.closing import PATIENCE_AFTER_ERROR, log_failed_close
from telex.client.deadlines import moment_in
from telex.client.options import ClientOptions
from telex.client.pipeline import Pipeline, is_at_hand
from telex.client.preparing import prepared
from telex.errors import TelexError, WaitTimeoutError
from telex.seconds import pause_of, timeout_of
from telex.sync.dialing import dial
from telex.sync.parts import Parts
from telex.sync.pipeline import Answers
from telex.uncopied import Uncopied
from telex.wire.factory import message_from

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
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
    background: bool = False,
) -> Connection:
    """Connect to a server and return the connection.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``; on Linux also
    ``unix://@NAME``, an abstract name. If the host name has several addresses, the next one is
    attempted 0.25 s after the one before, or at once after a failure (RFC 8305). ``timeout`` is for
    everything together, the resolver too, in seconds (``None``: no limit). ``token`` is the secret
    that proves the client's name to the server. With ``keepalive`` both sides send pings, so that
    each notices when the other is gone; this side sends and answers pings only while a thread waits
    in a method of the connection. With ``background`` a thread of the connection's own receives and
    answers at all times. ``tls`` is for ``tls://``; without ``tls``, the server's certificate is
    verified with the system's authorities. The certificate must be for the host of the address, or
    for ``server_hostname``. ``insecure`` allows to send a token over ``tcp://`` to another machine.

    Raises AddressError for a malformed address, and for an address where others could read the
    token, and ContentError for a token that cannot be written. Raises ConnectError, with every
    reason, when no connection can be made, and ConnectionClosedError with code ``unauthorized``
    when the server refuses the token.

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
        below = driver.connection
        if below.awaits_welcome:
            driver.flush()
            if not driver.wait(lambda: not below.awaits_welcome, deadline):
                driver.check_usable()
                raise options.no_welcome_error(timeout)
        driver.check_open()
    except BaseException:
        driver.release()
        raise
    connection = Connection(driver, options.address, peer_address)
    if background:
        driver.read_in_background()
        # Who forgets to close must not leave the thread behind.
        weakref.finalize(connection, driver.do_later, driver.release).atexit = False
    return connection


class Connection(Uncopied):
    """A connection to a server, shared by any number of threads; made by ``connect()``.

    As a context manager, the connection is closed at the end of the block, which waits until the
    peer has read everything. As an iterator, the connection gives the messages that arrive, and
    stops when the peer closes the connection.

    Without ``background``, the connection has no thread of its own. While no thread is in one of
    its methods, nothing is received, and pings of the server are not answered. If Ctrl-C or another
    signal handler interrupts a method with an exception, the connection stays usable: a message
    that was sent in part is completed before the next one. If this is not possible, because the
    exception came while the system took bytes, the connection is closed, and the next method raises
    ConnectionClosedError with this reason.

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
        """The address that was connected to, as given."""
        self.peer_address: Final = peer_address
        """The actual address of the peer, such as ``127.0.0.1:7766``."""
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
        """Send a plain message: a ``Message``, or content with the keywords of ``Message``.

        Returns when the network has taken all bytes. The peer has read the message when ``close()``
        returns. With ``chunk_size`` the bytes are sent in pieces of this size, with a pause of
        ``delay`` seconds between them, to watch how they travel. Raises ConnectionClosedError, with
        the reason that the peer gave, when the connection is closed. Raises ContentError or
        TooLargeError for a message that cannot be sent, before any byte is sent.
        """
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")
        pause = pause_of(delay, "delay")
        message = self._prepare(content, keywords)
        driver = self._driver
        driver.look_for_end()
        if chunk_size is None:
            driver.say(self._conversation.send, message)
            driver.flush()
        else:
            driver.gather(self._conversation.send, message)
            self._flush_in_chunks(chunk_size, pause)

    def send_many(self, messages: Iterable[object]) -> None:
        """Send the messages, or contents, of an iterable, many with each system call.

        Messages are collected until there are about 64 KiB; for a slow iterable, use ``send``. When
        the iterable raises an exception, or one of its messages cannot be sent, the messages before
        are sent. Raises what ``send`` raises.
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
        """Send a request and return its answer; wait for the answer at most ``timeout`` seconds.

        Raises RemoteError when the peer answers with an error, RequestTimeoutError when no answer
        arrives in time, ConnectionClosedError when the connection is closed before the answer,
        ContentError when the answer has several parts, and what ``send`` raises. An answer that
        arrives after the timeout is dropped.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        call = driver.say(self._conversation.request, self._prepare(content, keywords))
        if not driver.wait_for(call, deadline):
            raise late_error(call.subject, timeout)
        return call.reply or answer_of(call, driver.connection)

    def request_many(
        self, requests: Iterable[object], *, timeout: float | None = None, most: int = 256
    ) -> Answers:
        """Send the requests of an iterable (messages or contents), and give their answers in order.

        At most ``most`` requests are unanswered at a time, and many are sent with each system call.
        ``timeout`` is the longest wait for each answer, in seconds. If a request fails, its
        exception is given in place of its answer, and the next requests are not affected:
        RemoteError, RequestTimeoutError, ContentError for an answer in several parts, or
        ConnectionClosedError. After the answers of all requests that were sent, this raises the
        exception of the iterable, ContentError for a request that cannot be sent, or
        ConnectionClosedError if some requests could not be sent.

        The iterable runs in this thread, and nothing is received meanwhile. If it takes its time,
        fewer requests are sent together, and answers are waited for between them: at most for as
        long as the iterable took for the last requests.

            for answer in connection.request_many(["ada", "bob"]):
                print(answer if isinstance(answer, telex.TelexError) else answer.content)
        """
        at_hand = is_at_hand(requests)
        pipeline = Pipeline(self._driver.connection, timeout, most, at_hand=at_hand)
        return Answers(self._driver, prepared(self._prepare, requests), pipeline)

    def request_parts(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Parts:
        """Send a request, and give the parts of its answer as they arrive.

        The request is sent when the first part is asked for. ``timeout`` is the longest wait for
        each part, in seconds. The iteration raises what ``request`` raises. While too many parts
        wait to be taken, the connection stops reading.

            for part in connection.request_parts("2026", subject="orders.list"):
                print(part.content)
        """
        return Parts(self._driver, self._prepare(content, keywords), timeout_of(timeout))

    def ping(self, timeout: float | None = 10.0) -> float:
        """Send a ping, and return the time until its answer, in seconds.

        Raises RequestTimeoutError and ConnectionClosedError.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        begin = time.monotonic()
        call = driver.say(self._conversation.ping)
        if not driver.wait_for(call, deadline):
            raise late_ping_error(timeout)
        raise_error_of(call, driver.connection)
        return time.monotonic() - begin

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message; wait for it at most ``timeout`` seconds (0: do not wait).

        Answers to requests are not returned here. Raises WaitTimeoutError when no message arrives
        in time, and ConnectionClosedError when the connection is closed. If the peer broke the wire
        format, the ProtocolError is the ``__cause__``.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        while (message := driver.take_message()) is None:
            if not driver.has_more:
                raise driver.closed_error()
            if not driver.wait(self._need_not_wait, deadline) and driver.is_alive:
                raise WaitTimeoutError("a message", timeout or 0.0)
        return message

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        driver = self._driver
        while not driver.is_closing:
            message = driver.take_message()
            if message is not None:
                return message
            if driver.has_more:
                driver.wait(self._need_not_wait)
            elif driver.ended_well or driver.is_closing:
                break
            else:
                raise driver.closed_error()
        raise StopIteration

    def close(self, timeout: float = 10.0) -> None:
        """Send all unsent output, wait until the peer has read everything and closes too.

        Messages that arrive during this time are dropped. Raises RemoteError when the peer has told
        of an error that nobody has received, and ConnectionClosedError when the connection is lost
        or the peer ends it with an error. Threads that wait for an answer get a
        ConnectionClosedError. ``timeout`` is for everything together, in seconds: raises
        WaitTimeoutError if the peer has not closed by then, because the peer may not have read
        everything. If requests were abandoned, their handlers may still keep the peer busy: then
        wait until the peer has read all plain messages and 0.1 s more, at most 1 s after the last
        byte is sent, and raise no WaitTimeoutError. A second call has no effect.
        """
        driver = self._driver
        deadline = moment_in(timeout)
        if driver.is_closing or driver.is_inherited:  # in a forked process: the owner closes
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
            try:
                raise error
            finally:
                del error  # a frame that refers to its own error would stay alive

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
        return connection.unread.count > 0 or not connection.closing.may_receive

    def _flush_in_chunks(self, chunk_size: int, pause: float) -> None:
        driver = self._driver
        before = self._conversation.bytes_to_send
        while left := driver.send_some(chunk_size):
            if left == before:
                driver.wait_to_send()
            else:
                time.sleep(pause)
            before = left

    def _close_after(self, exception: Exception) -> None:
        """Close while an exception is on its way to the caller, which matters more."""
        try:
            self.close(PATIENCE_AFTER_ERROR)
        except Exception as problem:  # noqa: BLE001 - logged
            log_failed_close(self.peer_address, problem, exception)
