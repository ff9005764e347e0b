"""The limits of an asyncio server: each is passed, and both sides are looked at."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from typing import Any

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, ProtocolError
from telex.application.peer import Peer
from telex.asyncio import serve
from telex.asyncio.server_driver import ServerDriver

from .stage import PATIENCE, Plain, in_loop, nothing_more, serving, wait_until


def requests(count: int, content: object = b"x", subject: str | None = None) -> list[Message]:
    """Return so many requests, numbered from 1."""
    return [
        Message(content, kind="request", id=number, subject=subject)
        for number in range(1, count + 1)
    ]


@in_loop
async def test_a_header_block_over_its_size_is_refused() -> None:
    """A proto-header that announces too much is answered at once, before the header comes."""
    async with serving(limits=Limits(max_header_size=1000)) as stage, stage.plug_in() as plain:
        plain.send_bytes(b"\x10\x00")
        [told] = await plain.receive_all()
        assert (told.kind, told.content["code"]) == ("error", "bad-message")
        plain.end()
        error = await stage.ending()
    assert isinstance(error, ProtocolError)


@in_loop
async def test_content_over_its_size_is_refused() -> None:
    """What is announced as too large is refused before it is sent."""
    async with serving(limits=Limits(max_content_size=1000)) as stage, stage.plug_in() as plain:
        plain.send_bytes(Message(b"x" * 1001).to_bytes()[:-1000])
        [told] = await plain.receive_all()
        assert (told.kind, told.content["code"]) == ("error", "too-large")


@in_loop
async def test_what_came_before_a_mistake_is_answered_first() -> None:
    """Good messages in front of bad bytes are handled, and the error comes after their answers."""
    async with serving() as stage, stage.plug_in() as plain:
        plain.send_bytes(b"".join(m.to_bytes() for m in requests(3)) + b"\x00\x00")
        kinds = [message.kind for message in await plain.receive_all()]
    assert kinds == ["reply", "reply", "reply", "error"]


@in_loop
async def test_a_refused_peer_that_goes_on_sending_still_learns_why() -> None:
    """What it sends is read and dropped, so that no reset overtakes the error."""
    async with serving() as stage, stage.plug_in() as plain:
        plain.send_bytes(b"\x00\x00" + b"x" * 5_000_000)
        await plain.writer.drain()
        [told] = await plain.receive_all()
        assert told.content["code"] == "bad-message"


@in_loop
async def test_a_slow_header_has_its_time() -> None:
    """A header that comes byte by byte is cut off ``header_timeout`` after its first byte."""
    async with serving(limits=Limits(header_timeout=0.5)) as stage, stage.plug_in() as plain:
        data = Message("x").to_bytes()

        async def trickle() -> None:
            for byte in data:
                plain.send_bytes(bytes([byte]))
                await asyncio.sleep(0.05)

        begin = time.monotonic()
        task = asyncio.create_task(trickle())
        [told] = await plain.receive_all()
        took = time.monotonic() - begin
        task.cancel()
        assert told.content["code"] == "timeout"
        assert took >= 0.5


@in_loop
async def test_a_missing_hello_has_its_time() -> None:
    """Where a token is demanded, a peer that says nothing is closed."""
    limits = Limits(handshake_timeout=0.3)
    async with serving(limits=limits, tokens={"a": "b"}) as stage, stage.plug_in() as plain:
        [told] = await plain.receive_all()
        assert told.content["code"] == "timeout"


@in_loop
async def test_silence_has_its_time() -> None:
    """``idle_timeout`` closes a peer that sends nothing, and none that waits for an answer."""
    app = Application()
    begin = 0.0

    @app.on()
    async def slow(message: Message) -> str:
        nonlocal begin
        await asyncio.sleep(2.0)
        begin = time.monotonic()
        return "at last"

    async with serving(app, limits=Limits(idle_timeout=1.5)) as stage, stage.plug_in() as plain:
        plain.send(*requests(1))
        assert (await plain.receive()).content == "at last"
        [told] = await plain.receive_all()
        assert told.content["code"] == "timeout"
        assert time.monotonic() - begin >= 1.5


@in_loop
async def test_keepalive_pings_who_wants_it() -> None:
    """A silent peer that asked for keepalive is pinged, and closed when it does not answer."""
    limits = Limits(ping_interval=0.3, ping_timeout=2.0)
    async with serving(limits=limits) as stage, stage.plug_in() as plain, stage.plug_in() as other:
        plain.send(Message({"keepalive": True}, kind="hello"))
        assert (await plain.receive()).kind == "welcome"
        ping = await plain.receive()
        assert ping.kind == "ping"
        plain.send(Message(b"", kind="pong", re=ping.id))
        assert (await plain.receive()).kind == "ping"
        [told] = await plain.receive_all()
        assert told.content["code"] == "timeout"
        other.send(*requests(1))
        assert (await other.receive()).kind == "reply"


@in_loop
async def test_a_peer_is_not_blamed_for_a_loop_that_was_held_up() -> None:
    """What came meanwhile could not be heard: a ping that is due has been answered, for one."""
    limits = Limits(ping_interval=0.1, ping_timeout=1.5)
    async with serving(limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message({"keepalive": True}, kind="hello"))
        assert (await plain.receive()).kind == "welcome"
        ping = await plain.receive()
        time.sleep(2.0)
        await asyncio.sleep(0)
        plain.send(Message(b"", kind="pong", re=ping.id))
        plain.send(*requests(1))
        kinds = [(await plain.receive()).kind]
        while kinds[-1] == "ping":
            kinds.append((await plain.receive()).kind)
        assert kinds[-1] == "reply"


@in_loop
async def test_unanswered_requests_are_bounded() -> None:
    """Past ``max_pending`` no more is read; when answers have gone, it goes on."""
    app = Application()
    gate = asyncio.Event()
    running = 0

    @app.on(concurrent=True)
    async def wait(message: Message) -> None:
        nonlocal running
        running += 1
        await gate.wait()

    async with serving(app, limits=Limits(max_pending=10)) as stage, stage.plug_in() as plain:
        for request in requests(40):
            plain.send(request)
            await plain.writer.drain()
            await asyncio.sleep(0.001)
        await wait_until(lambda: running == 10, "ten are being handled")
        await asyncio.sleep(0.02)
        assert running == 10
        gate.set()
        answers = [await plain.receive() for _ in range(40)]
        assert sorted(answer.re or 0 for answer in answers) == list(range(1, 41))


@in_loop
async def test_a_peer_that_does_not_read_is_not_read_from() -> None:
    """Past ``high_water`` unsent bytes nothing more is handled, until half of them have gone."""
    app = Application()
    handled = 0

    @app.on()
    def answer(message: Message) -> bytes:
        nonlocal handled
        handled += 1
        return b"x" * 10_000

    count = 2000
    async with serving(app, limits=Limits(high_water=100_000)) as stage, stage.plug_in() as plain:
        plain.send(*requests(count))
        await wait_until(lambda: stage.events.connections, "it is connected")
        peer: Any = stage.events.connections[0]
        await wait_until(lambda: peer._connection.is_backed_up, "output waits")
        before = -1
        while before != handled:
            before = handled
            await asyncio.sleep(0.02)
        assert handled < count
        assert peer._connection.unsent < 400_000
        answers = [await plain.receive() for _ in range(count)]
        assert [answer.re for answer in answers] == list(range(1, count + 1))


@in_loop
async def test_a_peer_that_is_flooded_by_handlers_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that send unasked to somebody who does not read are told, in the end."""
    app = Application()
    failures: list[str] = []

    @app.on()
    def flood(message: Message, peer: Peer) -> None:
        try:
            while True:
                peer.send(b"x" * 10_000)
        except ConnectionClosedError as error:
            failures.append(str(error))

    async with serving(app, limits=Limits(high_water=10_000)) as stage, stage.plug_in() as plain:
        plain.send(Message("go"))
        error = await stage.ending()
    assert isinstance(error, ConnectionClosedError)
    assert error.unsent > 10_000
    assert "reads far too slowly" in failures[0]


