"""Applications: which handler takes a message, what is known of it, and how it is called."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from telex import Application, ContentError, Message
from telex.application.handler import Handler, Style
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from pathlib import Path as UnimportedType

    from telex import Message as UnimportedMessage
    from telex.application.peer import Peer as UnimportedPeer


class Listener:
    """A peer that only listens."""

    address = "127.0.0.1:54321"
    identity: str | None = None

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, content: object, **keywords: Any) -> None:
        """Keep what is sent."""
        self.sent.append(message_from(content, keywords))


def answer(app: Application, subject: str | None, content: object = "") -> Any:
    """Return what the handler of a subject returns, or None where there is none."""
    handler = app.find(subject)
    if handler is None:
        return None
    return handler.call(Message(content, subject=subject), Listener())


def application(*patterns: str | None) -> Application:
    """Return an application whose handlers answer with their own pattern."""
    app = Application()
    for pattern in patterns:
        app.on(pattern)(lambda message, pattern=pattern: pattern or "default")
    return app


CHOICES = [
    # patterns, subject, the pattern that takes it
    (["a.b"], "a.b", "a.b"),
    (["a.b"], "a", None),
    (["a.b"], "a.b.c", None),
    (["a.b"], None, None),
    (["a.*"], "a.b", "a.*"),
    (["a.*"], "a", None),
    (["a.*"], "a.b.c", None),
    (["*.b"], "a.b", "*.b"),
    (["*"], "a", "*"),
    (["a.>"], "a.b", "a.>"),
    (["a.>"], "a.b.c.d", "a.>"),
    (["a.>"], "a", None),
    ([">"], "a", ">"),
    ([">"], None, None),
    ([None], "a.b", "default"),
    ([None], None, "default"),
    ([None, ">"], None, "default"),
    # the most specific one, token by token from the left
    (["a.b", "a.*", "a.>", None], "a.b", "a.b"),
    (["a.*", "a.>", None], "a.b", "a.*"),
    (["a.>", None], "a.b", "a.>"),
    (["a.*.c", "a.b.*"], "a.b.c", "a.b.*"),
    (["*.b", "a.>"], "a.b", "a.>"),
    (["*.*", ">"], "a.b", "*.*"),
    (["a.b.>", "a.*.c"], "a.b.c", "a.b.>"),
    # what looks more specific at first does not fit: the next one is tried
    (["a.b.x", "a.*.c"], "a.b.c", "a.*.c"),
    (["a.b.*.x", "a.>"], "a.b.c.d", "a.>"),
    (["a.*.x", "*.b.c"], "a.b.c", "*.b.c"),
    # patterns that begin alike do not hide each other
    (["a.*.c", "a.*.d"], "a.b.c", "a.*.c"),
    (["a.*.c", "a.*.d"], "a.b.d", "a.*.d"),
    (["a.b", "a.b.c", "a.b.>"], "a.b", "a.b"),
    # what a peer sends is never a pattern, and an empty token is no token
    (["a.b", "a.c"], "a.*", None),
    (["a.*"], "a.*", "a.*"),
    (["a.*", "a.>"], "a.", None),
    (["a.*.c"], "a..c", None),
    (["a.>"], "a..c", None),
    ([">"], "", None),
    ([None, ">"], "a..", "default"),
]


@pytest.mark.parametrize(("patterns", "subject", "taken_by"), CHOICES)
def test_subject_chooses_the_handler(
    patterns: list[str | None], subject: str | None, taken_by: str | None
) -> None:
    """The most specific pattern that fits takes the message, in whatever order they were given."""
    assert answer(application(*patterns), subject) == taken_by
    assert answer(application(*reversed(patterns)), subject) == taken_by


def test_no_handler_is_found_where_none_fits() -> None:
    """Nothing is found where nothing is registered, nor where every pattern wants another."""
    assert Application().find("a") is None
    assert Application().find(None) is None
    assert application("a.b", "a.*.c").find("a.b.x") is None


def test_long_subject_costs_no_more_than_the_patterns_are_deep() -> None:
    """A subject of thousands of tokens neither recurses deeply nor confuses anybody."""
    app = application("a.*.>", None)
    assert answer(app, ".".join("a" * 30_000)) == "a.*.>"
    assert answer(app, "." * 30_000) == "default"


def handler_of(app: Application, subject: str | None) -> str:
    """Return the pattern of the handler of a message, as the dispatcher looks it up."""
    handler = app.found.get(subject) or app.find(subject)
    assert handler is not None
    assert (app.found.get(subject) or app.find(subject)) is handler
    return handler.pattern or "default"


def test_handler_that_was_found_is_known() -> None:
    """The second message of a subject finds its handler by one look."""
    app = application("a.*", None)
    for subject in ("a.b", "a.c", "b", None):
        handler = app.find(subject)
        assert app.found[subject] is handler is not None


def test_subject_without_a_handler_is_not_known() -> None:
    """Nothing is remembered of what nobody takes, so that a handler may come for it."""
    app = application("a.b")
    assert app.find("a.c") is None
    assert app.find(None) is None
    assert app.found == {}


def test_subjects_that_are_known_are_bounded() -> None:
    """A peer that invents subjects without end fills no memory, and gets the right handlers."""
    app = application("a.*", None)
    most = 0
    for number in range(3_000):
        assert handler_of(app, f"a.{number}") == "a.*"
        assert handler_of(app, f"b.{number}") == "default"
        most = max(most, len(app.found))
    assert most == 1_024


def test_long_subject_is_not_known() -> None:
    """What is remembered of a subject is bounded too."""
    app = application(None)
    longest, longer = "s" * 256, "s" * 257
    assert handler_of(app, longest) == handler_of(app, longer) == "default"
    assert list(app.found) == [longest]


@pytest.mark.parametrize("pattern", ["a.b", "a.*", "*.b", "a.>", ">"])
def test_handler_that_is_registered_later_takes_its_messages(pattern: str) -> None:
    """What was found before is found anew when another handler might fit better."""
    app = application(None)
    assert handler_of(app, "a.b") == handler_of(app, None) == "default"
    app.on(pattern)(lambda message: "later")
    assert handler_of(app, "a.b") == pattern
    assert handler_of(app, None) == "default"


def test_handler_for_the_rest_may_be_registered_later() -> None:
    """It takes what nobody took before, and nothing else."""
    app = application("a")
    assert (handler_of(app, "a"), app.find("b")) == ("a", None)
    app.on()(lambda message: "later")
    assert (handler_of(app, "a"), handler_of(app, "b")) == ("a", "default")


def test_handlers_that_are_wrapped_later_are_wrapped_for_every_message() -> None:
    """No message goes to the handler as it was, of whatever pattern, though it was found before."""
    patterns = ("a", "a.*", "a.>", None)
    app = application(*patterns)
    subjects = ("a", "a.b", "a.b.c", "b")
    plain = [app.find(subject) for subject in subjects]
    app.wrap_handlers(lambda handler: Handler(handler.function, pattern=f"wrapped {handler.name}"))
    for subject, before in zip(subjects, plain, strict=True):
        assert handler_of(app, subject).startswith("wrapped ")
        assert app.find(subject) is not before


def test_wrapped_function_stands_for_the_handler() -> None:
    """A plain function around a handler of any kind gives the answer in the handler's way."""

    def around(handler: Handler) -> Handler:
        @functools.wraps(handler.function)
        def call(*arguments: Any) -> object:
            return handler.function(*arguments)

        return handler.replaced(call)

    app = Application()
    app.on("a", concurrent=True)(parts)
    app.on("b")(awaited)
    app.on("c", blocking=True)(with_default)
    app.wrap_handlers(around)
    found = [app.find(subject) for subject in ("a", "b", "c")]
    assert [(handler.style, handler.pattern) for handler in found if handler is not None] == [
        (Style.GENERATOR, "a"),
        (Style.COROUTINE, "b"),
        (Style.FUNCTION, "c"),
    ]
    assert [handler.blocking for handler in found if handler is not None] == [False, False, True]


