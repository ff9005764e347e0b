"""The shared tests of requests, with the third front-end."""

from __future__ import annotations

from tests.behaviour.test_requests import *  # noqa: F403