@in_loop
async def test_connections_are_bounded() -> None:
    """One too many is told so and closed; when another one leaves, there is room again."""
    async with serving(limits=Limits(max_connections=2)) as stage, stage.connect() as first:
        async with stage.connect() as second:
            await asyncio.gather(first.ping(), second.ping())
            with pytest.raises(ConnectionClosedError) as raised:
                async with stage.connect() as third:
                    await third.receive(PATIENCE)
            assert raised.value.code == "overloaded"
            await first.ping()
        await wait_until(lambda: len(stage.events.endings) == 2, "two have left")
        async with stage.connect() as third:
            await third.ping()


@in_loop
async def test_far_too_many_connections_are_not_even_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond those that are told, connections are closed without a word."""
    monkeypatch.setattr("telex.server.registry.MAX_REFUSED_CONNECTIONS", 20)
    monkeypatch.setattr("telex.connection.closing.LINGER_SECONDS", PATIENCE)
    async with contextlib.AsyncExitStack() as stack:
        stage = await stack.enter_async_context(serving(limits=Limits(max_connections=1)))
        plains = [await stack.enter_async_context(stage.plug_in()) for _ in range(60)]
        told = 0
        for plain in plains[1:]:
            with contextlib.suppress(ConnectionError):
                told += len(await plain.receive_all())
        assert 14 <= told <= 24


@in_loop
async def test_half_messages_of_all_connections_together_are_bounded() -> None:
    """Past ``max_buffered`` the connection that holds most is refused, and the others go on."""
    limits = Limits(max_buffered=2_000_000)  # what is coming in counts twice
    begun = Message(b"x" * 500_000).to_bytes()
    async with serving(limits=limits) as stage, contextlib.AsyncExitStack() as stack:
        sizes = (300_000, 400_000, 250_000)
        plains = [await stack.enter_async_context(stage.plug_in()) for _ in sizes]
        for plain, size in zip(plains, sizes, strict=True):
            plain.send_bytes(begun[:size])
            await plain.writer.drain()
        await wait_until(lambda: sum(stage.events.sizes) == sum(sizes), "all has come")
        assert not stage.events.endings
        plains[0].send_bytes(begun[300_000:380_000])
        [told] = await plains[1].receive_all()
        assert told.content["code"] == "overloaded"
        plains[2].send_bytes(begun[250_000:])
        assert len((await plains[2].receive()).body) == 500_000


@in_loop
async def test_unsent_output_of_all_connections_together_is_bounded() -> None:
    """Output counts as well: who lets most of it wait has to go."""
    app = Application()

    @app.on()
    def answer(message: Message) -> bytes:
        return b"x" * 1_000_000

    limits = Limits(max_buffered=30_000_000, high_water=20_000_000)
    async with serving(app, limits=limits) as stage, contextlib.AsyncExitStack() as stack:
        plains = [await stack.enter_async_context(stage.plug_in()) for _ in range(3)]
        for plain in plains:
            plain.send(*requests(18))
        error = await stage.ending()
        assert isinstance(error, ConnectionClosedError)
        assert error.code == "overloaded"
        async with stage.connect() as connection:
            await connection.ping()


@in_loop
async def test_a_flood_of_requests_by_many_is_bounded() -> None:
    """However many ask for much and read nothing, what is held stays under ``max_buffered``."""
    app = Application()

    @app.on()
    def answer(message: Message) -> bytes:
        return b"x" * 100_000

    limits = Limits(max_buffered=20_000_000, drain_timeout=0.1)
    async with serving(app, limits=limits) as stage, contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            plain = await stack.enter_async_context(stage.plug_in())
            plain.writer.transport.pause_reading()
            plain.send(*requests(200))
        await wait_until(lambda: len(stage.events.connections) == 40, "all are connected")
        registry = stage.server._server.registry
        await wait_until(lambda: stage.events.endings, "the first has to go")
        for _ in range(50):
            await asyncio.sleep(0.005)
            assert registry.bytes_held == sum(driver.bytes_held for driver in registry.drivers)
            assert registry.bytes_held <= limits.max_buffered
        assert registry.drivers
        assert {getattr(error, "code", None) for error in stage.events.endings} == {"overloaded"}


@in_loop
async def test_connections_that_are_gone_hold_nothing() -> None:
    """What a lost connection held is given back at once, without waiting for the collector."""
    app = Application()

    @app.on("big")
    async def big(message: Message) -> bytes:
        return b"x" * 5_000_000

    @app.on("parts")
    async def parts(message: Message) -> Any:
        yield 1
        await asyncio.Event().wait()

    gc.collect()
    gc.disable()
    try:
        async with serve(app, "tcp://127.0.0.1:0") as server:
            for end in ("close", "reset"):
                async with Plain.connect(server.address) as plain:
                    plain.send(*requests(3, subject="big"))
                    plain.send(Message("x", kind="request", id=4, subject="parts"))
                    await plain.receive()
                    assert held_by(ServerDriver) == 1
                    if end == "reset":
                        plain.reset()
                await wait_until(lambda: not held_by(ServerDriver), "all is given back")
    finally:
        gc.enable()


def held_by(kind: type) -> int:
    """Count the objects of a type that nobody has let go of, or that wait for the collector."""
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@in_loop
async def test_messages_being_handled_count_as_held() -> None:
    """Large messages in handlers that take their time count towards ``max_buffered``, too."""
    app = Application()
    gate = asyncio.Event()

    @app.on(concurrent=True)
    async def wait(message: Message) -> None:
        await gate.wait()

    limits = Limits(max_buffered=10_000_000, drain_timeout=0.1)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        for number in range(1, 20):
            with contextlib.suppress(ConnectionError):
                plain.send(Message(b"x" * 1_000_000, kind="request", id=number))
                await plain.writer.drain()
        told = await plain.receive_all()
        assert told[-1].content["code"] == "overloaded"
        gate.set()


@in_loop
async def test_what_is_held_is_counted_down_again() -> None:
    """After everything is handled and has gone, the server holds nothing."""
    app = Application()

    @app.on(concurrent=True)
    async def echo(message: Message) -> object:
        await asyncio.sleep(0)
        return message.content

    async with serving(app) as stage:
        async with stage.connect() as connection:
            content = b"x" * 100_000
            await asyncio.gather(*(connection.request(content) for _ in range(50)))
            registry = stage.server._server.registry
            await wait_until(lambda: registry.bytes_held == 0, "nothing is held")
        await stage.ending()
        assert registry.bytes_held == 0


@in_loop
async def test_a_peer_is_not_blamed_for_what_is_not_read() -> None:
    """While the server itself does not read, no time runs for the peer."""
    app = Application()
    gate = asyncio.Event()

    @app.on()
    async def wait(message: Message) -> None:
        await gate.wait()

    limits = Limits(header_timeout=1.5, idle_timeout=1.5, max_pending=1)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        data = b"".join(message.to_bytes() for message in requests(3))
        plain.send_bytes(data[:-5])
        await asyncio.sleep(2.5)
        assert not stage.events.endings
        gate.set()
        plain.send_bytes(data[-5:])
        assert [(await plain.receive()).re for _ in range(3)] == [1, 2, 3]


@in_loop
async def test_accepting_rests_when_the_system_has_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without file descriptors new connections wait; that is said once, and passes."""
    import errno

    monkeypatch.setattr("telex.asyncio.acceptor._REST_SECONDS", 0.01)
    async with serving() as stage:
        [acceptor] = stage.server._acceptors
        real = acceptor._listener.socket
        left = 3

        class Exhausted:
            def accept(self) -> Any:
                nonlocal left
                left -= 1
                if left <= 0:
                    acceptor._listener.socket = real
                raise OSError(errno.EMFILE, "too many open files")

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        acceptor._listener.socket = Exhausted()  # type: ignore[assignment]
        async with stage.connect() as connection:
            await connection.ping()
    assert caplog.text.count("new connections have to wait") == 1
    assert left == 0


@in_loop
async def test_good_peers_do_not_notice_bad_ones() -> None:
    """While many send a byte now and then, requests of others are answered as ever."""
    limits = Limits(header_timeout=0.5)
    async with serving(limits=limits) as stage, contextlib.AsyncExitStack() as stack:
        plains = [await stack.enter_async_context(stage.plug_in()) for _ in range(100)]
        for plain in plains:
            plain.send_bytes(b"\x00")
        async with stage.connect() as connection:
            for _ in range(50):
                await connection.request("x", timeout=PATIENCE)
        await asyncio.gather(*(nothing_more(plain) for plain in plains))
        await asyncio.gather(*(plain.go() for plain in plains))
        await wait_until(lambda: len(stage.events.endings) >= 100, "all the bad ones are gone")
