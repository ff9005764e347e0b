"""``telex.tracing``: one trace across programs, with OpenTelemetry's exporter in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import telex.asyncio
import telex.sync
import telex.tracing
from telex import Application, Message, Refusal, RemoteError
from telex.application.handler import Handler
from telex.application.peer import Peer
from telex.testing.serving import FrontEnd, Serving
from tests.behaviour.stage import PATIENCE, wait_until
from tests.watching import serving


@pytest.fixture(params=["sync", "asyncio"])
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the server."""
    kind: FrontEnd = request.param
    return kind


class Traces:
    """A tracer provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    def instrument(self, app: Application) -> Application:
        """Instrument an application with this provider."""
        return telex.tracing.instrument(app, tracer_provider=self.provider)

    def wait_for(self, name: str, count: int = 1) -> ReadableSpan:
        """Wait until so many spans of this name have ended; return the last one."""
        wait_until(lambda: len(self.named(name)) >= count, f"{count} spans {name!r}")
        return self.named(name)[-1]

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of this name that have ended."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def traces() -> Traces:
    """Return a provider of the test's own."""
    return Traces()


def trace_id() -> int:
    """Return the number of the current trace; 0 is none."""
    return trace.get_current_span().get_span_context().trace_id


def shop() -> Application:
    """Return an application whose handlers of every blocking style tell their trace."""
    app = Application()

    @app.on("direct.*")
    def direct(message: Message) -> str:
        return str(trace_id())

    @app.on("blocking", blocking=True)
    def blocking(message: Message) -> str:
        return str(trace_id())

    @app.on("generator")
    def generator(message: Message) -> Iterator[str]:
        yield str(trace_id())
        yield str(trace_id())

    @app.on("thread-generator", blocking=True)
    def thread_generator(message: Message) -> Iterator[str]:
        yield str(trace_id())
        yield str(trace_id())

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal("out-of-stock")

    @app.on("fail")
    def fail(message: Message) -> None:
        raise KeyError("x")

    return app


def asked(server: Serving, subject: str, **headers: Any) -> list[Any]:
    """Ask over a plain connection; return the parts of the answer."""
    with telex.sync.connect(server.address) as connection:
        request = Message("", subject=subject, headers=headers)
        return [part.content for part in connection.request_parts(request, timeout=PATIENCE)]


@pytest.mark.parametrize("subject", ["direct.x", "blocking", "generator", "thread-generator"])
def test_a_trace_goes_on_in_the_handler(front_end: FrontEnd, traces: Traces, subject: str) -> None:
    """The handler's span has the caller's as its parent, and is current all along."""
    with serving(front_end, traces.instrument(shop())) as server:
        with (
            telex.tracing.traced(telex.sync.connect(server.address)) as connection,
            traces.tracer.start_as_current_span("work") as work,
        ):
            parts = list(connection.request_parts("", subject=subject, timeout=PATIENCE))
        pattern = "direct.*" if subject == "direct.x" else subject
        span = traces.wait_for(f"process {pattern}")
    caller = work.get_span_context()
    assert {part.content for part in parts} == {str(caller.trace_id)}
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (caller.trace_id, caller.span_id)
    assert span.kind is SpanKind.SERVER


def test_a_span_stands_around_wrapped_handlers(front_end: FrontEnd, traces: Traces) -> None:
    """Another function around each handler runs within the handler's span."""
    app = traces.instrument(shop())
    seen: list[str] = []

    def around(handler: Handler) -> Handler:
        def call(message: Message) -> object:
            seen.append(str(trace_id()))
            return handler.function(message)

        return handler.replaced(call)

    app.wrap_handlers(around)
    with serving(front_end, app) as server, telex.sync.connect(server.address) as connection:
        inside = connection.request("", subject="direct.x", timeout=PATIENCE).content
    assert seen == [inside]


@pytest.mark.parametrize("subject", ["coroutine", "parts"])
def test_a_trace_goes_on_in_async_handlers(traces: Traces, subject: str) -> None:
    """Across every await, while others run in between, each has its own trace."""
    app = traces.instrument(Application())

    @app.on("coroutine", concurrent=True)
    async def coroutine(message: Message) -> str:
        before = trace_id()
        await asyncio.sleep(0.01)
        assert trace_id() == before
        return str(before)

    @app.on("parts", concurrent=True)
    async def parts(message: Message) -> AsyncIterator[str]:
        yield str(trace_id())
        await asyncio.sleep(0.01)
        yield str(trace_id())

    async def ask(connection: telex.asyncio.Connection) -> tuple[int, set[str]]:
        with traces.tracer.start_as_current_span("work") as work:
            found = [part.content async for part in connection.request_parts("", subject=subject)]
            return work.get_span_context().trace_id, set(found)

    async def ask_often() -> list[tuple[int, set[str]]]:
        opening = telex.asyncio.connect(server.address)
        async with telex.tracing.traced(opening) as connection:
            return await asyncio.gather(*[ask(connection) for _ in range(5)])

    with serving("asyncio", app) as server:
        answers = asyncio.run(ask_often())
        traces.wait_for(f"process {subject}", 5)
    assert [{str(number)} for number, _ in answers] == [found for _, found in answers]
    assert len({number for number, _ in answers}) == 5


