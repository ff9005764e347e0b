"""The connections of one server, and everything that they share: limits, memory, threads, shutdown.

Each server has one registry. It refuses connections above the limit, counts and logs connections,
and ends the largest one when memory is short. ``connection`` decides what happens on a connection.
This module moves no bytes, and knows no socket and no clock.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from telex.application.connected_peer import ConnectedPeer, Driver
from telex.application.dispatcher import Dispatcher
from telex.application.notifier import notifier_of, notify
from telex.application.peer import Peer
from telex.connection.connection import Connection
from telex.connection.ending import not_handled
from telex.connection.times import what_stalls
from telex.errors import ConnectionClosedError, TelexError
from telex.log import safe_logger
from telex.security.tls_layer import TlsLayer
from telex.server.threads import Threads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.application.run import Run
    from telex.conversation.greeting import Greeting
    from telex.limits import Limits
    from telex.wire.message import Message

MAX_REFUSED_CONNECTIONS: Final = 256
"""Connections above ``max_connections`` that still get an error with the reason."""

LAST_TURNS: Final = 32
"""Turns of the loop that a server takes before it says goodbye to its peers.

In these turns the server receives what its peers have sent already, and handlers of asyncio go on
that wait for nothing else. A turn receives 64 KiB of a connection, or more: together 2 MiB, more
than a socket of Linux buffers at first (128 KiB, ``tcp_rmem`` in tcp(7)). The number is bounded,
because a peer may go on sending.
"""

MEMORY_STEP: Final = 4096
"""Bytes: connections whose ends free less than this are not ended for that."""

logger: Final = safe_logger("telex.server")


class ServedDriver(Driver, Protocol):
    """A driver of a server: it moves the bytes of one connection, and holds its parts."""

    connection: Connection
    dispatcher: Dispatcher
    bytes_held: int
    """The bytes that the registry counts for this connection."""
    refusal_was_logged: bool

    def turn(self) -> None:
        """Send, go on with held messages, and decide what to wait for."""

    def break_off(self, fault: BaseException) -> None:
        """End this connection for a fault of this server."""


class Registry:
    """The connections of one server, in the thread of that server."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        greeting: Greeting,
        observers: Observer | Iterable[Observer] | None,
        tls: ssl.SSLContext | None,
        max_workers: int | None,
    ) -> None:
        self.application: Final = application
        self.limits: Final = limits
        self.greeting: Final = greeting
        self.notifier: Final = notifier_of(observers)
        self.observes_output: Final = (
            self.notifier is not None and self.notifier.data_sent is not None
        )
        """Whether the driver must call ``tell_of_output`` after sending."""
        self.tls: Final = tls
        self.threads: Final = Threads(max_workers)
        """Threads for handlers that block; each is started when it is needed."""
        self.drivers: Final[set[ServedDriver]] = set()
        """The connections that have not ended yet."""
        self.is_ending: bool = False
        """Whether the server shuts down."""
        self.bytes_held: int = 0
        """Of all connections together."""
        self._to_drain = 0

    # One connection

    def connection(self, now: float) -> Connection:
        """Make the server's end of an accepted connection."""
        layer = None if self.tls is None else TlsLayer(self.tls)
        return Connection(self.limits, self.greeting, serves=True, now=now, layer=layer)

    def dispatcher(
        self,
        connection: Connection,
        driver: Driver,
        address: str,
        run_elsewhere: Callable[[Run], None],
    ) -> Dispatcher:
        """Make the dispatcher of a connection to a peer at ``address``."""
        return Dispatcher(
            self.application,
            connection,
            ConnectedPeer(connection, driver, address),
            run_elsewhere,
            max_pending=self.limits.max_pending,
            notifier=self.notifier,
        )

    def has_room_to_refuse(self, more: int = 0) -> bool:
        """Say whether another connection can be added, even if only to be refused with a reason.

        ``more`` is the number of accepted connections that are not in the registry yet.
        """
        most = self.limits.max_connections + MAX_REFUSED_CONNECTIONS
        return len(self.drivers) + more < most

    def add(self, driver: ServedDriver, now: float) -> None:
        """Add a connection; refuse the connection if there are too many."""
        peer = driver.dispatcher.peer
        logger.debug("connected", peer=peer)
        most = self.limits.max_connections
        is_too_many = len(self.drivers) >= most
        self.drivers.add(driver)
        if self.notifier is not None:
            notify(self.notifier.connected, peer)
        if is_too_many:
            why = f"the server has {most:,} connections, its most"
            driver.connection.refuse("overloaded", why, now)
        elif self.is_ending:
            driver.connection.leave(now)

    def tell_of_output(self, driver: ServedDriver, before: int) -> None:
        """Notify the observers of the bytes sent since ``Connection.said`` was ``before``."""
        said = driver.connection.said - before
        if said and self.notifier is not None:
            notify(self.notifier.data_sent, driver.dispatcher.peer, said)

    def tell_of_message(self, peer: Peer, message: Message) -> None:
        """Notify the observers of a message that is sent without being asked for."""
        if self.notifier is not None:
            notify(self.notifier.message_sent, peer, message)

    def note(self, driver: ServedDriver) -> None:
        """After a turn, count the bytes that a connection holds, and log a refusal once."""
        connection = driver.connection
        is_cut = connection.closing.is_cut
        # Where it is cut off too, the end is logged, with all that is lost by it.
        if connection.closing.is_refused and not (driver.refusal_was_logged or is_cut):
            driver.dispatcher.close()
            ending = connection.ending
            self._log_end(driver, ending.broken or connection.conversation.error, ending.dropped)
        # What a connection holds that was cut off is free at the end of this turn.
        held = connection.bytes_at_work if is_cut else connection.memory_held
        self._account(driver, held)

    def break_off(self, driver: ServedDriver, fault: BaseException, now: float) -> None:
        """Log a fault of this server that a turn has met; the driver then closes.

        A connection that has ended, and whose handler met the fault, changes no more.
        """
        if driver not in self.drivers:
            logger.error("a fault of this server, after a connection has ended", exc_info=fault)
            return
        driver.refusal_was_logged = True
        peer = driver.dispatcher.peer
        logger.error("ended by a fault of this server", peer=peer, exc_info=fault)
        error = ConnectionClosedError("us", "a fault of this server", code="handler-failed")
        driver.connection.lost(error, now)

    def remove(self, driver: ServedDriver) -> None:
        """Let a connection go, whose driver closes; log and tell how it has ended.

        Call it again when a handler is done whose connection has ended before.
        """
        if driver in self.drivers:
            self.drivers.discard(driver)
            self._report_end(driver)
        self._account(driver, driver.connection.bytes_at_work)

    def _report_end(self, driver: ServedDriver) -> None:
        driver.dispatcher.close()
        error = driver.connection.finish().final_error
        peer = driver.dispatcher.peer
        if error is not None and not driver.refusal_was_logged:
            counts = isinstance(error, ConnectionClosedError)  # what was lost, in its own text
            self._log_end(driver, error, 0 if counts else driver.connection.ending.dropped)
        else:
            logger.debug("closed", peer=peer)
        logger.forget(peer)
        if self.notifier is not None:
            notify(self.notifier.disconnected, peer, error)

    def _tell_of_stall(self, driver: ServedDriver, unsent: int) -> None:
        """Log that a peer takes nothing of its output, and notify the observers."""
        peer = driver.dispatcher.peer
        logger.warning("%s", what_stalls(unsent), peer=peer)
        if self.notifier is not None:
            notify(self.notifier.stalled, peer, unsent)

    def _log_end(self, driver: ServedDriver, error: TelexError | None, dropped: int) -> None:
        """Log why a connection ends, and how many messages are not handled for that.

        It is a warning where something was lost or refused, so that somebody may have to act.
        """
        driver.refusal_was_logged = True
        lost = f"; {not_handled(dropped)}" if dropped else ""
        level = logging.WARNING if driver.connection.ending.has_loss else logging.INFO
        logger.log(level, "%s%s", error, lost, peer=driver.dispatcher.peer)

    def _account(self, driver: ServedDriver, held: int) -> None:
        """Count the bytes that a connection holds; over ``max_buffered``, end the largest ones."""
        more = held - driver.bytes_held
        if not more:
            return
        driver.bytes_held = held
        self.bytes_held += more
        while more > 0 and self.bytes_held > self.limits.max_buffered:
            before = self.bytes_held
            largest = max(self.drivers, key=_worth_ending, default=None)
            _, frees, holds = (False, 0, 0) if largest is None else _worth_ending(largest)
            if largest is None or not (frees or holds):
                return  # handlers hold the bytes of connections that have ended
            why = f"the server holds {before:,} bytes, and most of them for this connection"
            largest.refuse("overloaded", why)
            if not frees or self.bytes_held >= before:
                return  # memory is free when its handlers are done

    # All of them

    def handle_deadlines(self, now: float) -> None:
        """Handle passed deadlines; call it every ``LOOK_SECONDS``, after receiving.

        A connection for which that raises an exception is ended; the others are served.
        """
        logger.tell_left_out()
        for driver in list(self.drivers):
            try:
                if driver.connection.next_deadline <= now:
                    driver.connection.handle_deadline(now)
                    if unsent := driver.connection.take_stall():
                        self._tell_of_stall(driver, unsent)
                    driver.turn()
            except KeyboardInterrupt:
                raise
            except BaseException as fault:  # noqa: BLE001 - logged; the other connections are served
                driver.break_off(fault)

    def leave(self, now: float) -> None:
        """Begin to shut down: each connection ends when all that its peer sent is answered."""
        self.is_ending = True
        self._to_drain = len(self.drivers)
        for driver in list(self.drivers):
            driver.connection.leave(now)
            driver.turn()

    def end_threads(self) -> None:
        """Have no more handlers begin in threads; log how many messages are lost by that."""
        if lost := self.threads.shutdown(wait=False):
            logger.warning("shut down: %s", not_handled(lost))

    def cut_off(self, now: float) -> None:
        """End all connections that are left, and log how many they were."""
        left = [driver for driver in self.drivers if driver.connection.closing.is_served]
        unanswered = sum(driver.connection.conversation.unanswered for driver in left)
        unsent = sum(driver.connection.unsent for driver in left)
        reason = ConnectionClosedError("us", "the server was shut down", code="shutting-down")
        for driver in list(self.drivers):
            driver.connection.cut_off(reason, now)
            driver.turn()
        logger.log(
            logging.WARNING if left else logging.INFO,
            "shut down: %d connections drained, %d cut off with %d unanswered requests "
            "and %d unsent bytes",
            max(self._to_drain, len(left)) - len(left),
            len(left),
            unanswered,
            unsent,
        )
        logger.tell_left_out(at_once=True)


def _worth_ending(driver: ServedDriver) -> tuple[bool, int, int]:
    """Return how much it helps to end a connection when memory is short; compare by ``max``.

    Peers that owe a token go first, then those whose end frees most, whether or not they are ending
    already. Where no end frees ``MEMORY_STEP``, the one goes that holds most for its handlers.
    """
    connection = driver.connection
    gain = connection.memory_to_gain
    steps = gain // MEMORY_STEP
    has_ended = connection.closing.is_cut or connection.conversation.is_over
    rest = gain if has_ended else connection.memory_held
    return steps > 0 and not connection.conversation.handshake.is_admitted, steps, rest
