"""The user's handlers: registered by subject, and found by subject.

An application works without a server and on every front-end alike, so this module must never know
a socket, a thread or an event loop. Running handlers is ``dispatcher``'s part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from telex.application.handler import Handler, Style, name_of, style_of
from telex.arguments import check_type
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.application.observer import Observer
    from telex.application.peer import Peer

    Hook = TypeVar("Hook", bound=Callable[[], object])

_MOST_FOUND: Final = 1_024
"""How many subjects are remembered together with their handlers."""

_LONGEST_FOUND: Final = 256
"""Characters of the longest subject that is remembered."""


if TYPE_CHECKING:
    HandlerFunction = TypeVar(
        "HandlerFunction",
        bound=Callable[[Message[Any]], object] | Callable[[Message[Any], Peer], object],
    )
    FailureHook = TypeVar(
        "FailureHook", bound=Callable[[Message[Any], Peer, BaseException], object]
    )


class Application:
    """A collection of handlers. The subject of a message chooses its handler.

    >>> app = Application()
    >>> @app.on("greet")
    ... def greet(message):
    ...     return f"hello {message.content}"
    """

    def __init__(self) -> None:
        self.found: Final[dict[str | None, Handler]] = {}
        """What ``find`` has found, to be looked up for each message. Bounded: see there."""
        self._changes = 0
        self._exact: dict[str, Handler] = {}
        self._wildcards = _Branch()
        self._default: Handler | None = None
        self._handlers: list[Handler] = []
        self._wrap: Callable[[Handler], Handler] | None = None
        self.startup_hooks: list[Callable[[], object]] = []
        self.shutdown_hooks: list[Callable[[], object]] = []
        self.failure_hooks: list[Callable[[Message[Any], Peer, BaseException], object]] = []
        self.observers: list[Observer] = []
        """Observers that every server of the application calls, besides its own ``observer``."""

    def on(
        self, subject: str | None = None, *, concurrent: bool = False, blocking: bool = False
    ) -> Callable[[HandlerFunction], HandlerFunction]:
        """Register a handler, called as ``handler(message)`` or ``handler(message, peer)``.

        ``"orders.new"`` matches this subject only, ``"orders.*"`` one part in place of the star,
        and ``"orders.>"`` one or more parts below ``orders``. Without a subject, the handler gets
        the messages that no other handler matches. If several handlers match, the most specific
        one is called: part by part from the left, a name goes before ``*``, and ``*`` before ``>``.

        Messages of one connection are handled in the order of arrival; with ``concurrent``, later
        messages do not wait for this handler. With ``blocking`` the handler runs in a thread, and
        the server does not wait for it. A generator answers in parts. If the parameter is
        annotated ``Message[Reading]``, the content is checked before the handler runs, and is a
        ``Reading``.

        Raises ValueError for a pattern that is malformed or already has a handler.
        """

        def register(function: HandlerFunction) -> HandlerFunction:
            handler = Handler(function, pattern=subject, concurrent=concurrent, blocking=blocking)
            self._add(subject, handler)
            return function

        if callable(subject):
            raise TypeError("on() takes a subject, or nothing: write @app.on(), with parentheses")
        if subject is not None:
            _check_pattern(subject)
        return register

    def on_startup(self, hook: Hook) -> Hook:
        """Register a function that a server calls before it accepts the first connection."""
        self.startup_hooks.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Register a function that a server calls after its last connection is closed."""
        self.shutdown_hooks.append(hook)
        return hook

    def on_failure(self, hook: FailureHook) -> FailureHook:
        """Register a function that is called when a handler fails, for an error tracker.

        The server calls ``hook(message, peer, exception)`` in its own thread, and waits for the
        call to return. Refusals, and content that does not fit, are no failures. Raises TypeError
        for a hook that is async.
        """
        if style_of(hook) is not Style.FUNCTION:
            raise TypeError(f"{name_of(hook)}: a failure hook is called, and never awaited")
        self.failure_hooks.append(hook)
        return hook

    def wrap_handlers(self, wrap: Callable[[Handler], Handler]) -> None:
        """Replace each handler by ``wrap(handler)``, also those that are registered later.

        ``wrap`` returns ``handler.replaced(function)``, with a function that calls
        ``handler.function``. A handler has its ``name``, and the ``pattern`` it is registered for.
        """
        before = self._wrap
        self._wrap = (lambda handler: wrap(before(handler))) if before is not None else wrap
        for pattern, handler in self._exact.items():
            self._exact[pattern] = wrap(handler)
        self._wildcards.wrap_handlers(wrap)
        self._default = self._default and wrap(self._default)
        self._forget_found()

    @property
    def async_names(self) -> list[str]:
        """Names of the handlers and hooks that need an event loop."""
        hooks = [*self.startup_hooks, *self.shutdown_hooks]
        names = [name_of(hook) for hook in hooks if style_of(hook) is Style.COROUTINE]
        return names + [handler.name for handler in self._handlers if handler.is_async]

    def find(self, subject: str | None) -> Handler | None:
        """Return the handler for a subject, or None when there is none."""
        changes = self._changes
        handler = None
        if subject is not None:
            handler = self._exact.get(subject) or self._wildcards.find(subject.split("."))
        handler = handler or self._default
        if handler is not None and len(subject or "") <= _LONGEST_FOUND:
            if len(self.found) >= _MOST_FOUND:
                self.found.clear()
            self.found[subject] = handler
            if self._changes != changes:  # another thread has registered one that fits better
                self.found.clear()
        return handler

    def _add(self, pattern: str | None, handler: Handler) -> None:
        if self._wrap is not None:
            handler = self._wrap(handler)
        if pattern is None:
            first = self._default = self._default or handler
        elif "*" in pattern or ">" in pattern:
            first = self._wildcards.add(pattern.split("."), handler)
        else:
            first = self._exact.setdefault(pattern, handler)
        if first is not handler:
            what = "every other subject" if pattern is None else repr(pattern)
            raise ValueError(f"{what} has a handler already, {first.name}")
        self._handlers.append(handler)
        self._forget_found()

    def _forget_found(self) -> None:
        self._changes += 1
        self.found.clear()


