"""Attempts to connect: in which order, and when each begins."""

from __future__ import annotations

import math
import socket

import pytest

from telex.client.attempts import DELAY, PAUSE, Attempts
from telex.network.resolver import Endpoint, name_of


def four(number: int) -> Endpoint:
    """Return an endpoint over IPv4."""
    return Endpoint(socket.AF_INET, (f"192.0.2.{number}", 7766))


def six(number: int) -> Endpoint:
    """Return an endpoint over IPv6."""
    return Endpoint(socket.AF_INET6, (f"2001:db8::{number}", 7766, 0, 0))


REFUSED = ConnectionRefusedError()


def test_an_attempt_begins_a_little_after_the_one_before() -> None:
    """Who does not answer costs a quarter of a second, whatever the whole time is (RFC 8305, 5)."""
    attempts = Attempts([four(1), four(2), four(3)])
    assert attempts.begin(100.0) == four(1)
    assert attempts.begin(100.0) is None
    assert attempts.due_at == 100.0 + DELAY
    assert attempts.begin(100.0 + DELAY) == four(2)
    assert attempts.begin(100.0 + 2 * DELAY) == four(3)
    assert attempts.due_at == math.inf
    assert not attempts.is_over


def test_a_failure_brings_the_next_attempt_at_once() -> None:
    """Nobody waits for what has failed; all is over with the last failure, and all are told."""
    attempts = Attempts([four(1), four(2)])
    assert attempts.begin(100.0) == four(1)
    attempts.failed(four(1), REFUSED)
    is_over_too_early = attempts.is_over
    assert not is_over_too_early
    assert attempts.begin(100.0) == four(2)
    attempts.failed(four(2), REFUSED)
    assert attempts.is_over
    assert attempts.failures == {"192.0.2.1:7766": REFUSED, "192.0.2.2:7766": REFUSED}


@pytest.mark.parametrize(
    ("endpoints", "order"),
    [
        ([six(1), six(2), four(1), four(2)], [six(1), four(1), six(2), four(2)]),
        ([four(1), six(1), six(2), six(3)], [four(1), six(1), six(2), six(3)]),
        ([six(1), six(2)], [six(1), six(2)]),
        ([], []),
    ],
)
def test_families_of_addresses_take_turns(endpoints: list[Endpoint], order: list[Endpoint]) -> None:
    """Where one family does not work at all, the other one is next (RFC 8305, 4)."""
    attempts = Attempts(endpoints)
    assert [attempts.begin(100.0 + number) for number in range(len(order))] == order


def test_each_endpoint_has_its_chance_within_a_short_time() -> None:
    """Where there is no time for the usual delays, the attempts begin earlier."""
    attempts = Attempts([four(1), four(2), four(3)], deadline=100.3)
    assert attempts.begin(100.0) == four(1)
    assert attempts.due_at == pytest.approx(100.1)
    assert attempts.begin(100.11) == four(2)
    assert attempts.begin(100.21) == four(3)
    assert attempts.due_at == 100.3


def test_without_any_time_all_begin_at_once() -> None:
    """What connects without waiting is connected to."""
    attempts = Attempts([four(1), four(2)], deadline=100.0)
    assert [attempts.begin(100.0) for _ in range(2)] == [four(1), four(2)]


def test_what_is_under_way_at_the_deadline_has_failed() -> None:
    """Its failure is that it took too long; an earlier failure stays what it was."""
    attempts = Attempts([four(1), four(2), four(3)], deadline=100.9)
    assert attempts.begin(100.0) == four(1)
    attempts.failed(four(1), REFUSED)
    assert attempts.begin(100.0) == four(2)
    attempts.expire()
    assert attempts.is_over
    assert list(attempts.failures) == [name_of(four(number).address) for number in (1, 2, 3)]
    assert [type(error) for error in attempts.failures.values()] == [
        ConnectionRefusedError,
        TimeoutError,
        TimeoutError,
    ]


def test_an_endpoint_without_room_is_attempted_again_in_a_moment() -> None:
    """It is neither left out nor asked without end."""
    attempts = Attempts([four(1)])
    assert attempts.begin(100.0) == four(1)
    attempts.postpone(four(1), 100.0)
    assert attempts.begin(100.0) is None
    assert attempts.due_at == 100.0 + PAUSE
    assert attempts.begin(100.0 + PAUSE) == four(1)


def test_a_handshake_leaves_time_for_the_other_endpoints() -> None:
    """An endpoint that is connected, and does not agree on TLS, must not take all of the time."""
    attempts = Attempts([four(1), four(2), four(3)], deadline=106.0)
    attempts.begin(100.0)
    assert attempts.handshake_deadline(100.0) == 102.0
    attempts.failed(four(1), TimeoutError())
    attempts.begin(102.0)
    assert attempts.handshake_deadline(102.0) == 104.0
    attempts.failed(four(2), TimeoutError())
    attempts.begin(104.0)
    assert attempts.handshake_deadline(104.0) == 106.0
    assert Attempts([four(1)]).handshake_deadline(100.0) is None
