"""How many files a process may have open, of which each connection is one."""

from __future__ import annotations

import resource
from typing import Final

_ENOUGH: Final = 50_000
_OTHERS: Final = 100
"""Files that a process has open beside its connections."""


def most_connections() -> int:
    """Return how many connections a process can have here, once it has asked for all it may."""
    _now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if most == resource.RLIM_INFINITY else most - _OTHERS


def allow_most() -> None:
    """Allow this process as many open files as it may have, as far as benchmarks need them."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if most == resource.RLIM_INFINITY else min(_ENOUGH, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
