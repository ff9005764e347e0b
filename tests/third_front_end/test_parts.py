"""The shared tests of parts, with the third front-end."""

from __future__ import annotations

from tests.behaviour.test_parts import *  # noqa: F403
