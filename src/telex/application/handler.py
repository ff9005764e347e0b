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
from telex.errors import ContentError
from telex.wire.message import Message
from telex.wire.typed_content import name_of as name_of_type
from telex.wire.typed_content import reader_of

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
        self.function: Final = function
        self._takes_peer = _takes_peer(function, self.name)
        self.content_type: Any = _content_type(function, self.name)
        if blocking and self.is_async:
            raise TypeError(f"handler {self.name} is async: blocking=True is for plain functions")

    @property
    def is_async(self) -> bool:
        """Whether the handler needs an event loop."""
        return self.style in (Style.COROUTINE, Style.ASYNC_GENERATOR)

    def replaced(self, function: Function) -> Handler:
        """Return the handler with another function, such as a decorated one, in place of its own.

        Raises TypeError for a function that cannot be this handler.
        """
        return Handler(
            function, pattern=self.pattern, concurrent=self.concurrent, blocking=self.blocking
        )

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
    names = list(signature.parameters)
    counts = (2, 1) if names[1:2] == ["peer"] else (1, 2)
    for count in () if names[:1] == ["peer"] else counts:
        with contextlib.suppress(TypeError):
            signature.bind(*range(count))
            return count == 2
    raise TypeError(f"handler {name}{signature} must take (message) or (message, peer)")


def style_of(function: Function) -> Style:
    """Say how a function gives its answer, by the way it is written.

    A plain function around another one (``functools.wraps``) returns what the other one returns.
    """
    code: Any = _code_of(function)
    while code is not None:
        if inspect.isasyncgenfunction(code):
            return Style.ASYNC_GENERATOR
        if inspect.iscoroutinefunction(code):
            return Style.COROUTINE
        if inspect.isgeneratorfunction(code):
            return Style.GENERATOR
        code = getattr(code, "__wrapped__", None)
    return Style.FUNCTION


def _content_type(function: Function, name: str) -> Any:
    """Return the type that the first parameter, ``Message[type]``, says content has; else None.

    Raises TypeError for an annotation that no message has, and for a type that cannot be checked.
    """
    annotation = _annotation_of_message(function)
    first = SimpleNamespace(__annotations__={"message": annotation})
    names = getattr(inspect.unwrap(_code_of(function)), "__globals__", {})
    try:
        hint = typing.get_type_hints(first, names, include_extras=True)["message"]
    except NameError:
        if str(annotation).rpartition(".")[2] == "Message":
            return None  # imported for the type checker only
        raise
    if hint in (Message, Any, object) or isinstance(hint, typing.TypeVar):
        return None
    if typing.get_origin(hint) is not Message:
        raise TypeError(
            f"handler {name} takes a message, and not {name_of_type(hint)}: "
            f"annotate it as Message[{name_of_type(hint)}], and use message.content"
        )
    (content_type,) = typing.get_args(hint)
    if content_type is Any:
        return None
    reader_of(content_type)
    return content_type


def _annotation_of_message(function: Function) -> Any:
    """Return what is said of the first parameter; Any where nothing is said."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return Any  # some functions written in C do not say what they take
    annotation = parameters[0].annotation
    return Any if annotation is inspect.Parameter.empty else annotation


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


def does_not_fit(handler: Handler, message: Message) -> bool:
    """Say whether the content is not what its header says, or not what the handler asks for."""
    try:
        if handler.content_type is None:
            _ = message.content
        else:
            message.decode(handler.content_type)
    except ContentError:
        return True
    return False
