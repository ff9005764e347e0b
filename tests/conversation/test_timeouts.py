"""Timeouts: what a peer is held to while it sends, to the sweep."""

from __future__ import annotations

import pytest

from telex import Limits, Message, MessageProcessor
from telex.conversation.timeouts import Timeouts

CONTENT = Message(b"x" * 100_000).to_bytes()
HEADER_SIZE = len(CONTENT) - 100_000


class Peer:
    """A peer that sends, and whose timeouts are checked four times a second."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.processor = MessageProcessor(limits)
        self.timeouts = Timeouts(self.processor, limits or Limits(), 0.0)
        self.now = 0.0

    def send(self, data: bytes, *, seconds: float = 0.0) -> str | None:
        """Send bytes evenly over a time; return what was said against it, and stop there."""
        ticks = max(1, round(seconds * 4))
        for tick in range(ticks):
            if seconds:
                self.now += 0.25
            start, end = (len(data) * place // ticks for place in (tick, tick + 1))
            self.processor.receive_messages(data[start:end])
            if too_long := self.timeouts.with_message(self.now):
                return too_long.waiting_for
        return None


def test_a_header_has_its_time_from_the_first_byte_on() -> None:
    """However many bytes of it come, and however slowly, it must be whole in time."""
    peer = Peer()
    assert peer.send(CONTENT[: HEADER_SIZE - 1], seconds=10.0) is None
    assert peer.send(b"", seconds=0.5) == "the rest of a header block"
    assert peer.now == 10.25


def test_each_message_has_its_own_time() -> None:
    """A peer that sends one small message after the other is not late."""
    peer = Peer()
    small = Message("x").to_bytes()
    for _ in range(10):
        assert peer.send(small + small[:5], seconds=4) is None
        assert peer.send(small[5:], seconds=4) is None


def test_between_messages_there_is_no_hurry() -> None:
    """Only a message that has begun must go on."""
    peer = Peer()
    assert peer.send(Message("x").to_bytes()) is None
    assert peer.send(b"", seconds=100) is None
    assert peer.send(b"\x00", seconds=0.25) is None
    assert peer.send(b"", seconds=9.75) is None


def test_content_that_comes_fast_enough_may_take_as_long_as_it_takes() -> None:
    """100,000 bytes at 1,250 a second are no offence."""
    peer = Peer()
    assert peer.send(CONTENT[:HEADER_SIZE], seconds=9) is None
    assert peer.send(CONTENT[HEADER_SIZE:], seconds=80) is None


def test_content_that_comes_too_slowly_times_out() -> None:
    """At 1,000 bytes a second the first ten seconds are enough to see it."""
    peer = Peer()
    peer.send(CONTENT[:HEADER_SIZE])
    assert peer.send(CONTENT[HEADER_SIZE:], seconds=100) == "content at 1,024 bytes a second"
    assert peer.now == 10.0


def test_content_that_stalls_times_out_however_fast_it_was() -> None:
    """The rate is taken anew every ten seconds."""
    peer = Peer()
    assert peer.send(CONTENT[:90_000], seconds=9) is None
    assert peer.send(b"", seconds=30) == "content at 1,024 bytes a second"
    assert peer.now <= 20.5


def test_without_a_rate_content_may_stall() -> None:
    """A limit of 0 is none."""
    peer = Peer(Limits(min_rate=0))
    assert peer.send(CONTENT[:-1]) is None
    assert peer.send(b"", seconds=60) is None


def test_what_is_not_read_is_not_counted() -> None:
    """The time begins anew when reading goes on."""
    peer = Peer()
    peer.send(b"\x00", seconds=0.25)
    peer.now = 9.0
    peer.timeouts.start_over(peer.now)
    assert peer.send(b"", seconds=10) is None
    assert peer.send(b"", seconds=0.5) == "the rest of a header block"


def test_whoever_waits_for_an_answer_is_not_idle() -> None:
    """The time of silence begins with the answer."""
    peer = Peer(Limits(idle_timeout=5))
    timeouts = peer.timeouts
    assert timeouts.with_silence(4.0, is_working=True) is None
    assert timeouts.with_silence(100.0, is_working=True) is None
    assert timeouts.with_silence(100.2, is_working=False) is None
    assert timeouts.with_silence(105.1, is_working=False) is None
    too_long = timeouts.with_silence(105.2, is_working=False)
    assert str(too_long) == "timed out after 5 s waiting for any message"


def test_an_answer_is_not_held_against_who_waited_for_it() -> None:
    """A server that was held up looks late: its peer was answered since, and has its time."""
    peer = Peer(Limits(idle_timeout=5))
    timeouts = peer.timeouts
    assert timeouts.with_silence(4.0, is_working=True) is None
    assert timeouts.with_silence(60.0, is_working=False) is None
    assert timeouts.with_silence(64.9, is_working=False) is None
    assert timeouts.with_silence(65.0, is_working=False) is not None


def test_a_single_byte_ends_silence() -> None:
    """Idle is who sends nothing at all."""
    peer = Peer(Limits(idle_timeout=5))
    assert peer.timeouts.with_silence(4.0, is_working=False) is None
    peer.send(b"\x00")
    assert peer.timeouts.with_silence(8.9, is_working=False) is None
    assert peer.timeouts.with_silence(13.8, is_working=False) is None
    assert peer.timeouts.with_silence(13.9, is_working=False) is not None


def test_one_ping_at_a_time_is_wanted() -> None:
    """A ping is due after silence, not again before its answer, and again after more silence."""
    peer = Peer()
    timeouts = peer.timeouts
    assert [timeouts.must_ping(now) for now in (19.9, 20.0, 30.0)] == [False, True, False]
    assert timeouts.with_silence(39.9, is_working=True) is None
    peer.send(b"\x00")
    assert timeouts.with_silence(40.0, is_working=True) is None
    assert [timeouts.must_ping(now) for now in (59.9, 60.0)] == [False, True]
    too_long = timeouts.with_silence(80.0, is_working=True)
    assert str(too_long) == "timed out after 20 s waiting for the answer to a ping"


@pytest.mark.parametrize(
    ("limits", "is_watched", "longest"),
    [
        (Limits(), True, 40),
        (Limits(idle_timeout=5), False, 5),
        (Limits(idle_timeout=5), True, 5),
        (Limits(idle_timeout=50), True, 40),
    ],
)
def test_who_takes_nothing_is_silent_too(limits: Limits, is_watched: bool, longest: float) -> None:
    """A peer must take some of what waits within the time that it may be silent."""
    timeouts = Peer(limits).timeouts
    for now, sent in ((0.0, 0), (4.0, 1), (8.0, 6), (8.0 + longest - 0.1, 6)):
        assert timeouts.with_output(now, sent, is_watched=is_watched) is None
    too_long = timeouts.with_output(8.0 + longest, 6, is_watched=is_watched)
    assert (
        str(too_long)
        == f"timed out after {longest:g} s waiting for the peer to take what it is sent"
    )


def test_who_may_be_silent_for_ever_may_take_its_time() -> None:
    """Without keepalive and a limit on idleness, only the output is limited."""
    timeouts = Peer().timeouts
    for now in (0.0, 1e6):
        assert timeouts.with_output(now, 0, is_watched=False) is None


def test_the_time_to_take_output_begins_when_it_waits() -> None:
    """Neither when nothing waits, nor while the peer is read from, does it run."""
    timeouts = Peer(Limits(idle_timeout=5)).timeouts
    assert timeouts.with_output(0.0, 0, is_watched=False) is None
    assert timeouts.with_output(4.0, -1, is_watched=False) is None
    assert timeouts.with_output(8.0, 0, is_watched=False) is None
    assert timeouts.with_message(9.0) is None
    assert timeouts.with_output(14.0, 0, is_watched=False) is None
    assert timeouts.with_output(19.0, 0, is_watched=False) is not None


def test_who_takes_something_is_not_silent_however_much_is_added() -> None:
    """What counts is what was taken, and not whether less waits than before."""
    timeouts = Peer(Limits(idle_timeout=5)).timeouts
    for now in range(20):
        assert timeouts.with_output(float(now), 1_000 * now, is_watched=False) is None


@pytest.mark.parametrize(("now", "is_late"), [(4.9, False), (5.0, True)])
def test_a_hello_has_its_time(now: float, is_late: bool) -> None:
    """It is counted from the beginning of the connection."""
    timeouts = Peer(Limits(handshake_timeout=5)).timeouts
    assert (timeouts.with_hello(now) is not None) == is_late


def overdue(
    timeouts: Timeouts,
    now: float,
    *,
    awaits_hello: bool = False,
    is_reading: bool = True,
    sent: int = 0,
    is_watched: bool = False,
    is_speaking: bool = True,
    has_ended: bool = False,
    is_working: bool = False,
) -> str | None:
    """Return what a peer takes too long for; output waits, and it may be silent for 5 s."""
    error = timeouts.overdue(
        now,
        awaits_hello=awaits_hello,
        is_reading=is_reading,
        sent=sent,
        is_unsent=True,
        is_watched=is_watched,
        is_speaking=is_speaking,
        has_ended=has_ended,
        is_working=is_working,
    )
    return None if error is None else error.waiting_for


def test_a_peer_that_is_read_from_has_to_send() -> None:
    """A message that has begun must go on; a peer that has said its last may be silent."""
    peer = Peer(Limits(idle_timeout=5))
    assert overdue(peer.timeouts, 5.0) == "any message"
    assert overdue(peer.timeouts, 5.0, is_speaking=False) is None
    peer.processor.receive_messages(b"\x00")
    assert overdue(peer.timeouts, 5.0) is None
    assert overdue(peer.timeouts, 15.0) == "the rest of a header block"


def test_a_peer_that_is_not_read_from_has_to_take_output() -> None:
    """Neither its silence nor a message that has begun is held against it."""
    peer = Peer(Limits(idle_timeout=5))
    peer.processor.receive_messages(b"\x00")
    assert overdue(peer.timeouts, 4.0, is_reading=False) is None
    assert overdue(peer.timeouts, 8.9, is_reading=False) is None
    assert overdue(peer.timeouts, 9.0, is_reading=False) == "the peer to take what it is sent"
    assert overdue(peer.timeouts, 9.0) is None


@pytest.mark.parametrize("is_reading", [True, False])
def test_an_awaited_hello_has_its_time_in_any_case(is_reading: bool) -> None:
    """Whether the peer is read from or not."""
    timeouts = Peer(Limits(handshake_timeout=5)).timeouts
    assert overdue(timeouts, 4.9, awaits_hello=True, is_reading=is_reading) is None
    assert overdue(timeouts, 5.0, awaits_hello=True, is_reading=is_reading) == "hello"


def test_who_takes_nothing_does_not_wait_for_an_answer() -> None:
    """A peer that waits for an answer is not idle as long as it takes what it is sent."""
    timeouts = Peer(Limits(idle_timeout=5)).timeouts
    for now in range(20):
        assert overdue(timeouts, float(now), sent=now, is_working=True) is None
    for now in range(20, 25):
        assert overdue(timeouts, float(now), sent=19, is_working=True) is None
    assert overdue(timeouts, 25.0, sent=19, is_working=True) == "any message"


@pytest.mark.parametrize(
    ("limits", "is_watched", "longest"),
    [
        (Limits(idle_timeout=5), False, 5.0),
        (Limits(ping_interval=2, ping_timeout=1), True, 3.0),
    ],
)
def test_to_who_has_ended_its_input_something_must_be_sent(
    limits: Limits, is_watched: bool, longest: float
) -> None:
    """The time begins with the end, and again with whatever the network takes."""
    timeouts = Peer(limits).timeouts
    late = "an answer for a peer that has ended its input"

    def look(now: float, sent: int) -> str | None:
        return overdue(
            timeouts, now, sent=sent, is_watched=is_watched, has_ended=True, is_working=True
        )

    assert look(100.0, 7) is None
    assert look(99.9 + longest, 8) is None
    assert look(99.8 + 2 * longest, 8) is None
    assert look(99.9 + 2 * longest, 8) == late


def test_a_ping_to_who_has_ended_its_input_is_nothing_sent() -> None:
    """It is repeated, because the network tells only at the second that nobody is there."""
    timeouts = Peer(Limits(ping_interval=2, ping_timeout=2)).timeouts
    pings = 0
    for quarter in range(16):
        now = quarter / 4
        assert overdue(timeouts, now, sent=pings, is_watched=True, has_ended=True) is None
        pings += timeouts.must_ping(now)
    assert pings == 7
    assert overdue(timeouts, 4.0, sent=pings, is_watched=True, has_ended=True) is not None


def test_who_has_ended_its_input_may_wait_for_ever_without_a_limit() -> None:
    """There is none by default for a peer that did not ask for keepalive."""
    timeouts = Peer(Limits()).timeouts
    for now in (0.0, 1_000_000.0):
        assert overdue(timeouts, now, has_ended=True, is_working=True) is None
