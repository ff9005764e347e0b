"""The client's end of a connection, shared by all threads that use it; none of them is its own.

Whoever waits does the work: one of the waiting threads, the leader, waits at the socket, receives
and sends for all, and wakes those who have what they wait for. When it leaves, the next one leads.
The lock is held for everything but waiting, so the bytes of two messages never mix. How bytes move
is the channel's, what has come of them is kept by the reception, and what users call is
``client``'s.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final, TypeVar

from telex.conversation.conversation import Conversation, Greeting, Phase
from telex.errors import ConnectionClosedError
from telex.sync.channel import Channel
from telex.sync.ending import Ending
from telex.sync.follower import Follower
from telex.sync.reception import Reception
from telex.sync.wakeup import Wakeup
from telex.sync.watch import RECEIVE, SEND, Watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from telex.conversation.conversation import Call
    from telex.limits import Limits
    from telex.security.encryption import Encryption
    from telex.wire.message import Message

    Said = TypeVar("Said")

STALL_SECONDS: Final = 5.0
"""How long nothing is read because nobody takes what has come, before it is said aloud."""

_SWEEP_SECONDS: Final = 0.25
"""How often a connection that is kept alive is held to its times."""

_SHORT_PATIENCE: Final = 1.0
"""Seconds that a peer is waited for at the end when it may still be at work."""

_NOBODY: Final = 0

_OUR_GOODBYE: Final = ("closed", "close() was called")


class Link:
    """What happens to a connection, whoever waits for it.

    ``early`` is what came while TLS was agreed on, and belongs to the conversation.
    """

    def __init__(
        self,
        sock: socket.socket,
        limits: Limits,
        greeting: Greeting,
        encryption: Encryption | None = None,
        early: bytes = b"",
    ) -> None:
        self.conversation: Final = Conversation(
            limits, greeting, serves=False, now=time.monotonic()
        )
        self.conversation.wants_keepalive = greeting.keepalive
        self.is_released: bool = False
        """Whether nothing is left of the connection."""
        self.ending: Final = Ending(self.conversation)
        """How it has ended."""
        self.reception: Final = Reception(self.conversation, self.ending)
        """What has come and was not taken, and whether this side has closed."""
        self._channel: Final = Channel(sock, self.conversation, self.reception, encryption, early)
        # Reentrant for the sake of signal handlers: they find out by _is_busy where they are.
        self._lock: Final = threading.RLock()
        # Set while bytes are on their way between socket and messages: signals may come there too.
        self._is_busy = False
        self._wakeup: Final = Wakeup()
        self._watch: Final = Watch(sock, self._wakeup)
        self._leader = _NOBODY
        self._leader_is_ready: Callable[[], object] = bool
        self._to_do: Final[deque[Callable[[], object]]] = deque()
        self._followers: Final[deque[Follower]] = deque()
        self._is_kept_alive: Final = greeting.keepalive
        self._is_starved = False
        self._looked_at = time.monotonic()

    # What threads do

    def say(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something, and send as much of all there is as goes at once.

        Raises ConnectionClosedError, and what the conversation raises.
        """
        try:
            with self._lock:
                said = self._add(how, arguments)
                channel, output = self._channel, self._channel.output
                had_output = output.size
                channel.transmit()
                self._is_busy = False
                if had_output or output.size or channel.is_gone:
                    self._tell_others()
                return said
        finally:
            if self._is_busy:
                self._wakeup.wake()

    def gather(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something, to be sent together with what is said later."""
        try:
            with self._lock:
                said = self._add(how, arguments)
                self._is_busy = False
                return said
        finally:
            if self._is_busy:
                self._wakeup.wake()

    def send_some(self, most: int | None = None) -> int:
        """Send at most so many bytes of what was gathered; return how many are left."""
        try:
            with self._lock:
                self.check_usable()
                self._is_busy = True
                self._channel.transmit(most)
                self._is_busy = False
                self._tell_others()
                return self._channel.output.size
        finally:
            if self._is_busy:
                self._wakeup.wake()

    def flush(self) -> None:
        """Wait until all that was said was given to the network, or raise ConnectionClosedError.

        What other threads say meanwhile is not waited for.
        """
        with self._lock:
            left = self.send_some()
            mark = self._channel.output.sent + left
        if left:
            self.wait_to_send(mark)

    def wait_to_send(self, mark: int | None = None) -> None:
        """Wait until some more bytes have gone, or as many in all as ``mark`` says.

        Where nothing is left, other threads have sent it meanwhile.
        """
        output = self._channel.output
        goal = output.sent + 1 if mark is None else mark
        self.wait(lambda: output.sent >= goal or not output.size or not self.is_open)
        if output.sent < goal:
            self.check_open()

    def look_for_end(self) -> None:
        """Take what has come, in case it is an end; raises ConnectionClosedError if it is."""
        with self._lock:
            self.check_open()
            if not self._leader and self.reception.has_room():
                self._exchange(RECEIVE)
                self.check_open()

    def wait(self, is_ready: Callable[[], object], deadline: float | None = None) -> bool:
        """Wait until ``is_ready()``, and do meanwhile what is to be done at the socket.

        Returns False when ``deadline`` comes first, or the connection is gone. Whatever is raised
        here, by signals at any point, leaves the lead to the next one.
        """
        me = get_ident()
        channel, watch = self._channel, self._watch
        previous = _NOBODY
        follower: Follower | None = None
        leads = has_waited = False
        ready = 0
        try:
            while True:
                with self._lock:
                    if ready and not self._is_busy:
                        self._exchange(ready)
                    while self._to_do and not self._is_busy:
                        self._to_do.popleft()()
                    if is_ready():
                        return True
                    if channel.is_gone or self._is_busy or (has_waited and _has_passed(deadline)):
                        return False
                    if not leads and follower is None and self._leader:
                        # Who leaves hands over without the lock: be seen first, then look again.
                        follower = Follower(is_ready)
                        self._followers.append(follower)
                    if not leads and (not self._leader or self._leader == me):
                        previous = self._leader
                        leads, self._leader = True, me
                        self._leader_is_ready = is_ready
                        if previous:  # a signal handler, called while this thread leads
                            watch = Watch(channel.socket, self._wakeup)
                    if leads:
                        watch.look_for(self._events())
                    elif channel.output.size and not watch.events & SEND:
                        self._wakeup.wake()
                has_waited = True
                if leads:
                    ready = self._stand_watch(watch, deadline)
                elif follower is not None:
                    follower.wait(deadline)
        finally:
            # Nothing is called before what matters here is done, so no signal can keep it off.
            try:
                if follower is not None:
                    self._followers.remove(follower)
            except ValueError:
                pass
            finally:
                if leads:
                    self._leader = previous
                if not self._leader:
                    for next_leader in self._followers:
                        next_leader.tokens.put(None)
                        break
            if self.is_released:
                self._close_sockets()

    def take_message(self) -> Message | None:
        """Take the next message out of the inbox; None when there is none."""
        try:
            message = self.reception.inbox.messages.popleft()
        except IndexError:
            return None
        if self._is_starved:
            self.hold_parts(0)
        return message

    def hold_parts(self, size: int) -> None:
        """Take note of ``size`` bytes of parts that came to be taken; negative when they were."""
        with self._lock:
            self.reception.unread_parts += size
            if self._is_starved and self.reception.has_room():
                self._is_starved = False
                self._wakeup.wake()

    def abandon(self, call: Call) -> None:
        """Stop waiting for an answer, except in a signal handler that is called at a bad time."""
        with self._lock:
            if not self._is_busy:
                self._is_busy = True
                self.conversation.abandon(call)
                self._is_busy = False

    def give_up(self, call: Call, parts: deque[Message]) -> None:
        """Want no more of an answer in parts, and drop those that came."""
        with self._lock:
            if not call.is_done:
                self.abandon(call)
            size = sum([part.memory_size for part in parts])
            parts.clear()
            self.hold_parts(-size)

    def do_later(self, what: Callable[[], object]) -> None:
        """Have something done by the next thread that waits; may be called at any moment at all."""
        self._to_do.append(what)
        self._wakeup.wake()

    def finish(self, deadline: float | None) -> bool:
        """Send what is unsent, say that nothing follows, and wait until the peer ends too.

        Returns whether it did before ``deadline``, or had ended before, or need not: a peer that
        may be at work for long on what this side no longer waits for is not waited for longer than
        it takes to send everything, and a moment.
        """
        channel, conversation = self._channel, self.conversation
        with self._lock:
            self.reception.is_closing = True
            if self._is_busy or not self.is_open:
                self.reception.drop()
                return True
            self._is_busy = True
            self.reception.drop()
            has_given_up = conversation.outstanding + conversation.abandoned > 0
            conversation.close(*_OUR_GOODBYE)
            channel.end_output()
            channel.transmit()
            self._is_busy = False
            self._tell_others()
        if has_given_up:
            soon = time.monotonic() + _SHORT_PATIENCE
            self.wait(lambda: channel.is_gone, soon if deadline is None else min(soon, deadline))
        if not has_given_up or channel.output.size:
            self.wait(lambda: channel.is_gone, deadline)
        with self._lock:
            self.ending.unsent = channel.output.size
            return channel.is_gone or self._is_busy or (has_given_up and not channel.output.size)

    def release(self) -> None:
        """Close the connection at once; whoever waits is told."""
        with self._lock:
            self.reception.is_closing = True
            if not self._is_busy:
                self.reception.drop()
                self.conversation.close(*_OUR_GOODBYE)
            self._channel.abort()
            self.is_released = True
            self._tell_others()
            self._close_sockets()

    # How things stand

    @property
    def is_open(self) -> bool:
        """Whether more may be said."""
        phase = self.conversation.phase
        return phase is Phase.OPEN or phase is Phase.GREETING

    @property
    def is_alive(self) -> bool:
        """Whether more may come."""
        return self.is_open and not self._channel.is_gone and not self._is_interrupted

    @property
    def has_more(self) -> bool:
        """Whether a message is here to be taken, or more may come."""
        with self._lock:  # an end may come in one piece with messages that are not here yet
            return bool(self.reception.inbox.messages) or self.is_alive

    @property
    def ended_well(self) -> bool:
        """Whether the peer ended as it should, with nothing lost."""
        with self._lock:
            return self.ending.is_good and not self._is_busy

    @property
    def _is_interrupted(self) -> bool:
        """Whether bytes were left half-way, and not by another thread that just goes on.

        An exception of a signal handler has done it before, or this is a signal handler that was
        called in the midst.
        """
        with self._lock:
            return self._is_busy

    def check_open(self) -> None:
        """Raise ConnectionClosedError when nothing more may be said."""
        if self._is_interrupted or not self.is_open:
            raise self.closed_error()

    def check_usable(self) -> None:
        """Raise ConnectionClosedError when nothing can be sent or received any more."""
        if self._channel.is_gone or self._is_interrupted:
            raise self.closed_error()

    def closed_error(self) -> ConnectionClosedError:
        """Return the error that says why the connection has ended, which is then known."""
        with self._lock:
            if self._is_busy:
                return self.ending.interrupted_error(self._channel.output.size)
            return self.ending.closed_error()

    def raise_error_of(self, call: Call) -> None:
        """Raise the error with which a call has ended, if it has."""
        error = call.error
        if isinstance(error, ConnectionClosedError):
            with self._lock:  # calls end before all is known that the error is to say
                self.ending.tell(error)
        if error is not None:
            raise error.with_traceback(None)

    def unseen_error(self) -> ConnectionClosedError | None:
        """Return what nobody was told yet, and somebody should be told when all is over."""
        with self._lock:
            if self._is_busy:
                return self.closed_error()
            return self.ending.unseen_error(is_gone=self._channel.is_gone)

    # What is done under the lock

    def _add(self, how: Callable[..., Said], arguments: Iterable[object]) -> Said:
        """Have the conversation say something; from then on bytes are on their way."""
        if self._is_busy or self.conversation.phase is not Phase.OPEN:
            self.check_open()
        self._is_busy = True
        try:
            return how(*arguments)
        except Exception:
            self._is_busy = False  # what cannot be written raises before anything of it is
            raise

    def _events(self) -> int:
        """Return what the leader is to wait for."""
        self._is_starved = True  # first: who takes a message while it is looked at says so
        self._is_starved = not self.reception.has_room()
        events = 0 if self._is_starved else RECEIVE
        return events | SEND if self._channel.output.size else events

    def _exchange(self, ready: int) -> None:
        """Receive and send what can be, and wake those who have what they wait for."""
        channel = self._channel
        self._is_busy = True
        if ready & RECEIVE:
            channel.receive()
        if ready & SEND or self.conversation.bytes_to_send or channel.is_end_due:
            channel.transmit()
        self._is_busy = False
        if self._followers:
            self._wake_followers()

    # Whom to wake

    def _wake_followers(self) -> None:
        """Wake those who need not wait any more."""
        is_over = self._channel.is_gone or self._is_busy
        for follower in tuple(self._followers):  # those who leave do not take the lock
            if is_over or follower.is_ready():
                follower.tokens.put(None)

    def _tell_others(self) -> None:
        """Wake those who need not wait any more, and a leader that should look again."""
        self._wake_followers()
        if self._leader and (
            self._channel.is_gone
            or (self._channel.output.size and not self._watch.events & SEND)
            or self._leader_is_ready()
        ):
            self._wakeup.wake()

    def _stand_watch(self, watch: Watch, deadline: float | None) -> int:
        """Wait at the socket; return for what it is ready, if it is."""
        if not self._is_kept_alive and not self._is_starved:
            return watch.wait(deadline)
        soon = time.monotonic() + (_SWEEP_SECONDS if self._is_kept_alive else STALL_SECONDS)
        ready = watch.wait(soon if deadline is None else min(soon, deadline))
        if not ready and self._is_starved:
            with self._lock:
                self.reception.complain_of_stall()
        if self._is_kept_alive:
            self._check_time()
        return ready

    def _check_time(self) -> None:
        """Hold the peer to its times, but not for a time in which nobody was here to listen."""
        with self._lock:
            if self._is_busy or self._channel.is_gone:
                return
            self._is_busy = True
            now = time.monotonic()
            was_here = now - self._looked_at < 4 * _SWEEP_SECONDS and not self._is_starved
            self._looked_at = now
            self._channel.check_time(now, is_reading=was_here)
            self._is_busy = False

    def _close_sockets(self) -> None:
        """Give the sockets back, unless somebody still waits at them and will do it."""
        with self._lock:
            if not self._leader:
                self._channel.close()
                self._wakeup.close()


def _has_passed(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
