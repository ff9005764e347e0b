"""A connection as asyncio has it: bytes in, one write a batch out, and whether that is stuck.

It moves bytes between a transport and a conversation, through TLS where that is wanted, and tells
the one who uses it what happened. What messages mean, and when a connection should end, is not
decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import weakref
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from telex.asyncio.waiting import Waiters
from telex.errors import ConnectionClosedError
from telex.network.os_errors import what_was_cut
from telex.network.resolver import name_of
from telex.network.sockets import user_at_other_end
from telex.security.encryption import begins_tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.conversation.conversation import Conversation
    from telex.limits import Limits
    from telex.security.encryption import Encryption
    from telex.wire.message import Message

RECEIVE_SIZE: Final = 256 * 1024
"""Bytes taken from a socket at once."""

_PIECE: Final = 64 * 1024
"""Bytes handled at a time. Memory for more than that comes from the system anew each time."""

_SAMPLE: Final = 4 * 1024
"""Bytes that a transport is given, and may copy, so that it tells when the network takes more."""

_MOST_BYTES: Final = 1024 * 1024 * 1024
"""Bytes given to the network at once; macOS refuses 2 GiB and more."""

_MOST_PIECES: Final = 512
"""Pieces given to the network at once; the system takes no more than 1,024 (``IOV_MAX``)."""

_buffers: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview]] = (
    weakref.WeakKeyDictionary()
)
"""One for each event loop: what is received is taken out before anybody else receives."""


class User(Protocol):
    """Whom a channel tells what happens; none of this may raise."""

    @property
    def conversation(self) -> Conversation:
        """Where the bytes belong."""

    def opened(self) -> None:
        """Be told that the connection is there; with TLS nothing is sent before the handshake."""

    def shook_hands(self) -> None:
        """Be told that TLS is agreed on."""

    def received(self, messages: list[Message], size: int) -> None:
        """Be told that ``size`` bytes came, and which messages for the application with them."""

    def input_ended(self) -> None:
        """Be told that the peer's stream has ended; the conversation knows already."""

    def writable(self) -> None:
        """Be told that output moves again."""

    def lost(self, error: Exception | None) -> None:
        """Be told that the connection is gone, and why, if it was not closed here."""