def test_one_trace_across_two_servers(front_end: FrontEnd, traces: Traces) -> None:
    """A handler that asks another server hands its trace on: three spans, one trace."""
    back = traces.instrument(Application())

    @back.on("stock")
    def stock(message: Message) -> str:
        return "3"

    with serving(front_end, back) as behind:
        front = traces.instrument(Application())

        @front.on("shop", blocking=True)
        def shop(message: Message) -> Any:
            with telex.tracing.traced(telex.sync.connect(behind.address)) as connection:
                return connection.request("", subject="stock", timeout=PATIENCE).content

        with (
            serving(front_end, front) as server,
            telex.tracing.traced(telex.sync.connect(server.address)) as connection,
            traces.tracer.start_as_current_span("customer"),
        ):
            connection.request("", subject="shop", timeout=PATIENCE)
        customer, first, second = map(
            traces.wait_for, ("customer", "process shop", "process stock")
        )
    assert customer.context is not None
    assert first.context is not None
    assert first.parent is not None
    assert second.parent is not None
    assert first.parent.span_id == customer.context.span_id
    assert second.parent.span_id == first.context.span_id
    assert second.parent.trace_id == customer.context.trace_id


def test_a_span_says_what_was_handled(front_end: FrontEnd, traces: Traces) -> None:
    """Its attributes are those of the conventions for messaging."""
    with serving(front_end, traces.instrument(shop())) as server:
        with telex.sync.connect(server.address) as connection:
            connection.request("12345", subject="direct.pump", timeout=PATIENCE)
            connection.send("plain", subject="direct.hose")
        plain = traces.wait_for("process direct.*", 2)
        request = traces.named("process direct.*")[0]
    attributes = dict(request.attributes or {})
    assert attributes.pop("network.peer.port") != 0
    assert attributes == {
        "messaging.system": "telex",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.body.size": 5,
        "messaging.destination.name": "direct.pump",
        "messaging.destination.template": "direct.*",
        "messaging.message.id": "1",
        "network.peer.address": "127.0.0.1",
    }
    assert plain.kind is SpanKind.CONSUMER
    assert (plain.parent, plain.status.status_code) == (None, StatusCode.UNSET)


def test_what_fails_is_marked_and_what_is_refused_is_not(
    front_end: FrontEnd, traces: Traces
) -> None:
    """An exception is recorded; a refusal is an answer, told by its code."""
    with serving(front_end, traces.instrument(shop())) as server:
        with telex.sync.connect(server.address) as connection:
            for subject in ("fail", "refuse"):
                with pytest.raises(RemoteError):
                    connection.request("", subject=subject, timeout=PATIENCE)
        failed, refused = traces.wait_for("process fail"), traces.wait_for("process refuse")
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["exception"]
    assert (failed.attributes or {})["error.type"] == "KeyError"
    assert refused.status.status_code is StatusCode.UNSET
    assert (refused.attributes or {})["error.type"] == "out-of-stock"


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": 7, "tracestate": ["x"]},
        {"traceparent": "00-nonsense"},
        {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
        {"traceparent": "\x1b[31m", "baggage": {"a": 1}},
    ],
)
def test_a_trace_that_makes_no_sense_is_a_new_one(
    front_end: FrontEnd, traces: Traces, headers: dict[str, Any]
) -> None:
    """Whatever a peer writes there, the message is handled."""
    with serving(front_end, traces.instrument(shop())) as server:
        [number] = asked(server, "direct.x", **headers)
        span = traces.wait_for("process direct.*")
    assert span.parent is None
    assert span.context is not None
    assert number == str(span.context.trace_id)


def telling(traces: Traces, **options: Any) -> Application:
    """Return an application that tells the state of its trace, its baggage and its headers."""
    app = telex.tracing.instrument(Application(), tracer_provider=traces.provider, **options)

    @app.on("tell")
    def tell(message: Message) -> Any:
        state = trace.get_current_span().get_span_context().trace_state.to_header()
        return [state, baggage.get_baggage("site"), message.headers.get("baggage")]

    return app


def test_the_state_of_a_trace_travels_and_baggage_does_not(traces: Traces) -> None:
    """A peer puts nothing into the context of a handler, and is not told what is in this one's."""
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    with serving("sync", telling(traces)) as server:
        [answer] = asked(
            server, "tell", traceparent=parent, tracestate="vendor=1", baggage="site=north"
        )
        token = context.attach(baggage.set_baggage("site", "secret"))
        try:
            with telex.tracing.traced(telex.sync.connect(server.address)) as connection:
                told = connection.request("", subject="tell", timeout=PATIENCE)
        finally:
            context.detach(token)
    assert answer == ["vendor=1", None, "site=north"]
    assert told.content == ["", None, None]