class Slow(str):
    """A subject that somebody else registers a handler for while it is looked up."""

    __slots__ = ("meanwhile",)
    meanwhile: Callable[[], object]

    def split(self, *arguments: Any) -> list[str]:
        """Let the other one go first."""
        self.meanwhile()
        return super().split(*arguments)


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_handler_that_is_registered_during_a_look_up_is_not_missed(pattern: str) -> None:
    """A thread that looks while another one registers may find the old handler, but once only."""
    app = application(None)
    subject = Slow("a.b")
    subject.meanwhile = lambda: app.on(pattern)(lambda message: "meanwhile")
    app.find(subject)
    assert handler_of(app, "a.b") == pattern


def test_handlers_that_are_wrapped_during_a_look_up_are_wrapped() -> None:
    """Nor is the handler as it was remembered by who found it before it was wrapped."""
    app = application("a.>", None)
    _as_it_was = app._wildcards.find

    def wrap() -> None:
        app.wrap_handlers(lambda handler: Handler(handler.function, pattern="wrapped"))

    class Finding:
        """Branches in which a handler is found just before all are wrapped."""

        def find(self, tokens: list[str]) -> Handler | None:
            """Find as ever, and have the others wrap."""
            found = _as_it_was(tokens)
            app._wildcards = branches
            wrap()
            return found

    branches = app._wildcards
    app._wildcards = Finding()  # type: ignore[assignment]
    app.find("a.b")
    assert handler_of(app, "a.b") == "wrapped"


