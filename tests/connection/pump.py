"""Two connections in memory, the network between them, and a clock that tests move.

An ``End`` does what a driver does, a turn at a time; a ``Way`` is one direction of the network,
which cuts, delays, loses, ends and resets. Nothing here waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from telex import Application, ConnectionClosedError, Limits, Message
from telex.application.run import Run
from telex.connection.connection import Connection
from telex.connection.ending import Ending
from telex.connection.layer import Layer
from telex.conversation.calls import Call
from telex.conversation.greeting import Greeting
from telex.server.registry import Registry

RESET = ConnectionClosedError("peer", "it reset the connection")
GONE = ConnectionClosedError("peer", "it receives no more")


class Way:
    """One direction of the network: what is on its way, in order, and what became of the rest."""

    def __init__(self, room: int) -> None:
        self.room = room
        """Bytes that are taken from the sender before the receiver has taken some of them."""
        self.data = bytearray()
        self.has_ended = False
        """Whether the end of the stream follows."""
        self.is_reset = False
        """Whether a reset follows, and bytes that are sent meet one."""
        self.is_silent = False
        """Whether everything gets lost without a word."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be delivered."""
        return self.is_silent or not (self.data or self.has_ended or self.is_reset)


class End:
    """One end: its connection, and what a driver and a program do with it."""

    peer: End

    def __init__(self, pair: Pair, connection: Connection, way: Way) -> None:
        self.pair = pair
        self.connection = connection
        self.way = way
        self.conversation = connection.conversation
        self.received: list[Message] = []
        """What the program of this end has taken."""
        self.takes = True
        """Whether the program takes at once what comes."""
        self.uses_buffer = True
        """Whether long content is received into its place."""
        self.ending: Ending | None = None

    # What a driver does

    def turn(self, size: int = 1 << 20) -> None:
        """Receive up to ``size`` bytes, and do what follows: a driver's turn."""
        if self.ending is None:
            self._receive(size)
            self.work()

    def work(self) -> None:
        """Take what has come, send, and close when everything is done."""
        if self.ending is not None:
            return
        self.take_what_came()
        self.transmit()
        if self.connection.is_finished:
            self.transmit()
            self.finish()

    def look_at_clock(self) -> None:
        """Do what is due."""
        if self.ending is None and self.connection.next_deadline <= self.pair.now:
            self.connection.handle_deadline(self.pair.now)
            due = self.connection.next_deadline
            assert due > self.pair.now or self.connection.is_finished, "a driver would spin"
            self.work()

    def transmit(self) -> None:
        """Hand to the network what it takes, and end the output where that is due."""
        connection, way = self.connection, self.way
        while pieces := connection.data_to_send():
            if way.is_reset:
                connection.output_lost(GONE, self.pair.now)
                return
            offered = b"".join(pieces)
            data = offered if way.is_silent else offered[: max(0, way.room - len(way.data))]
            if not way.is_silent:
                way.data += data
            if data:
                connection.data_sent(len(data))
            if len(data) < len(offered):
                return
        if connection.wants_to_end_output:
            way.has_ended = True
            connection.output_ended(self.pair.now)

    def finish(self) -> None:
        """Close the socket: what was not received resets the connection."""
        if self.ending is not None:
            return
        self.ending = self.connection.finish()
        way, back = self.way, self.peer.way
        if back.data and not back.is_silent:
            way.data.clear()  # a reset may overtake what is on its way
            way.is_reset = True
        way.has_ended = True
        back.is_reset = True
        back.data.clear()

    def _receive(self, size: int) -> None:
        """Have the network bring up to ``size`` bytes, or what came instead of bytes."""
        connection, way, now = self.connection, self.peer.way, self.pair.now
        if way.is_silent or not connection.wants_to_read:
            return
        if way.data:
            # With a least size of one byte every content is received into its place.
            buffer = connection.content_buffer(1) if self.uses_buffer else None
            data = bytes(way.data[: size if buffer is None else min(size, len(buffer))])
            del way.data[: len(data)]
            if buffer is None:
                messages = connection.receive_data(data, now)
            else:
                buffer[: len(data)] = data
                buffer.release()
                messages = connection.content_received(len(data), now)
            self.came(len(data), messages)
        elif way.is_reset:
            connection.lost(RESET, now)
        elif way.has_ended:
            connection.receive_eof(now)

    # What a program does

    def came(self, size: int, messages: list[Message]) -> None:
        """Keep what ``size`` bytes have completed."""
        if messages:
            self.connection.unread.add(messages)

    def take_what_came(self) -> None:
        """Take all messages that wait, unless the program does not."""
        while self.takes and self.connection.unread.count:
            self.received.append(self.connection.unread.take())

    @property
    def contents(self) -> list[Any]:
        """The contents of what was taken."""
        return [message.content for message in self.received]

    def request(self, content: object = b"", **fields: Any) -> Call:
        """Ask for something, and take whatever comes of it."""
        call = self.conversation.request(Message(content, **fields))
        call.keeps_parts = True
        return call


