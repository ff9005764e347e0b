"""What disturbs a program from its side: logging filters and observers that raise at random."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Final

from telex import Observer
from tests.soak.application import ON_PURPOSE

_CHANCE: Final = 0.01
"""The probability that a filter or a method of an observer raises."""

_EVENTS: Final = [name for name in vars(Observer) if not name.startswith("_")]


class RaisingFilter(logging.Filter):
    """A logging filter with a fault."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice: Final = dice

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass, or raise."""
        _raise_perhaps(self._dice)
        return True


class RaisingObserver(Observer):
    """An observer with a fault in each of its methods."""

    def __init__(self, dice: random.Random) -> None:
        self._dice: Final = dice


def _raising(name: str) -> Callable[..., None]:
    def method(self: RaisingObserver, *facts: Any) -> None:
        _raise_perhaps(self._dice)

    method.__name__ = name
    return method


for _name in _EVENTS:
    setattr(RaisingObserver, _name, _raising(_name))


def _raise_perhaps(dice: random.Random) -> None:
    if dice.random() < _CHANCE:
        raise RuntimeError(ON_PURPOSE)
