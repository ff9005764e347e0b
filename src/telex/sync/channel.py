"""The client's connection as bytes: a socket, TLS where that is wanted, and a conversation.

It receives, sends and ends, and tells its user what came of that. It knows no thread and no lock:
that one thread at a time calls, and when, is the link's part. What messages mean, and when a
connection should end, is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from telex.conversation.conversation import Phase
from telex.errors import ConnectionClosedError
from telex.network.os_errors import what_was_cut
from telex.sync.output import Output
from telex.sync.transport import end_sending, receive, receive_into

if TYPE_CHECKING:
    import socket

    from telex.conversation.conversation import Conversation
    from telex.security.encryption import Encryption
    from telex.wire.message import Message


class User(Protocol):
    """Whom a channel tells what happens; none of this may raise."""

    def received(self, messages: list[Message]) -> None:
        """Be told which messages for the application have come."""

    def ended(self, unsent: int, cause: BaseException | None) -> None:
        """Be told, each time that it may have changed, how the conversation ends.

        So many bytes had not gone by then. The cause is what broke the connection, if that is
        how it ends.
        """


class Channel:
    """One connection, over TLS if there is an ``encryption``, which has been agreed on.

    ``early`` is what came while that was agreed on, and belongs to the conversation.
    """

    def __init__(
        self,
        sock: socket.socket,
        conversation: Conversation,
        user: User,
        encryption: Encryption | None = None,
        early: bytes = b"",
    ) -> None:
        self.socket: Final = sock
        self.output: Final = Output()
        self.is_end_due: bool = False
        """Whether the output is to be ended as soon as all of it has gone."""
        self.is_gone: bool = False
        """Whether nothing more can come or go."""
        self._conversation: Final = conversation
        self._user: Final = user
        self._encryption: Final = encryption
        self._is_output_ended = False
        self._reset: ConnectionClosedError | None = None
        if early:
            self._take(conversation.receive_data(early))

    # What the link does

    def receive(self) -> bool:
        """Take what has come, if anything has; return whether more may come."""
        conversation, encryption = self._conversation, self._encryption
        buffer = conversation.content_buffer() if encryption is None else None
        try:
            if buffer is not None:
                return self._receive_content(buffer)
            data = receive(self.socket)
        except ConnectionClosedError as error:
            self._lose(error)
            return False
        if data is None:
            return False
        if encryption is not None:
            self._decrypt(encryption, data)
        elif data:
            self._take(conversation.receive_data(data))
        else:
            self._end_input()
        return not self.is_gone

    def transmit(self, at_most: int | None = None) -> None:
        """Send what the socket takes now, of what the conversation has and of what was left before.

        When that fails, why may have come, and is received.
        """
        output = self.output
        pieces = self._conversation.data_to_send()
        if self._encryption is not None:
            pieces = self._encrypted(self._encryption, pieces)
        if pieces or output.size:
            try:
                if at_most is None:
                    output.send(self.socket, pieces)
                else:
                    output.extend(pieces)
                    output.send_to(self.socket, at_most)
            except ConnectionClosedError as error:
                self._receive_rest(error)
        if self.is_end_due and not output.size:
            self.is_end_due = False
            self._is_output_ended = True
            end_sending(self.socket)

    def end_output(self) -> None:
        """Tell the peer that nothing follows, with the next bytes or when the last have gone.

        What the peer sends can still be received.
        """
        self.is_end_due = not self._is_output_ended

    def check_time(self, now: float, *, is_reading: bool) -> None:
        """Have the conversation hold the peer to its times, and send what it says about them."""
        self._conversation.check_time(now, is_reading=is_reading)
        self._note_ending()
        self.transmit()

    def abort(self) -> None:
        """Drop what is unsent: nothing more comes or goes. The socket is given back later."""
        self.is_gone = True
        self.output.discard()

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()

    # What comes

    def _receive_content(self, buffer: memoryview) -> bool:
        """Take what has come of long content straight to where it belongs; else as ``receive``."""
        with buffer:
            size = receive_into(self.socket, buffer)
        if size is None:
            return False
        if size:
            self._take(self._conversation.content_received(size))
        else:
            self._end_input()
        return not self.is_gone

    def _receive_rest(self, error: ConnectionClosedError) -> None:
        """Take all that came before sending failed; it may say why."""
        if isinstance(error.__cause__, ConnectionResetError):
            self._reset = error
        while self.receive():
            pass
        self._lose(error)

    def _decrypt(self, encryption: Encryption, received: bytes) -> None:
        """Take what has come, as far as it can be read by now."""
        data = encryption.receive(received)
        if data:
            self._take(self._conversation.receive_data(data))
        if encryption.error is not None:
            self._lose(encryption.error)
        elif not received:
            self._end_stream(encryption)
        elif encryption.has_ended:
            self._end_input()

    def _take(self, messages: list[Message]) -> None:
        """Hand on what the bytes have completed, and notice whether they were the last."""
        if messages:
            self._user.received(messages)
        if self._conversation.phase is not Phase.OPEN:
            self._note_ending()

    # How it ends

    def _end_stream(self, encryption: Encryption) -> None:
        """Take note of an end that is good only if the peer has said it, in one way or another."""
        error = encryption.error_at_end_of_stream()
        if error is None or self._conversation.farewell is not None:
            self._end_input()
        else:
            self._lose(error)

    def _end_input(self) -> None:
        """Take note that the peer's stream has ended."""
        if self._reset is not None:  # the system tells of it once, and of an end from then on
            self._lose(self._reset)
            return
        self._conversation.receive_eof()
        self.is_gone = True
        self._note_ending()

    def _lose(self, error: ConnectionClosedError) -> None:
        """Take note that the connection is broken."""
        conversation = self._conversation
        cause = None
        if not conversation.is_over:
            cause = error.__cause__
            conversation.lose(error.reason + what_was_cut(conversation.processor))
        self.is_gone = True
        self._note_ending(cause)

    def _note_ending(self, cause: BaseException | None = None) -> None:
        """Where the conversation ends, tell the user; what that still says is the last to go."""
        phase = self._conversation.phase
        if phase is not Phase.OPEN and phase is not Phase.GREETING:
            self._user.ended(self.output.size, cause)
            self.end_output()

    # What goes

    def _encrypted(self, encryption: Encryption, pieces: list[bytes]) -> list[bytes]:
        """Return what is to be sent, as the network is to see it."""
        encrypted = encryption.encrypt(pieces) if pieces else []
        if self.is_end_due:
            encryption.end()
        last = encryption.data_to_send()
        return [*encrypted, last] if last else encrypted
