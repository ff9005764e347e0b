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

LONG = ("tests/soak/", "tests/test_docs.py", "tests/test_without_posix.py")
"""Where the tests are that take longest, many of them in processes of their own."""

# A shell has what it starts in the background ignore Ctrl-C; the tests press it all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: one worker does it, and the others do the rest meanwhile."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
