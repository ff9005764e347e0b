"""The shared tests of messages, with the third front-end."""

from __future__ import annotations

from tests.behaviour.test_messages import *  # noqa: F403

del test_an_address_that_is_none_is_told_what_is_right  # noqa: F821 - of dialling
