"""The asyncio client: ``connect()``, and the connection that it gives.

What users call is here; what happens to a connection meanwhile is the link's. It does not know the
wire format, and it decides nothing about what messages mean.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from telex.address import check_is_safe_for_tokens, meant_by
from telex.asyncio.answers import answer_of, late, progress_of
from telex.asyncio.dialing import Dialing
from telex.asyncio.link import Link
from telex.asyncio.opening import Opening
from telex.asyncio.parts import Parts
from telex.asyncio.pipeline import Pipeline
from telex.asyncio.waiting import moment_in
from telex.conversation.batch import BATCH_SIZE
from telex.conversation.conversation import Conversation, Greeting
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
from telex.version import __version__
from telex.wire.factory import message_from

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable
    from types import TracebackType
    from typing import Self, Unpack

    from telex.address import Address
    from telex.application.peer import MessageKeywords
    from telex.asyncio.channel import Channel
    from telex.wire.message import Message

_SHORT_PATIENCE: Final = 1.0
"""Seconds that closing takes at most where something has gone wrong, or was given up."""

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
) -> Opening[Connection]:
    """Connect to a server: ``async with`` it, or await it and close it yourself.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``. All that a name
    stands for is tried in turn, within ``timeout`` seconds together (``None``: as long as it
    takes). ``token`` is the secret by which the server knows this client. With ``keepalive`` each
    side notices when the other one is gone without a word. ``tls`` is for ``tls://``; without it
    the server's certificate is verified with the system's authorities, for the host of the address
    or for ``server_hostname``. ``insecure`` allows a token over ``tcp://`` beyond this machine.

    Raises AddressError for a malformed address, and for one where others could read the token,
    ContentError for a token that cannot be written, ConnectError, with every reason, when no
    connection can be made, and ConnectionClosedError with code ``unauthorized`` when the token is
    refused.

        async with telex.asyncio.connect("tcp://127.0.0.1:7766") as connection:
            await connection.send("one way", subject="log")
    """

    async def start() -> Connection:
        wanted = meant_by(address)
        if token is not None and not insecure:
            check_is_safe_for_tokens(wanted)
        kept = limits or Limits()
        loop = asyncio.get_running_loop()
        deadline = moment_in(timeout)
        greeting = Greeting(_AGENT, token=token, keepalive=keepalive)
        check_room(greeting, kept)
        # What cannot be said is raised here: a protocol of asyncio cannot raise to anybody.
        Conversation(kept, greeting, serves=False, now=time.monotonic())
        links: list[Link] = []

        def make_link(channel: Channel) -> Link:
            links.append(Link(loop, channel, kept, greeting))
            return links[-1]

        await Dialing(wanted, kept, tls, server_hostname).open(make_link, deadline)
        link = links[-1]
        try:
            if not await link.be_welcomed(deadline):
                raise ConnectError(str(wanted), f"no welcome came within {timeout:g} s")
        except BaseException:
            link.channel.abort()
            raise
        return Connection(link, wanted)

    return Opening(start())


class Connection:
    """A connection to a server, for all tasks of one event loop; made by ``connect()``.

    As a context manager it closes at the end, and waits for the peer to have read everything. As an
    asynchronous iterator it gives the messages that come, and ends when the peer ends the
    connection. A task that is cancelled while it waits takes no message with it.
    """

    def __init__(self, link: Link, address: Address) -> None:
        self.address: Final = address
        """What was connected to."""
        self.peer_address: Final = link.channel.peer_name
        """Where the peer actually is, such as ``127.0.0.1:7766``."""
        self._link: Final = link
        self._conversation: Final = link.conversation

    def __repr__(self) -> str:
        return f"<telex.asyncio.Connection to {self.address}, {self._conversation.phase.value}>"

    @property
    def ending(self) -> ConnectionClosedError | None:
        """Why the connection has ended; None while it goes on, or when it was closed here."""
        return self._link.ending

    async def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message, or content with the keywords of ``Message``.

        Waits while the peer does not take what was sent before; cancelled then, it sends nothing.
        That the peer has read it is known when ``close()`` returns. Raises ConnectionClosedError
        when the connection has ended, with the reason that the peer gave; ContentError and
        TooLargeError for a message that cannot be sent.
        """
        message = message_from(content, keywords)
        link, conversation = self._link, self._conversation
        channel = link.channel
        # ``must_wait`` and ``check_open``, written out: calls are a tenth of what sending costs.
        if channel.is_backed_up or conversation.bytes_to_send >= BATCH_SIZE:
            await link.room()
        if link.ending is not None or link.is_closing:
            raise link.closed_error()
        conversation.send(message)
        if not channel.is_flush_due:
            channel.flush_soon()

    async def send_many(self, messages: Iterable[object] | AsyncIterable[object]) -> None:
        """Send messages, or contents, from an iterable of either sort, many with each write.

        When the iterable raises, or something in it cannot be sent, what came before it is sent.
        Raises what ``send`` raises.
        """
        if hasattr(messages, "__aiter__"):
            async for item in messages:
                await self.send(item)
            return
        link = self._link
        items = iter(messages)
        has_more = True
        while has_more:
            if link.must_wait:
                await link.room()
            link.check_open()
            batch: list[Message] = []
            try:
                has_more = self._conversation.fill(batch, items)
            finally:
                if link.ending is None and not link.is_closing:  # else the next check tells
                    self._conversation.send_many(batch)
                    link.channel.flush_soon()

    async def request(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Message:
        """Send a request, and return its answer, waiting at most ``timeout`` seconds for it.

        Many requests can be under way at once, from many tasks. Raises RemoteError when the peer
        answers with an error, RequestTimeoutError, ConnectionClosedError when the connection ends
        before the answer is here, and what ``send`` raises. Cancelled or timed out, it forgets the
        request, and the answer is dropped when it comes.

            reply = await connection.request("you", subject="greet", timeout=2)
        """
        message = message_from(content, keywords)
        link = self._link
        deadline = None if timeout is None else moment_in(timeout)
        if link.must_wait and not await link.room(deadline):
            raise late(message.subject, timeout)
        link.check_open()
        call = self._conversation.request(message)
        link.channel.flush_soon()
        if not await progress_of(call, link, deadline):
            raise late(call.subject, timeout)
        return answer_of(call, link)

    def request_many(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        *,
        timeout: float | None = None,
        most: int = 256,
    ) -> AsyncGenerator[Message | TelexError, None]:
        """Send requests, messages or contents from an iterable of either sort; give their answers.

        Answers are given in the order of the requests, of which at most ``most`` are under way at
        a time, many with each write. An answer may take ``timeout`` seconds. What goes wrong with
        one request is given in the place of its answer, and the next ones are answered all the
        same: RemoteError, RequestTimeoutError, ContentError for an answer in several parts, and
        ConnectionClosedError. Raises what the iterable raises, ContentError for what cannot be
        sent, and ConnectionClosedError when not all could be: when all that was sent has been
        answered.

            async for answer in connection.request_many(["ada", "bob"]):
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
        while too many parts wait; other answers that come after those are waited for a little
        longer, and then raise RequestTimeoutError.

            async for part in connection.request_parts("2026", subject="orders.list"):
                print(part.content)
        """
        return Parts(self._link, message_from(content, keywords), timeout)

    async def ping(self, timeout: float | None = 10.0) -> float:
        """Ask the peer for a sign of life; return how long that took, in seconds.

        Raises RequestTimeoutError and ConnectionClosedError.
        """
        link = self._link
        link.check_open()
        begin = time.perf_counter()
        call = self._conversation.ping()
        link.channel.flush()
        if not await progress_of(call, link, moment_in(timeout)):
            raise RequestTimeoutError("the answer to a ping", timeout or 0.0)
        link.raise_error_of(call)
        return time.perf_counter() - begin

    async def receive(self, timeout: float | None = None) -> Message:
        """Return the next message, waiting for it at most ``timeout`` seconds; 0 does not wait.

        Answers to requests are not among these messages. Raises WaitTimeoutError when none comes in
        time, and ConnectionClosedError when the connection has ended.
        """
        link = self._link
        if not link.inbox.messages:
            deadline = moment_in(timeout)
            while not link.inbox.messages:
                link.check_open()
                if not await link.arrivals.wait(deadline):
                    raise WaitTimeoutError("a message", timeout or 0.0)
        return link.take_message()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        link = self._link
        while not link.inbox.messages:
            if link.is_closing or (link.ending is not None and link.ended_well):
                raise StopAsyncIteration
            if link.ending is not None:
                raise link.closed_error()
            await link.arrivals.wait()
        return link.take_message()

    async def close(self, timeout: float = 10.0) -> None:
        """Send what is unsent, wait until the peer has read all and ends too, and close.

        Messages that come meanwhile are dropped, but not an error that the peer tells: it is
        raised, as ConnectionClosedError, and so is a connection that breaks. ``timeout`` is for
        everything together, in seconds: raises WaitTimeoutError when the peer has not ended by
        then, so that it may not have read all, unless it may be at work on what was given up.
        Harmless when repeated. Cancelled, it closes at once.
        """
        link = self._link
        if link.is_closing:
            await link.gone(moment_in(timeout))
            return
        link.note_closing()
        try:
            if not link.channel.is_lost:
                await self._finish(timeout)
        finally:
            link.channel.abort()
        if link.problem is not None:
            raise link.problem
        if link.ending is not None and not link.ended_well and not link.was_told:
            raise link.closed_error()

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
        elif isinstance(exception, Exception):
            await self._close_after(exception)
        else:
            self._link.note_closing()
            self._link.channel.abort()

    async def _finish(self, timeout: float) -> None:
        """Send what is unsent, say that nothing follows, and wait until the peer ends too."""
        link = self._link
        channel = link.channel
        deadline = moment_in(timeout)
        conversation = self._conversation
        # The peer may be at work for long on what this side no longer waits for.
        has_given_up = conversation.outstanding + conversation.abandoned > 0
        conversation.close("closed", "all is done")
        channel.flush()
        channel.end_output()
        if has_given_up and not await link.gone(moment_in(min(timeout, _SHORT_PATIENCE))):
            channel.look_at_output()
            deadline = deadline if channel.unsent else moment_in(0)
        if await link.gone(deadline):
            return
        channel.look_at_output()
        if channel.unsent:
            reason = f"the peer did not read on for {timeout:g} s"
            raise ConnectionClosedError("us", reason, unsent=channel.unsent)
        if not has_given_up:
            raise WaitTimeoutError(NO_END, timeout)

    async def _close_after(self, exception: Exception) -> None:
        """Close while an exception is on its way to the caller, which matters more."""
        try:
            await self.close(_SHORT_PATIENCE)
        except TelexError as error:
            name = type(exception).__name__
            logger.warning("%s: %s, after a %s", self.peer_address, error, name)
