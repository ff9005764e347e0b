"""The asyncio client: ``connect()``, and the connection that it gives.

What users call is here. Bytes, time and waiting tasks are the driver's; what happens to a
connection is decided below the front-ends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable
from typing import TYPE_CHECKING, Final

from telex.asyncio.awaitable_context import Opening
from telex.asyncio.dialing import dial
from telex.asyncio.parts import Parts
from telex.asyncio.pipeline import Answers
from telex.asyncio.waiting import check_loop
from telex.client.answers import answer_of, late_error, late_ping_error
from telex.client.closing import PATIENCE_AFTER_ERROR, log_failed_close
from telex.client.deadlines import moment_in
from telex.client.options import ClientOptions
from telex.client.pipeline import Pipeline, is_at_hand
from telex.client.preparing import prepared
from telex.errors import ConnectionClosedError, WaitTimeoutError
from telex.seconds import timeout_of
from telex.uncopied import Uncopied
from telex.wire.factory import message_from

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self, Unpack

    from telex.address import Address
    from telex.application.peer import MessageKeywords
    from telex.asyncio.client_driver import ClientDriver
    from telex.limits import Limits
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
) -> Opening[Connection]:
    """Connect to a server, with ``async with`` or ``await``; after ``await``, close it yourself.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``; on Linux also
    ``unix://@NAME``, an abstract name. If the host name has several addresses, the next one is
    attempted 0.25 s after the one before, or at once after a failure (RFC 8305). ``timeout`` is for
    everything together, the resolver too, in seconds (``None``: no limit). ``token`` is the secret
    that proves the client's name to the server. With ``keepalive`` both sides send pings, so that
    each notices when the other is gone. ``tls`` is for ``tls://``; without ``tls``, the server's
    certificate is verified with the system's authorities. The certificate must be for the host of
    the address, or for ``server_hostname``. ``insecure`` allows to send a token over ``tcp://`` to
    another machine.

    Raises AddressError for a malformed address, and for an address where others could read the
    token, and ContentError for a token that cannot be written. Raises ConnectError, with every
    reason, when no connection can be made, and ConnectionClosedError with code ``unauthorized``
    when the server refuses the token.

        async with telex.asyncio.connect("tcp://127.0.0.1:7766") as connection:
            await connection.send("one way", subject="log")
    """

    async def start() -> Connection:
        options = ClientOptions(
            address,
            limits=limits,
            token=token,
            keepalive=keepalive,
            tls=tls,
            server_hostname=server_hostname,
            insecure=insecure,
        )
        deadline = moment_in(timeout)
        driver, peer_address = await dial(options, deadline)
        try:
            if not await driver.welcomed(deadline):
                raise options.no_welcome_error(timeout)
        except BaseException:
            driver.end()
            raise
        connection = Connection(driver, options.address, peer_address)
        connection._prepare = opening._prepare
        return connection

    opening = Opening(start())
    opening._prepare = message_from
    return opening


class Connection(Uncopied):
    """A connection to a server, shared by the tasks of one event loop; made by ``connect()``.

    As a context manager, the connection is closed at the end of the block, which waits until the
    peer has read everything. As an asynchronous iterator, the connection gives the messages that
    arrive, and stops when the peer closes the connection. When a task is cancelled while it waits,
    no message is lost.
    """

    def __init__(self, driver: ClientDriver, address: Address, peer_address: str) -> None:
        self.address: Final = address
        """The address that was connected to, as given."""
        self.peer_address: Final = peer_address
        """The actual address of the peer, such as ``127.0.0.1:7766``."""
        self._driver: Final = driver
        self._connection: Final = driver.connection
        self._conversation: Final = driver.connection.conversation
        # Whatever is sent goes through this: tracing writes headers here.
        self._prepare: Callable[[object, MessageKeywords], Message] = message_from

    def __repr__(self) -> str:
        return f"<telex.asyncio.Connection to {self.address}, {self._conversation.phase.value}>"

    @property
    def ending(self) -> ConnectionClosedError | None:
        """The error that closed the connection; None while it is open, and after ``close()``."""
        if self._connection.is_open or self._connection.ending.is_own_choice:
            return None
        return self._connection.ending.reason()

    async def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a plain message: a ``Message``, or content with the keywords of ``Message``.

        Waits while the peer does not read earlier output. If the task is cancelled during this
        wait, nothing is sent. The peer has read the message when ``close()`` returns. Raises
        ConnectionClosedError, with the reason that the peer gave, when the connection is closed.
        Raises ContentError or TooLargeError for a message that cannot be sent, before any byte is
        sent.
        """
        message = self._prepare(content, keywords)
        driver, connection = self._driver, self._connection
        # ``check_open``, written out: calls are a tenth of what sending costs.
        if connection.must_send_first:
            await driver.room()
        if not connection.is_open:
            raise connection.ending.closed_error()
        if not driver.is_turn_due:
            driver.turn_soon()
        self._conversation.send(message)

    async def send_many(self, messages: Iterable[object] | AsyncIterable[object]) -> None:
        """Send the messages, or contents, of an iterable or asynchronous iterable.

        Many are sent with each write. When the iterable raises an exception, or one of its messages
        cannot be sent, the messages before are sent. Raises what ``send`` raises.
        """
        if hasattr(messages, "__aiter__"):
            async for item in messages:
                await self.send(item)
            return
        driver = self._driver
        items = prepared(self._prepare, messages)
        has_more = True
        while has_more:
            await driver.ready_to_say()
            batch: list[Message] = []
            try:
                has_more = self._conversation.fill(batch, items)
            finally:
                if self._connection.is_open:  # else the next check tells
                    self._conversation.send_many(batch)

    async def request(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Message:
        """Send a request and return its answer; wait for the answer at most ``timeout`` seconds.

        Many requests can be under way at once, from many tasks. Raises RemoteError when the peer
        answers with an error, RequestTimeoutError when no answer arrives in time,
        ConnectionClosedError when the connection is closed before the answer, ContentError when the
        answer has several parts, and what ``send`` raises. An answer that arrives after the
        timeout, or after a cancellation, is dropped.

            reply = await connection.request("you", subject="greet", timeout=2)
        """
        message = self._prepare(content, keywords)
        driver, connection = self._driver, self._connection
        deadline = None if timeout is None else moment_in(timeout)
        if connection.must_send_first and not await driver.room(deadline):
            raise late_error(message.subject, timeout)
        driver.check_open()
        if not driver.is_turn_due:
            driver.turn_soon()
        call = self._conversation.request(message)
        if not await driver.wait_for(call, deadline):
            raise late_error(call.subject, timeout)
        return call.reply or answer_of(call, connection)

    def request_many(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        *,
        timeout: float | None = None,
        most: int = 256,
    ) -> Answers:
        """Send the requests of an iterable or asynchronous iterable; give the answers in order.

        The iterable gives messages or contents. At most ``most`` requests are unanswered at a time,
        and many are sent with each write. ``timeout`` is the longest wait for each answer, in
        seconds. If a request fails, its exception is given in place of its answer, and the next
        requests are not affected: RemoteError, RequestTimeoutError, ContentError for an answer in
        several parts, or ConnectionClosedError. After the answers of all requests that were sent,
        this raises the exception of the iterable, ContentError for a request that cannot be sent,
        or ConnectionClosedError if some requests could not be sent.

        An asynchronous iterable runs in a task of its own, ahead of the answers. Any other one
        keeps the event loop waiting. If it takes its time, fewer requests are sent together, and
        answers are waited for between them: at most for as long as the iterable took for the last
        requests.

            async for answer in connection.request_many(["ada", "bob"]):
                print(answer if isinstance(answer, telex.TelexError) else answer.content)
        """
        pipeline = Pipeline(self._connection, timeout, most, at_hand=is_at_hand(requests))
        if isinstance(requests, AsyncIterable):
            return Answers(self._driver, self._prepared_later(requests), pipeline)
        return Answers(self._driver, prepared(self._prepare, requests), pipeline)

    def request_parts(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Parts:
        """Send a request, and give the parts of its answer as they arrive.

        The request is sent when the first part is asked for. ``timeout`` is the longest wait for
        each part, in seconds. The iteration raises what ``request`` raises. While too many parts
        wait to be taken, the connection stops reading. A task that then waits for another answer
        behind these parts gets a RequestTimeoutError after a few seconds.

            async for part in connection.request_parts("2026", subject="orders.list"):
                print(part.content)
        """
        return Parts(self._driver, self._prepare(content, keywords), timeout_of(timeout))

    async def ping(self, timeout: float | None = 10.0) -> float:
        """Send a ping, and return the time until its answer, in seconds.

        Raises RequestTimeoutError and ConnectionClosedError.
        """
        driver = self._driver
        driver.check_open()
        check_loop(driver.loop, "connection")
        deadline = moment_in(timeout)
        begin = time.perf_counter()
        call = self._conversation.ping()
        driver.turn()
        if not await driver.wait_for(call, deadline):
            raise late_ping_error(timeout)
        driver.raise_error_of(call)
        return time.perf_counter() - begin

    async def receive(self, timeout: float | None = None) -> Message:
        """Return the next message; wait for it at most ``timeout`` seconds (0: do not wait).

        Answers to requests are not returned here. Raises WaitTimeoutError when no message arrives
        in time, and ConnectionClosedError when the connection is closed. If the peer broke the wire
        format, the ProtocolError is the ``__cause__``.
        """
        driver, connection = self._driver, self._connection
        if not connection.unread.count:
            deadline = moment_in(timeout)
            while not connection.unread.count:
                if not connection.closing.may_receive:
                    raise connection.ending.closed_error()
                if not await driver.arrivals.wait(deadline):
                    raise WaitTimeoutError("a message", timeout or 0.0)
        return driver.take_message()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        driver, connection = self._driver, self._connection
        while not connection.unread.count:
            if not connection.closing.may_receive:
                if driver.is_closing or connection.ending.is_good:
                    raise StopAsyncIteration
                raise connection.ending.closed_error()
            await driver.arrivals.wait()
        return driver.take_message()

    async def close(self, timeout: float = 10.0) -> None:
        """Send all unsent output, wait until the peer has read everything and closes too.

        Messages that arrive during this time are dropped. Raises RemoteError when the peer has told
        of an error that nobody has received, and ConnectionClosedError when the connection is lost
        or the peer ends it with an error. ``timeout`` is for everything
        together, in seconds: raises WaitTimeoutError if the peer has not closed by then, because
        the peer may not have read everything. If requests were abandoned, their handlers may still
        keep the peer busy: then wait until the peer has read all plain messages and 0.1 s more, at
        most 1 s after the last byte is sent, and raise no WaitTimeoutError. A second call has no
        effect. If the task is cancelled, the connection is closed at once.
        """
        driver, ending = self._driver, self._connection.ending
        deadline = moment_in(timeout)
        if driver.is_closing or driver.is_inherited:  # in a forked process: the owner closes
            await driver.gone(deadline)
            return
        check_loop(driver.loop, "connection")
        try:
            driver.close()
            is_gone = await driver.gone(deadline)
            error = ending.unseen_error() or (None if is_gone else ending.overdue_error(timeout))
        finally:
            driver.end()
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that refers to its own error would stay alive

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception is None:
            await self.close()
            return
        try:  # the exception on its way to the caller matters more
            if isinstance(exception, Exception):
                await self.close(PATIENCE_AFTER_ERROR)
            else:
                check_loop(self._driver.loop, "connection")
                self._driver.close()
                self._driver.end()
        except Exception as problem:  # noqa: BLE001 - logged
            log_failed_close(self.peer_address, problem, exception)

    async def _prepared_later(self, items: AsyncIterable[object]) -> AsyncGenerator[Message, None]:
        source = aiter(items)
        try:
            async for item in source:
                yield self._prepare(item, {})
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
