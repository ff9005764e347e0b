"""The layer of one connection at work: what comes is unwrapped, what is sent is wrapped.

It moves bytes between the layer, the conversation and the output, and tells the others what the
layer has noticed. What a layer does to the bytes is the layer's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.connection.closing import Closing
from telex.connection.layer import Layer
from telex.connection.output import Output
from telex.conversation.conversation import Conversation
from telex.errors import ConnectionClosedError

if TYPE_CHECKING:
    from mypy_extensions import i64

MOST_WRAPPED: Final = 64 * 1024
"""Bytes that are wrapped ahead of the network; what is wrapped cannot be taken back. A batch that
is longer goes alone."""


class Wrapping:
    """Wraps and unwraps the bytes of one connection."""

    __slots__ = ("_closing", "_conversation", "_layer", "_output")

    def __init__(
        self, layer: Layer, conversation: Conversation, closing: Closing, output: Output
    ) -> None:
        self._layer: Final = layer
        self._conversation: Final = conversation
        self._closing: Final = closing
        self._output: Final = output

    @property
    def is_established(self) -> bool:
        """Whether the two sides have agreed on the layer."""
        return self._layer.is_established

    @property
    def is_broken(self) -> bool:
        """Whether nothing of what comes can be read any more."""
        return self._layer.error is not None

    @property
    def is_useless(self) -> bool:
        """Whether nothing can be sent through the layer any more."""
        if self.is_broken:
            return True
        # Without the peer, the two sides never agree.
        return not self._layer.is_established and self._closing.input_ended

    @property
    def mismatch(self) -> str:
        """What would be right where the peer's first bytes are not the layer's; else empty."""
        return self._layer.mismatch

    @property
    def error_at_eof(self) -> ConnectionClosedError | None:
        """What is wrong when the network's stream ends now; None when nothing is."""
        return self._layer.error_at_eof()

    def unwrap(self, data: bytes | memoryview) -> bytes:
        """Return the conversation's bytes in those that came from the network."""
        layer, conversation = self._layer, self._conversation
        was_established = layer.is_established
        said = layer.receive(data)
        if layer.is_established and not was_established:
            conversation.identity = layer.identity or conversation.identity
        return said

    def end_if_due(self) -> None:
        """Tell the others where the layer is broken, or the peer has announced its end."""
        layer = self._layer
        if layer.error is not None:
            self._closing.ending.break_with(layer.error, explains=True)
            self._closing.ending.end_conversation()
        elif layer.has_ended:
            self._closing.end_input()

    def wrap(self) -> None:
        """Move what the conversation and the layer have to send to the output."""
        layer, output, closing = self._layer, self._output, self._closing
        if layer.error is not None:
            output.lose_unwrapped()  # no layer is left to carry it
            if self._conversation.bytes_to_send:
                output.lose(self._conversation.data_to_send())
        elif layer.is_established:
            size: i64 = self._conversation.bytes_to_send
            if size and output.size:
                output.hold(self._conversation.data_to_send())
            elif size:
                self._wrap(self._conversation.data_to_send(), size)
            if output.unwrapped:
                size = output.unwrapped
                pieces = output.take_unwrapped(MOST_WRAPPED)
                if pieces:
                    self._wrap(pieces, size - output.unwrapped)
            if closing.is_last_said and not (output.unwrapped or self.is_broken):
                layer.end()
        of_layer = layer.data_to_send()
        # Where it cannot be sent, it is no message that anybody would miss.
        if of_layer and not (closing.output_ended or closing.output_lost):
            output.add_wrapped([of_layer], 0)

    def _wrap(self, pieces: list[bytes], size: i64) -> None:
        """Move pieces of so many bytes through the layer to the output."""
        output = self._output
        records = self._layer.encode(pieces)
        if self.is_broken:
            output.lose(pieces)
            output.lose_unwrapped()
            self.end_if_due()
        else:
            output.add_wrapped(records, size)