@pytest.mark.parametrize(
    ("pattern", "subject", "named"),
    [
        ("a.b", "a.b", r"'a\.b'"),
        ("a.*", "a.b", r"'a\.\*'"),
        ("*.b", "a.b", r"'\*\.b'"),
        ("a.>", "a.b", r"'a\.>'"),
        (">", "a", "'>'"),
        (None, "a", "every other subject"),
    ],
)
def test_pattern_has_one_handler(pattern: str | None, subject: str, named: str) -> None:
    """A second handler for the same pattern is refused, and the error names the first."""
    app = Application()

    @app.on(pattern)
    def first(message: Message) -> str:
        return "first"

    with pytest.raises(ValueError, match=rf"^{named} has a handler already, .*first$"):

        @app.on(pattern)
        async def second(message: Message) -> str:
            return "second"

    assert answer(app, subject) == "first"
    assert app.async_names == []


BAD_PATTERNS = [
    ("", "empty part"),
    ("a..b", "empty part"),
    (".a", "empty part"),
    ("a.", "empty part"),
    ("a.>.b", "only allowed as the last part"),
    ("a*", "mixes a wildcard"),
    ("a.b*.c", "mixes a wildcard"),
    ("**", "mixes a wildcard"),
    ("a.>>", "mixes a wildcard"),
]


@pytest.mark.parametrize(("pattern", "problem"), BAD_PATTERNS)
def test_bad_pattern_is_explained(pattern: str, problem: str) -> None:
    """A malformed pattern is refused when it is registered, saying what would be right."""
    with pytest.raises(ValueError, match=problem) as caught:
        Application().on(pattern)
    assert "orders." in str(caught.value)


def test_on_without_parentheses_is_explained() -> None:
    """The commonest slip with a decorator says what to write instead."""
    with pytest.raises(TypeError, match=r"@app\.on\(\)"):
        Application().on(lambda message: None)  # type: ignore[arg-type]


def test_handler_stays_the_function_that_it_was() -> None:
    """Registering gives back the function, so that it can be called and registered again."""
    app = Application()

    @app.on("a")
    @app.on("b")
    def double(message: Message) -> Any:
        return message.content * 2

    assert double(Message("x")) == "xx"
    assert answer(app, "a", "y") == answer(app, "b", "y") == "yy"


def test_handler_may_take_the_peer() -> None:
    """A handler with two parameters is given the peer, and can send to it."""
    listener = Listener()

    def tell(message: Message, peer: Listener) -> None:
        peer.send(f"{peer.address} said {message.content}")

    Handler(tell).call(Message("hello"), listener)
    assert [message.content for message in listener.sent] == ["127.0.0.1:54321 said hello"]


def with_default(message: Message, times: int = 2) -> Any:
    """Have an optional parameter that is not the peer."""
    return message.content * times


def with_optional_peer(message: Message, peer: object = None) -> bool:
    """Have an optional parameter that is the peer."""
    return peer is not None


def with_named_peer(message: Message, *, peer: object = None) -> bool:
    """Have a parameter for the peer that it cannot be handed over in."""
    return peer is not None


class Handlers:
    """Handlers that are methods."""

    def method(self, message: Message) -> Any:
        """Take the message alone."""
        return message.content

    @classmethod
    def of_class(cls, message: Message, peer: Listener) -> str:
        """Take the peer too, and need no object."""
        return peer.address

    async def awaited(self, message: Message) -> Any:
        """Need an event loop."""
        return message.content

    def __call__(self, message: Message, peer: Listener) -> str:
        """Take the peer too."""
        return peer.address


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (with_default, "xx"),
        (with_optional_peer, True),
        (with_named_peer, False),
        (Handlers().method, "x"),
        (Handlers.of_class, "127.0.0.1:54321"),
        (Handlers(), "127.0.0.1:54321"),
        (functools.partial(with_default, times=3), "xxx"),
        (lambda *arguments: len(arguments), 1),
        (lambda message, *others: len(others), 0),
        (lambda message, other: other.address, "127.0.0.1:54321"),
        (lambda message, /, *, loud=False: message.content, "x"),
    ],
)
def test_handler_is_called_as_it_can_be(handler: Callable[..., object], expected: object) -> None:
    """Functions, methods and callable objects are given what they take, and no more."""
    app = Application()
    app.on()(handler)
    assert answer(app, None, "x") == expected