def check_application(application: object) -> None:
    """Raise TypeError for what is no application, such as the arguments in the wrong order."""
    check_type(application, Application, "application", "a telex.Application")


class _Branch:
    """The patterns that go on alike after the same first tokens."""

    __slots__ = ("_any", "_handler", "_names", "_rest")

    def __init__(self) -> None:
        self._names: dict[str, _Branch] = {}
        self._any: _Branch | None = None
        self._rest: Handler | None = None
        self._handler: Handler | None = None

    def add(self, tokens: list[str], handler: Handler) -> Handler:
        """Register a handler unless the pattern has one; return the one that it has now."""
        branch = self
        for token in tokens:
            if token == ">":
                branch._rest = branch._rest or handler
                return branch._rest
            branch = branch._grow(token)
        branch._handler = branch._handler or handler
        return branch._handler

    def find(self, tokens: list[str], depth: int = 0) -> Handler | None:
        """Return the most specific handler; goes no deeper than the longest pattern."""
        if depth == len(tokens):
            return self._handler
        found = None
        if (named := self._names.get(tokens[depth])) is not None:
            found = named.find(tokens, depth + 1)
        if found is None and self._any is not None and tokens[depth]:
            found = self._any.find(tokens, depth + 1)
        if found is None and self._rest is not None and all(tokens[depth:]):
            found = self._rest
        return found

    def wrap_handlers(self, wrap: Callable[[Handler], Handler]) -> None:
        """Have each handler from here on be what ``wrap`` makes of it."""
        self._handler = self._handler and wrap(self._handler)
        self._rest = self._rest and wrap(self._rest)
        for branch in (*self._names.values(), self._any):
            if branch is not None:
                branch.wrap_handlers(wrap)

    def _grow(self, token: str) -> _Branch:
        if token != "*":
            return self._names.setdefault(token, _Branch())
        if self._any is None:
            self._any = _Branch()
        return self._any


def _check_pattern(pattern: str) -> None:
    tokens = pattern.split(".")
    if not all(tokens):
        raise ValueError(f"subject {pattern!r} has an empty part; right would be 'orders.new'")
    if ">" in tokens[:-1]:
        raise ValueError(f"subject {pattern!r}: '>' is only allowed as the last part: 'orders.>'")
    for token in tokens:
        if len(token) > 1 and ("*" in token or ">" in token):
            raise ValueError(
                f"subject {pattern!r}: {token!r} mixes a wildcard with a name; "
                f"'*' and '>' stand alone: 'orders.*', 'orders.>'"
            )
