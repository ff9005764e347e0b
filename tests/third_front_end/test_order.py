"""The shared tests of order, with the third front-end."""

from __future__ import annotations

from tests.behaviour.test_order import *  # noqa: F403