@pytest.mark.parametrize(
    ("function", "expected"), [(str, "text/plain, 1 byte: x"), (dir, dir(Message("x")))]
)
def test_function_that_does_not_say_what_it_takes_is_given_the_message(
    function: Callable[..., object], expected: object
) -> None:
    """Classes and functions written in C may have no signature: they get the message alone."""
    handler = Handler(function)
    assert handler.content_type is None
    assert handler.call(Message("x"), Listener()) == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda message, peer, more: None,
        lambda message, peer, *, more: None,
        lambda message, *, peer: None,
        lambda *, message: None,
    ],
)
def test_function_that_cannot_be_called_is_refused(function: Callable[..., object]) -> None:
    """A function that takes other parameters is refused when it is registered, and not found."""
    app = Application()
    with pytest.raises(
        TypeError, match=r"lambda>\(.*\) must take \(message\) or \(message, peer\)"
    ):
        app.on()(function)
    assert app.find(None) is None


def test_only_what_can_be_called_is_a_handler() -> None:
    """Anything else is refused when it is registered."""
    with pytest.raises(TypeError, match="not a callable"):
        Application().on("a")("text")  # type: ignore[type-var]


def test_options_reach_the_handler() -> None:
    """What is said where a handler is registered is known where it is found."""
    app = Application()
    app.on("plain")(with_default)
    app.on("concurrent", concurrent=True)(with_default)
    app.on("blocking", blocking=True)(with_default)

    found = [app.find(subject) for subject in ("plain", "concurrent", "blocking")]
    options = [(handler.concurrent, handler.blocking) for handler in found if handler is not None]
    assert options == [(False, False), (True, False), (False, True)]


async def awaited(message: Message) -> str:
    """Need an event loop."""
    return "awaited"


def parts(message: Message) -> Iterator[str]:
    """Give several answers."""
    yield "one"
    yield "two"


async def awaited_parts(message: Message) -> AsyncIterator[str]:
    """Give several answers in an event loop."""
    yield "one"
    yield "two"


class Awaited:
    """An object that is a handler, and needs an event loop."""

    async def __call__(self, message: Message) -> str:
        """Be a handler itself."""
        return "awaited"


@pytest.mark.parametrize(
    ("function", "style", "is_async"),
    [
        (with_default, Style.FUNCTION, False),
        (str, Style.FUNCTION, False),
        (Handlers(), Style.FUNCTION, False),
        (parts, Style.GENERATOR, False),
        (awaited, Style.COROUTINE, True),
        (Handlers().awaited, Style.COROUTINE, True),
        (functools.partial(awaited), Style.COROUTINE, True),
        (Awaited(), Style.COROUTINE, True),
        (awaited_parts, Style.ASYNC_GENERATOR, True),
    ],
)
def test_function_tells_how_it_answers(
    function: Callable[..., object], style: Style, is_async: bool
) -> None:
    """Only what neither waits nor yields can be called where it stands."""
    handler = Handler(function)
    assert handler.style is style
    assert handler.is_async is is_async
    assert handler.is_direct is (style is Style.FUNCTION)


@pytest.mark.parametrize("function", [with_default, parts])
def test_blocking_handler_is_not_called_where_it_stands(function: Callable[..., object]) -> None:
    """A function or a generator that takes its time runs elsewhere."""
    handler = Handler(function, blocking=True)
    assert not handler.is_direct
    assert not handler.is_async


@pytest.mark.parametrize("function", [awaited, awaited_parts, Handlers().awaited])
def test_async_handler_cannot_be_blocking(function: Callable[..., object]) -> None:
    """A thread has no event loop: who asks for both is told so when registering."""
    app = Application()
    with pytest.raises(
        TypeError, match=r"awaited\w* is async\b.*blocking=True is for plain functions"
    ):
        app.on("a", blocking=True)(function)
    assert app.find("a") is None


def test_handler_has_a_name_for_the_log() -> None:
    """A handler is called what its function is; an object that has no name is shown."""
    nameless = functools.partial(with_default, times=3)
    assert Handler(Handlers().method).name == "Handlers.method"
    assert Handler(nameless).name == repr(nameless)


