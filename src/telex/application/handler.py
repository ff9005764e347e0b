"""One handler: a user's function, together with what has to be known to run it.

Everything is found out when the handler is registered, so that nothing is left to find out for each
message. This module is compiled, as ``telex.wire`` is, and must never know an application.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import typing
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from telex.compilation import mypyc_attr
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.application.peer import Peer

    Function = Callable[..., object]


class Style(Enum):
    """How a handler gives its answer."""

    FUNCTION = "returns it"
    GENERATOR = "yields its parts"
    COROUTINE = "returns it, awaited"
    ASYNC_GENERATOR = "yields its parts, awaited"


@mypyc_attr(allow_interpreted_subclasses=True)
class Handler:
    """A user's function, together with what has to be known to run it.

    ``pattern`` is what it was registered for, None for whatever no other handler takes.
    ``is_direct`` is true when it can be called where it stands: it neither waits nor yields.
    """

    __slots__ = (
        "_takes_peer",
        "blocking",
        "concurrent",
        "content_type",
        "function",
        "is_direct",
        "name",
        "pattern",
        "style",
    )

    def __init__(
        self,
        function: Function,
        *,
        pattern: str | None = None,
        concurrent: bool = False,
        blocking: bool = False,
    ) -> None:
        self.name: str = name_of(function)
        self.pattern: str | None = pattern
        self.style: Style = style_of(function)
        self.concurrent: bool = concurrent
        self.blocking: bool = blocking
        self.is_direct: bool = self.style is Style.FUNCTION and not blocking
        self.content_type: Any = _content_type(function)
        self.function: Final = function
        self._takes_peer = _takes_peer(function, self.name)
        if blocking and self.is_async:
            raise TypeError(f"handler {self.name} is async: blocking=True is for plain functions")

    @property
    def is_async(self) -> bool:
        """Whether the handler needs an event loop."""
        return self.style in (Style.COROUTINE, Style.ASYNC_GENERATOR)

    def call(self, message: Message, peer: Peer) -> Any:
        """Call the function with content of the type it asks for; return what it returns.

        Raises ContentError when the content does not fit, and whatever the function raises.
        """
        if self.content_type is not None:
            message.view_as(self.content_type)
        return self.function(message, peer) if self._takes_peer else self.function(message)


def _takes_peer(function: Function, name: str) -> bool:
    """Say whether a handler wants the peer too; raises TypeError when it cannot be called."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return False  # some functions written in C do not say what they take
    has_peer = list(signature.parameters)[1:2] == ["peer"]
    for count in (2, 1) if has_peer else (1, 2):
        with contextlib.suppress(TypeError):
            signature.bind(*range(count))
            return count == 2
    raise TypeError(f"handler {name}{signature} must take (message) or (message, peer)")


def style_of(function: Function) -> Style:
    """Say how a function gives its answer, by the way it is written."""
    code = _code_of(function)
    if inspect.isasyncgenfunction(code):
        return Style.ASYNC_GENERATOR
    if inspect.iscoroutinefunction(code):
        return Style.COROUTINE
    if inspect.isgeneratorfunction(code):
        return Style.GENERATOR
    return Style.FUNCTION


def _content_type(function: Function) -> Any:
    """Return the type that the first parameter, ``Message[type]``, says content has; else None."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return None  # some functions written in C do not say what they take
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return None
    annotation = parameters[0].annotation
    first = SimpleNamespace(__annotations__={"message": annotation})
    names = getattr(inspect.unwrap(_code_of(function)), "__globals__", {})
    try:
        hint = typing.get_type_hints(first, names)["message"]
    except NameError:
        if "[" not in str(annotation):
            return None  # a plain Message, imported for the type checker only
        raise
    if typing.get_origin(hint) is not Message:
        return None
    (content_type,) = typing.get_args(hint)
    return None if content_type is Any else content_type


def _code_of(function: Function) -> Function:
    """Return what is called in the end, for a partial and for an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return cast("Function", function.__init__)
    return function if inspect.isroutine(function) else type(function).__call__


def name_of(function: Function) -> str:
    """Return the name by which a function is known to its writer."""
    return getattr(function, "__qualname__", None) or repr(function)