def test_a_program_chooses_its_propagator(front_end: FrontEnd, traces: Traces) -> None:
    """Who trusts all peers may have baggage travel, on both ways and on both sides."""
    propagator = W3CBaggagePropagator()
    app = telling(traces, propagator=propagator)

    @app.on("come")
    def come(message: Message, peer: Peer) -> None:
        peer.send("", subject="there")

    async def ask_and_tell() -> list[Any]:
        opening = telex.asyncio.connect(server.address)
        async with telex.tracing.traced(opening, propagator=propagator) as connection:
            answer = await connection.request("", subject="tell", timeout=PATIENCE)
            return list(answer.content)

    with serving(front_end, app) as server:
        token = context.attach(baggage.set_baggage("site", "north"))
        try:
            opened = telex.sync.connect(server.address)
            with telex.tracing.traced(opened, propagator=propagator) as connection:
                answer = connection.request("", subject="tell", timeout=PATIENCE)
                connection.send("", subject="come")
                there = connection.receive(PATIENCE)
            answered = asyncio.run(ask_and_tell())
        finally:
            context.detach(token)
    assert answer.content == answered == ["", "north", "site=north"]
    assert there.headers["baggage"] == "site=north"


def sends(connection: telex.sync.Connection) -> dict[str, Callable[[Message], object]]:
    """Return every way to send a message."""
    return {
        "send": connection.send,
        "send in chunks": lambda message: connection.send(message, chunk_size=7),
        "send_many": lambda message: connection.send_many([message]),
        "request": connection.request,
        "request_many": lambda message: list(connection.request_many([message])),
        "request_parts": lambda message: list(connection.request_parts(message)),
    }


def test_every_way_to_send_names_the_trace(front_end: FrontEnd, traces: Traces) -> None:
    """The message itself stays as it was, and can be sent again."""
    seen: list[str] = []
    app = Application()

    @app.on()
    def note(message: Message) -> None:
        seen.append(message.headers.get("traceparent", ""))

    message = Message("", headers={"own": 1})
    with (
        serving(front_end, app) as server,
        telex.tracing.traced(telex.sync.connect(server.address)) as connection,
    ):
        with traces.tracer.start_as_current_span("work") as work:
            for send in sends(connection).values():
                send(message)
        connection.request(message, timeout=PATIENCE)
    number = f"{work.get_span_context().trace_id:032x}"
    assert [number in header for header in seen] == [True] * 6 + [False]
    assert message.headers == {"own": 1}


def test_every_way_to_send_names_the_trace_with_asyncio(traces: Traces) -> None:
    """Those that take asynchronous iterables among them."""
    seen: list[str] = []
    app = Application()

    @app.on()
    def note(message: Message) -> None:
        seen.append(message.headers.get("traceparent", ""))

    async def contents() -> AsyncIterator[str]:
        yield "one"

    async def send_all() -> int:
        connection = telex.tracing.traced(await telex.asyncio.connect(server.address))
        async with connection:
            with traces.tracer.start_as_current_span("work") as work:
                await connection.send("x")
                await connection.send_many(["x"])
                await connection.request("x", timeout=PATIENCE)
                assert len([part async for part in connection.request_parts("x")]) == 1
                assert len([answer async for answer in connection.request_many(["x"])]) == 1
                assert len([answer async for answer in connection.request_many(contents())]) == 1
            return work.get_span_context().trace_id

    with serving("asyncio", app) as server:
        number = asyncio.run(send_all())
    assert [f"{number:032x}" in header for header in seen] == [True] * 6


def test_what_a_handler_sends_by_its_peer_names_the_trace(
    front_end: FrontEnd, traces: Traces
) -> None:
    """The peer of a traced handler is the same peer to whoever keeps it."""
    app = traces.instrument(Application())
    peers: set[Peer] = set()

    @app.on("watch")
    def watch(message: Message, peer: Peer) -> int:
        peers.add(peer)
        peer.send("news")
        return len(peers)

    with serving(front_end, app) as server, telex.sync.connect(server.address) as connection:
        for _ in range(2):
            assert connection.request("", subject="watch", timeout=PATIENCE).content == 1
        news = connection.receive(PATIENCE)
        [peer] = peers
        assert peer.address in repr(peer)
        span = traces.named("process watch")[0]
    assert span.context is not None
    assert news.headers["traceparent"].split("-")[1] == f"{span.context.trace_id:032x}"


def test_handlers_that_come_later_and_wildcards_are_traced_too(traces: Traces) -> None:
    """Whenever a handler is registered, and for whatever."""
    app = Application()
    for pattern in ("a.*", "b.>", None):
        app.on(pattern)(lambda message: str(trace_id()))
    traces.instrument(app)
    app.on("late")(lambda message: str(trace_id()))
    with serving("sync", app) as server:
        for subject in ("a.1", "b.1.2", "other", "late"):
            [number] = asked(server, subject)
            assert int(number) > 0


def test_only_connections_can_be_traced() -> None:
    """Anything else is refused with what would be right."""
    with pytest.raises(TypeError, match="none of what connect"):
        telex.tracing.traced("tcp://127.0.0.1:1")  # type: ignore[type-var]
