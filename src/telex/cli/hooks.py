"""Turns the failure of a start-up hook into one line, with the place in the user's code."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING

from telex.cli.failure import CommandError, described

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from telex import Application


class StartUpError(CommandError):
    """A start-up hook failed; the text names the hook and the reason."""


def with_explained_hooks(application: Application) -> Application:
    """Return an application with the same handlers, whose start-up hooks raise StartUpError."""
    explained = copy.copy(application)
    explained.startup_hooks = [_explained(hook) for hook in application.startup_hooks]
    return explained


def _explained(hook: Callable[[], object]) -> Callable[[], object]:
    async def wait_for(result: Awaitable[object]) -> None:
        try:
            await result
        except Exception as failure:
            raise _failed(hook, failure) from failure

    def call() -> object:
        try:
            result = hook()
        except Exception as failure:
            raise _failed(hook, failure) from failure
        return wait_for(result) if inspect.isawaitable(result) else result

    return call


def _failed(hook: Callable[[], object], failure: Exception) -> StartUpError:
    name = getattr(hook, "__qualname__", None) or repr(hook)
    return StartUpError(f"start-up hook {name} failed: {described(failure)}")
