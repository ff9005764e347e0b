"""The shared tests of endings, with the third front-end."""

from __future__ import annotations

from tests.behaviour.test_endings import *  # noqa: F403

# Of listening, of dialling, and of the life of a server.
del test_nobody_is_let_in_after_the_end  # noqa: F821
del test_connecting_to_nobody_fails  # noqa: F821
del test_hooks_are_called_at_both_ends  # noqa: F821
