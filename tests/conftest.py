"""Settings that every test file shares."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# Helpers that assert on a test's behalf explain themselves as tests do.
pytest.register_assert_rewrite("tests.framing", "tests.reference")

# No deadline: how long an example takes says more about the machine than about the code. Under CI
# the examples are the same in every run; at a desk they are new each time.
settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("desk"), derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if "CI" in os.environ else "desk")

ONE_BY_ONE = "tests/soak/"
"""Where each test keeps the processors busy: they are not for several workers at the same time."""

LONG = ("tests/test_without_posix.py", "tests/behaviour/test_slow_peers.py", "tests/test_docs.py")
"""Where the tests are that take longest; they come first, so that no worker ends with one."""

# A shell has what it starts in the background ignore Ctrl-C; the tests press it all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal tests to the workers of pytest-xdist, each of which begins with so many in a row.

    Every worker has its part of the long ones, and of those that wait.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        rest = [item for item in items if not item.nodeid.startswith(ONE_BY_ONE)]
        rest.sort(key=lambda item: not item.nodeid.startswith(LONG))
        items[:] = [item for item in items if item.nodeid.startswith(ONE_BY_ONE)]
        items += [item for first in range(workers) for item in rest[first::workers]]