class Channel(asyncio.BufferedProtocol):
    """One connection; ``make_user`` is called with it as soon as it is there.

    With ``encryption`` it speaks TLS, on the side that ``is_server`` tells.
    """

    __slots__ = (
        "_buffer",
        "_conversation",
        "_encryption",
        "_handshake",
        "_high_water",
        "_is_close_due",
        "_is_output_ended",
        "_is_server",
        "_is_stuck",
        "_loop",
        "_make_user",
        "_pending",
        "_pending_size",
        "_transport",
        "_unsent",
        "_user",
        "is_backed_up",
        "is_flush_due",
        "is_input_ended",
        "is_lost",
        "is_reading",
    )

    _transport: asyncio.Transport
    _conversation: Conversation
    _user: User

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        make_user: Callable[[Channel], User],
        encryption: Encryption | None = None,
        *,
        is_server: bool = False,
    ) -> None:
        self._loop: Final = loop
        self._high_water: Final = limits.high_water
        self._make_user = make_user
        self._encryption = encryption
        self._is_server: Final = is_server
        self._handshake: Final = Waiters(loop)
        self._buffer: Final = _buffer_of(loop)
        # What the transport was not given yet, because the network does not take what it has.
        self._pending: Final[deque[bytes | memoryview]] = deque()
        self._pending_size = 0
        self._is_stuck = False
        self._is_output_ended = False
        self._is_close_due = False
        self._unsent = 0
        self.is_backed_up: bool = False
        """Whether more output waits for the network than should be added to."""
        self.is_flush_due: bool = False
        """Whether all there is will be sent in this turn of the loop."""
        self.is_input_ended: bool = False
        """Whether the peer's stream has ended."""
        self.is_lost: bool = False
        """Whether the connection is gone."""
        self.is_reading: bool = True

    @property
    def peer_name(self) -> str:
        """Where the peer is, as people write it."""
        return name_of(self._transport.get_extra_info("peername"))

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The peer's certificate, if it showed one and it was verified."""
        return None if self._encryption is None else self._encryption.certificate

    @property
    def user_id(self) -> int | None:
        """The user that the peer runs as, if it is at the other end of a Unix socket."""
        return user_at_other_end(self._transport.get_extra_info("socket"))

    @property
    def is_shaking_hands(self) -> bool:
        """Whether nothing can be sent yet, because TLS is not agreed on."""
        encryption = self._encryption
        return encryption is not None and not encryption.is_established and not encryption.error

    @property
    def error(self) -> ConnectionClosedError | None:
        """What broke TLS."""
        return None if self._encryption is None else self._encryption.error

    @property
    def unsent(self) -> int:
        """Bytes that were not given to the network when that was last looked at."""
        return self._unsent + self._conversation.bytes_to_send

    @property
    def is_closing(self) -> bool:
        """Whether it is being closed here."""
        return self._is_close_due or self._transport.is_closing()

    # What the user does

    def flush_soon(self) -> None:
        """Send all there is when those who are ready now have added theirs."""
        if not self.is_flush_due:
            self.is_flush_due = True
            self._loop.call_soon(self.flush)

    async def shake_hands(self) -> None:
        """Wait until TLS is agreed on; raises OSError when it is not."""
        while self.is_shaking_hands:
            if self.is_input_ended or self.is_lost:
                raise ssl.SSLEOFError(0, "it ended the connection instead of agreeing on TLS")
            await self._handshake.wait()
        if self.error is not None:
            raise self.error.__cause__ or self.error

    def flush(self) -> None:
        """Give all that the conversation has to the transport."""
        self.is_flush_due = False
        conversation = self._conversation
        size = conversation.bytes_to_send
        if self._encryption is not None:
            pieces = self._encrypted(self._encryption)
            size = sum(map(len, pieces))
        elif size:
            pieces = conversation.data_to_send()
        if not size or self.is_lost or self._is_output_ended or self._transport.is_closing():
            return
        if size <= _PIECE and len(pieces) == 1 and not self._is_stuck:
            self._transport.write(pieces[0])
        else:
            self._pending.extend(pieces)
            self._pending_size += size
            self._push()
        self._count_unsent()
        if self._unsent > self._high_water:
            self.is_backed_up = True

    def look_at_output(self) -> None:
        """Look how much has gone since the last write."""
        if self._unsent and not self.is_lost:
            self._count_unsent()

    def read(self, wanted: bool) -> None:
        """Read on, or leave what comes to wait in the network."""
        if wanted is self.is_reading or self.is_input_ended or self.is_closing:
            return
        self.is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def end_output(self) -> None:
        """Tell the peer that nothing follows, when all has gone; it can still be listened to."""
        if self._is_output_ended or self.is_lost or self._transport.is_closing():
            return
        if self._encryption is not None and self._encryption.end():
            self.flush()
        self._is_output_ended = True
        self._end_when_sent()

    def close(self) -> None:
        """Close the connection when all has gone; nothing more is received."""
        self.end_output()
        self._is_close_due = True
        self._end_when_sent()

    def abort(self) -> None:
        """Close the connection at once."""
        self.look_at_output()
        self._unsent = self.unsent
        self._pending.clear()
        self._conversation.data_to_send()
        self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection that is there."""
        self._transport = cast("asyncio.Transport", transport)  # not by inheritance, on uvloop
        self._transport.set_write_buffer_limits(high=0)
        self._user = self._make_user(self)
        del self._make_user
        self._conversation = self._user.conversation
        if self._encryption is not None and not self._is_server:
            self._encryption.begin()
            self.flush()
        self._user.opened()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to receive."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come, and tell what it completes."""
        if self._encryption is not None:
            self._receive_encrypted(self._encryption, self._buffer[:nbytes])
            return
        begin = 0
        while begin < nbytes:
            begin += self._receive(self._buffer[begin:nbytes])

    def eof_received(self) -> bool:
        """Take note that the peer sends no more; return whether it can still be sent to."""
        if not self.is_input_ended:
            self.is_input_ended = True
            error = self._error_at_end_of_stream()
            if error is None:
                self._conversation.receive_eof()
                self._user.input_ended()
            else:
                cut = what_was_cut(self._conversation.processor)
                self._conversation.lose(error.reason + cut)
                self.abort()
            self._handshake.wake()
        return True

    def pause_writing(self) -> None:
        """Take note that the network does not take more for now."""
        self._is_stuck = True

    def resume_writing(self) -> None:
        """Go on sending, now that the network has taken all that the transport had."""
        self._is_stuck = False
        if self.is_lost:
            return
        self._push()
        self._count_unsent()
        self._end_when_sent()
        if self.is_backed_up and self._unsent <= self._high_water // 2:
            self.is_backed_up = False
            self._user.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        if isinstance(exc, OSError):
            self._receive_rest()
        self.is_lost = True
        self.is_backed_up = False
        self._user.lost(exc)
        self._handshake.wake()
        # Else each would keep the other, and all that they hold, until the garbage is collected.
        del self._user

    def _error_at_end_of_stream(self) -> ConnectionClosedError | None:
        """Return what is wrong with an end that the peer has not said within TLS, if anything is.

        A peer that has said close need not say so again, and what could follow when a server has
        ended is ignored anyway.
        """
        conversation = self._conversation
        if self._encryption is None or conversation.farewell is not None or conversation.is_over:
            return None
        if self._is_server and self._is_output_ended:
            return None
        return self._encryption.error_at_end_of_stream()

    def _receive_rest(self) -> None:
        """Take what had come before sending failed; asyncio forgets it, and the reason with it.

        Where the loop has closed the socket already, there is no more to take.
        """
        sock = self._transport.get_extra_info("socket")
        if self.is_input_ended or sock is None or sock.fileno() < 0:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as rest:
            rest.setblocking(False)
            while size := rest.recv_into(self._buffer):
                self.buffer_updated(size)

    def _receive(self, data: memoryview) -> int:
        """Take the first part of what has come, and tell what it completes; return its size.

        What belongs to long content is copied to where it belongs. A loop may hold its buffer while
        it calls, so that this cannot be the content's own. The rest is looked at after that was
        told, so that the next content takes the memory of this one.
        """
        conversation = self._conversation
        content = conversation.content_buffer(least=1)
        if content is None:
            data = data[:_PIECE]
            messages = conversation.receive_data(bytes(data))
        else:
            with content:
                data = data[: len(content)]
                content[: len(data)] = data
            messages = conversation.content_received(len(data))
        self._user.received(messages, len(data))
        return len(data)

    def _receive_encrypted(self, encryption: Encryption, data: memoryview) -> None:
        """Take what has come with TLS around it."""
        conversation = self._conversation
        messages: list[Message] = []
        if self._is_server and not encryption.has_begun and not begins_tls(data):
            self._encryption = None
            reason = "the client does not speak TLS, as this address demands; right would be tls://"
            conversation.fail(ConnectionClosedError("us", reason, code="bad-message"))
        else:
            was_shaking_hands = self.is_shaking_hands
            said = encryption.receive(data)
            if was_shaking_hands and encryption.is_established:
                self._user.shook_hands()
            if said:
                messages = conversation.receive_data(said)
            if encryption.error is not None:
                conversation.lose(encryption.error.reason)
        self._user.received(messages, len(data))
        self._handshake.wake()
        if encryption.has_ended:
            self.eof_received()

    def _encrypted(self, encryption: Encryption) -> list[bytes]:
        """Return what is to be sent, with TLS around it."""
        pieces: list[bytes] = []
        if not self.is_shaking_hands and self._conversation.bytes_to_send:
            said = self._conversation.data_to_send()
            if encryption.error is None:
                pieces = encryption.encrypt(said)
        of_tls = encryption.data_to_send()
        if of_tls:
            pieces.append(of_tls)
        return pieces

    def _push(self) -> None:
        """Give the network all that it takes now, and the transport a little of the rest."""
        pending, transport = self._pending, self._transport
        while pending and not self._is_stuck and not transport.is_closing():
            if not transport.get_write_buffer_size():
                self._send_pending()
            if pending:
                first = memoryview(pending[0])
                transport.write(first[:_SAMPLE])
                self._forget_sent(min(len(first), _SAMPLE))

    def _send_pending(self) -> None:
        """Send from where it is, without a copy; what fails here fails in the transport too."""
        pieces = list(islice(self._pending, _MOST_PIECES))
        if self._pending_size > _MOST_BYTES:
            pieces = [memoryview(pieces[0])[:_MOST_BYTES]]
        with contextlib.suppress(OSError):
            sent = os.writev(self._transport.get_extra_info("socket").fileno(), pieces)
            self._forget_sent(sent)

    def _forget_sent(self, size: int) -> None:
        """Forget the first ``size`` bytes of what the transport was not given."""
        pending = self._pending
        self._pending_size -= size
        while pending and size >= len(pending[0]):
            size -= len(pending.popleft())
        if size:
            pending[0] = memoryview(pending[0])[size:]

    def _count_unsent(self) -> None:
        self._unsent = self._transport.get_write_buffer_size() + self._pending_size

    def _end_when_sent(self) -> None:
        """End the output, or all of it, as soon as the transport has everything."""
        if self._pending or self._transport.is_closing():
            return
        if self._is_close_due:
            self._transport.close()
        elif self._is_output_ended:
            with contextlib.suppress(OSError):  # the peer is gone, which the transport will notice
                self._transport.write_eof()


def _buffer_of(loop: asyncio.AbstractEventLoop) -> memoryview:
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(RECEIVE_SIZE))
    return buffer