def test_call_returns_what_the_function_returns() -> None:
    """A value stays what it is: nothing is made a message, and None stays None."""
    app = Application()
    own = Message("own", subject="mine")
    app.on("text")(lambda message: "text")
    app.on("json")(lambda message: {"a": [1]})
    app.on("bytes")(lambda message: b"\x00")
    app.on("message")(lambda message: own)
    app.on("nothing")(lambda message: None)

    assert answer(app, "text") == "text"
    assert answer(app, "json") == {"a": [1]}
    assert answer(app, "bytes") == b"\x00"
    assert answer(app, "message") is own
    assert answer(app, "nothing") is None


def test_call_leaves_waiting_and_yielding_to_others() -> None:
    """What must be awaited or asked for its parts is handed on untouched."""
    app = Application()
    app.on("parts")(parts)
    app.on("awaited")(awaited)
    app.on("awaited.parts")(awaited_parts)

    async def collected() -> list[str]:
        return [part async for part in answer(app, "awaited.parts")]

    assert list(answer(app, "parts")) == ["one", "two"]
    assert asyncio.run(answer(app, "awaited")) == "awaited"
    assert asyncio.run(collected()) == ["one", "two"]


def test_what_a_handler_raises_reaches_the_caller() -> None:
    """An exception of a handler is not hidden."""
    app = Application()
    app.on("divide")(lambda message: 1 // 0)
    app.on("encode")(lambda message: Message("ü", encoding="ascii"))

    with pytest.raises(ZeroDivisionError):
        answer(app, "divide")
    with pytest.raises(ContentError, match="ascii"):
        answer(app, "encode")


@dataclass
class Reading:
    """Content of a type of its own."""

    celsius: float


def annotated(annotation: object) -> Callable[..., object]:
    """Return a handler that says this of its message; it returns the content."""

    def handler(message: Any) -> object:
        return message.content

    handler.__annotations__ = {"message": annotation}
    return handler


@pytest.mark.parametrize(
    ("annotation", "content_type"),
    [
        (Message[Reading], Reading),
        ("Message[Reading]", Reading),
        ("Message[list[Reading]]", list[Reading]),
        (Message["Reading"], Reading),
        ("Message[int | None]", int | None),
        # what asks for nothing
        (Message, None),
        ("Message", None),
        (Message[Any], None),
        ("Message[Any]", None),
        ("object", None),
        (TypeVar("Unknown"), None),
    ],
)
def test_annotation_says_what_the_content_is(annotation: object, content_type: object) -> None:
    """``Message[Reading]`` asks for a ``Reading``, evaluated or as text; all else for nothing."""
    assert Handler(annotated(annotation)).content_type == content_type


def test_message_that_only_a_type_checker_imports_asks_for_nothing() -> None:
    """The name ``Message`` alone is understood without its import."""

    def handler(message: Any) -> None:
        """Take anything."""

    handler.__annotations__ = {"message": "unimported.Message"}
    assert Handler(handler).content_type is None


@pytest.mark.parametrize(
    "annotation", [Reading, "Reading", "list[Reading]", "Message[Reading] | None"]
)
def test_annotation_that_no_message_fits_is_refused(annotation: object) -> None:
    """A handler that wants content in place of a message learns this when it is registered."""
    with pytest.raises(TypeError, match=r"takes a message, and not .*annotate it as Message\["):
        Application().on()(annotated(annotation))


class Opaque:
    """A class that no JSON says."""


@pytest.mark.parametrize("content_type", [Opaque, list[Opaque], dict[str, Opaque | None]])
def test_type_that_nothing_checks_is_refused(content_type: object) -> None:
    """A type that would refuse every content is an error when the handler is registered."""
    with pytest.raises(TypeError, match=r"content cannot be checked as .*Opaque"):
        Application().on()(annotated(Message.__class_getitem__(content_type)))


def test_peer_comes_second() -> None:
    """A handler that names its first parameter ``peer`` would get a message there."""

    def handler(peer: Any, message: Any) -> None:
        """Take both, the wrong way round."""

    with pytest.raises(TypeError, match=r"must take \(message\) or \(message, peer\)"):
        Application().on()(handler)


def of_unimported_type(message: Message[UnimportedType]) -> None:
    """Ask for content of a type that is not there at run time."""


def of_unimported_message(message: UnimportedMessage[Reading]) -> None:
    """Ask for content of a type, by a name that is not there at run time."""


def of_unimported_name(message: UnimportedMessage) -> None:
    """Say by a name that is not there at run time what may be no message."""


@pytest.mark.parametrize(
    "function", [of_unimported_type, of_unimported_message, of_unimported_name]
)
def test_content_type_that_cannot_be_found_is_an_error(function: Callable[..., object]) -> None:
    """What only a type checker imports could not be checked, and that is not passed over."""
    app = Application()
    with pytest.raises(NameError, match="Unimported"):
        app.on()(function)
    assert app.find(None) is None


def test_handler_without_annotations_asks_for_nothing() -> None:
    """A message is handed over unread where nothing is said of its content."""
    handler = Handler(lambda message: message.body)
    unreadable = Message(b"{", content_type="application/json")
    assert handler.content_type is None
    assert handler.call(unreadable, Listener()) == b"{"
    with pytest.raises(ContentError):
        _ = unreadable.content


class Typed:
    """Handlers of readings that are methods."""

    def method(self, message: Message[Reading]) -> float:
        """Take the message alone."""
        return message.content.celsius

    @staticmethod
    def static(message: Message[Reading], peer: Listener) -> float:
        """Take the peer too, and need no object."""
        return message.content.celsius

    def __call__(self, message: Message[Reading]) -> float:
        """Be a handler itself."""
        return message.content.celsius


@functools.wraps(Typed.static)
def wrapped(*arguments: Any) -> object:
    """Stand for another handler, as a decorator makes it."""
    return Typed.static(*arguments)


def with_unimported_peer(message: Message[Reading], peer: UnimportedPeer) -> float:
    """Say of the peer what only a type checker imports."""
    return message.content.celsius


@pytest.mark.parametrize(
    "function",
    [
        Typed().method,
        Typed.static,
        Typed(),
        wrapped,
        functools.partial(Typed.static),
        with_unimported_peer,
    ],
)
def test_content_is_what_the_handler_asks_for(function: Callable[..., object]) -> None:
    """Methods, callable objects and wrapped functions get content of the type they name."""
    handler = Handler(function)
    assert handler.content_type is Reading
    assert handler.call(Message({"celsius": 21.5}), Listener()) == 21.5


@pytest.mark.parametrize(
    ("content", "problem"),
    [({"celsius": "warm"}, "celsius"), ({}, "celsius"), ([21.5], "array"), ("21.5", "str")],
)
def test_content_that_does_not_fit_never_reaches_the_handler(content: object, problem: str) -> None:
    """The caller gets a ContentError that says what does not fit; the function is not called."""
    calls = []

    def handler(message: Message[Reading]) -> None:
        calls.append(message)

    with pytest.raises(ContentError, match=problem):
        Handler(handler).call(Message(content), Listener())
    assert calls == []


def test_hooks_are_kept_in_order() -> None:
    """Hooks stay the functions that they were, and any number may be registered."""
    app = Application()

    @app.on_startup
    def open_store() -> str:
        return "opened"

    @app.on_startup
    async def warm_up() -> None:
        """Need an event loop."""

    @app.on_shutdown
    def close_store() -> str:
        return "closed"

    assert (open_store(), close_store()) == ("opened", "closed")
    assert app.startup_hooks == [open_store, warm_up]
    assert app.shutdown_hooks == [close_store]


def test_a_failure_hook_cannot_be_async() -> None:
    """A coroutine that nobody awaits would tell nobody anything."""
    app = Application()
    with pytest.raises(TypeError, match=r"awaited: a failure hook is called, and never awaited"):
        app.on_failure(awaited)  # type: ignore[type-var]
    assert app.failure_hooks == []


def test_application_names_what_needs_an_event_loop() -> None:
    """A front-end without one can say which hooks and handlers it cannot run."""
    app = Application()
    app.on("plain")(with_default)
    app.on("parts")(parts)
    app.on_startup(lambda: None)
    assert app.async_names == []

    @app.on_startup
    async def warm_up() -> None:
        """Need an event loop."""

    @app.on_shutdown
    async def cool_down() -> None:
        """Need an event loop."""

    app.on("awaited")(awaited)
    app.on("awaited.*")(awaited_parts)
    app.on()(Handlers().awaited)
    nameless = app.on_startup(functools.partial(warm_up))
    hooks = [warm_up.__qualname__, repr(nameless), cool_down.__qualname__]
    assert app.async_names == [*hooks, "awaited", "awaited_parts", "Handlers.awaited"]