class Served(End):
    """A server's end: a dispatcher gives its messages to handlers.

    Handlers that take their time are in ``runs`` until a test lets them go on.
    """

    limits: Limits
    user_id: int | None = None

    def __init__(
        self, pair: Pair, connection: Connection, way: Way, application: Application, limits: Limits
    ) -> None:
        super().__init__(pair, connection, way)
        self.limits = limits
        self.runs: list[Run] = []
        self.sent_messages: list[Message] = []
        registry = Registry(application, limits, Greeting("server"), None, None, None)
        self.dispatcher = registry.dispatcher(connection, self, "client", self.runs.append)
        self.told = self.dispatcher.peer

    def came(self, size: int, messages: list[Message]) -> None:
        """Have handlers called."""
        self.dispatcher.received(size, messages)

    def take_what_came(self) -> None:
        """Go on with what the dispatcher holds, where there is room."""
        if self.dispatcher.can_advance:
            self.transmit()
            self.dispatcher.advance()

    def work(self) -> None:
        """Send, and go on with what waited for room."""
        if self.ending is None and self.connection.closing.is_refused:
            self.dispatcher.close()
        while self.ending is None:
            before = self.connection.said
            super().work()
            if self.connection.said == before or not self.dispatcher.can_advance:
                return

    def finish(self) -> None:
        """Forget what waits, and close the socket."""
        if self.ending is None:
            self.dispatcher.close()
            super().finish()

    # Driver of a peer

    def is_own_thread(self) -> bool:
        """There is one thread only."""
        return True

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Call at once."""
        function(*arguments)

    def flush(self) -> None:
        """Give the network what it takes now."""
        self.transmit()

    def flush_soon(self) -> None:
        """Do it with the next turn."""

    def refuse(self, code: str, why: str) -> None:
        """Refuse the peer."""
        self.connection.refuse(code, why, self.pair.now)

    def sent(self, message: Message) -> None:
        """Remember what was sent without being asked for."""
        self.sent_messages.append(message)


Layers = tuple[Layer | None, Layer | None]


class Pair:
    """A client's end and a server's, joined by a network that does what the test wants."""

    def __init__(
        self,
        application: Application | None = None,
        *,
        limits: Limits | None = None,
        client_limits: Limits | None = None,
        layers: Layers = (None, None),
        client_greeting: Greeting | None = None,
        server_greeting: Greeting | None = None,
        room: int = 1 << 20,
    ) -> None:
        limits = limits or Limits()
        self.now = 1_000.0
        client = Connection(
            client_limits or limits,
            client_greeting or Greeting("client"),
            serves=False,
            now=self.now,
            layer=layers[0],
        )
        server = Connection(
            limits,
            server_greeting or Greeting("server"),
            serves=True,
            now=self.now,
            layer=layers[1],
        )
        self.client = End(self, client, Way(room))
        self.server: End
        if application is None:
            self.server = End(self, server, Way(room))
        else:
            self.server = Served(self, server, Way(room), application, limits)
        self.client.peer = self.server
        self.server.peer = self.client

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends."""
        return self.client, self.server

    @property
    def is_over(self) -> bool:
        """Whether both ends have closed."""
        return all(end.ending is not None for end in self.ends)

    def settle(self, size: int = 1 << 20) -> None:
        """Let both ends take turns of ``size`` bytes until nothing moves any more."""
        before = None
        while before != (before := self._position()):
            for end in self.ends:
                end.turn(size)

    def wait(self, seconds: float, size: int = 1 << 20) -> None:
        """Let time pass, in the steps that the ends ask for; nothing that is sent gets stuck."""
        until = self.now + seconds
        while True:
            self.settle(size)
            open_ends = [end for end in self.ends if end.ending is None]
            due = min([end.connection.next_deadline for end in open_ends], default=math.inf)
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            for end in open_ends:
                end.look_at_clock()

    def _position(self) -> tuple[object, ...]:
        """Return something that changes whenever anything moves."""
        return tuple(
            (
                end.ending is None,
                end.connection.sent,
                end.connection.unsent,
                end.conversation.processor.bytes_received,
                end.conversation.phase,
                len(end.way.data),
                end.way.has_ended,
                end.connection.wants_to_read,
                len(end.received),
            )
            for end in self.ends
        )
