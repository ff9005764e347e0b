"""The faults of a network, as numbers; the proxy applies them to bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The faults of a network: sizes in bytes, times in seconds, probabilities from 0 to 1.

    By default there are no faults, and bytes pass unchanged.

    >>> Weather(largest_piece=100, delay_chance=0.1, longest_delay=0.02).stall_chance
    0.0
    >>> Weather(stall_chance=2)
    Traceback (most recent call last):
    ValueError: stall_chance must be from 0 to 1, not 2
    """

    largest_piece: int | None = None
    """The largest size of a piece; short pieces are as likely as long ones. None cuts nothing."""
    delay_chance: float = 0.0
    """The probability that a piece is delayed."""
    longest_delay: float = 0.0
    """The longest delay of a piece."""
    stall_chance: float = 0.0
    """The probability that this direction stalls: nothing passes for ``stall`` seconds."""
    stall: float = 0.0
    """The duration of a stall."""
    reset_every: int | None = None
    """A connection is reset after about this many bytes have passed in one of its directions."""

    def __post_init__(self) -> None:
        for name in ("largest_piece", "reset_every"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")
        for name in ("delay_chance", "stall_chance"):
            chance = getattr(self, name)
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {chance}")
        for name in ("longest_delay", "stall"):
            seconds = getattr(self, name)
            if not seconds >= 0:
                raise ValueError(f"{name} must be at least 0 seconds, not {seconds}")

    def piece_size(self, available: int, random_numbers: random.Random) -> int:
        """Return the size of the next piece; 1, 2, 4, 8 bytes and so on are equally likely."""
        if self.largest_piece is None:
            return available
        return min(available, int(self.largest_piece ** random_numbers.random()))

    def pause(self, random_numbers: random.Random) -> float:
        """Return the delay of the next piece in seconds."""
        chance = random_numbers.random()
        if chance < self.stall_chance:
            return self.stall
        if chance < self.stall_chance + self.delay_chance:
            return random_numbers.uniform(0, self.longest_delay)
        return 0.0

    def bytes_until_reset(self, random_numbers: random.Random) -> float:
        """Return the number of bytes that may pass before the connection is reset."""
        if self.reset_every is None:
            return float("inf")
        return random_numbers.expovariate(1 / self.reset_every)
