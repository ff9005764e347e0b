"""The speaker in plain Python keeps the vectors and the conversations, and speaks with Telex.

It stands for an implementation in another language: what is true of it must follow from the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import telex.asyncio
import telex.sync
from telex import Address, RemoteError
from telex.conformance.application import fixed_application
from telex.conformance.loading import conversations, setups
from telex.conformance.run import of_server, play_all, why_left_out
from telex.conformance.serve import Judged, PeerForClients, entries, options_of
from telex.conversation.reactions import REACTIONS
from telex.testing.serving import FrontEnd, start
from tests.conformance.core import cell
from tests.conformance.speaker_end import SPEAKER, SpeakerEnd

CONFORMANCE = Path(__file__).parents[2] / "conformance"
VECTORS: dict[str, Any] = json.loads((CONFORMANCE / "vectors.json").read_text())
TIMEOUT = 5.0
CUT_AT_MOST = 20_000
FORMS = {"text", "json", "unreadable"}

of_both_front_ends = pytest.mark.parametrize("front_end", ["sync", "asyncio"])


def bytes_of(segments: list[dict[str, Any]]) -> bytes:
    """Return the bytes that segments describe."""
    return b"".join(bytes.fromhex(segment["hex"]) * segment["repeat"] for segment in segments)


def read(pieces: list[bytes], limits: dict[str, int]) -> tuple[list[Any], str | None, int]:
    """Return the messages, the code of the failure, and after how many bytes it was known."""
    data = bytearray()
    reading = SPEAKER.read(data, limits)
    messages: list[Any] = []
    count = 0
    try:
        for piece in pieces:
            count += len(piece)
            data += piece
            messages.extend(iter(lambda: next(reading), None))
    except SPEAKER.Problem as problem:
        data += b'\0\x14{"content-length":0}'
        assert list(reading) == []
        return messages, problem.code, count
    return messages, "incomplete" if data else None, count


def content_of(header: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return what a vector says about content."""
    form = SPEAKER.form_of(header)
    if form == "text" and header["content-encoding"].lower() == "binary":
        form = "bytes"
    try:
        content = SPEAKER.content_of(header, body)
    except SPEAKER.Problem:
        return {"unreadable": True}
    return {} if form == "bytes" else {form: content}


def shortfall(case: dict[str, Any]) -> str | None:
    """Say where the speaker, given a case in one piece and byte by byte, reads something else."""
    stream = bytes_of(case["stream"])
    failure = case["failure"]
    one_by_one = [stream[at : at + 1] for at in range(min(len(stream), CUT_AT_MOST))]
    for pieces in ([stream], [*one_by_one, stream[CUT_AT_MOST:]]):
        messages, code, after = read(pieces, case["limits"])
        expected = [
            (
                said["fields"],
                bytes_of(said["body"]),
                {key: said[key] for key in FORMS & said.keys()},
            )
            for said in case["messages"]
        ]
        came = [
            ({"byteorder": None, **header}, body, content_of(header, body))
            for header, body in messages
        ]
        if code != (failure and failure["code"]) or came != expected:
            return f"{case['name']}: {came}, {code}"
        is_known_late = failure and len(pieces) > 1 and after != failure["after"]
        if is_known_late and len(stream) <= CUT_AT_MOST:
            return f"{case['name']}: fails after {after} bytes"
    return None


def test_the_speaker_reads_what_the_vectors_say() -> None:
    """In one piece and byte by byte: the messages, their content, the failure and its moment."""
    assert VECTORS["cases"]
    assert [said for case in VECTORS["cases"] if (said := shortfall(case)) is not None] == []


def test_the_speaker_writes_what_the_vectors_say() -> None:
    """Byte by byte what Telex writes."""
    assert VECTORS["encodings"]
    for case in VECTORS["encodings"]:
        content, charset = case["content"], case["fields"].get("content-encoding", "utf-8")
        if "hex" in content:
            body = bytes.fromhex(content["hex"]) * content.get("repeat", 1)
        elif "json" in content:
            text = json.dumps(content["json"], ensure_ascii=False, separators=(",", ":"))
            body = text.encode(charset)
        else:
            body = content["text"].encode(charset)
        assert SPEAKER.encode(case["fields"], body) == bytes_of(case["stream"]), case["name"]


TIMELESS = [one for one in conversations() if not any("elapse" in step for step in one["steps"])]
"""The conversations in which no limit on time passes: the speaker has none."""


@pytest.mark.parametrize("conversation", TIMELESS, ids=[one["name"] for one in TIMELESS])
def test_the_conversation_of_the_speaker_keeps_it(conversation: dict[str, Any]) -> None:
    """Without a socket, in both roles, what no socket can show among it."""
    SpeakerEnd(conversation, setups()[conversation["setup"]]).keep(conversation)


def test_the_speaker_plays_every_cell_but_for_the_requests_of_a_server() -> None:
    """The cells that it leaves out are about a ping, which a server sends after a silence."""
    played = {cell(name) for one in TIMELESS for name in one.get("covers", ())}
    left = {(role.value, arrival.name) for role, _, arrival in set(REACTIONS) - played}
    assert left == {("server", name) for name in ("ERROR", "LATE_ERROR", "PONG", "LATE_PONG")}


@pytest.mark.parametrize("setup", ["plain", "token", "small"])
def test_the_speaker_keeps_the_conversations_with_a_server(setup: str) -> None:
    """All that can be played over a connection alone, but for the limits on time."""
    settings = setups()[setup]
    chosen = [one for one in of_server(conversations(), setup) if why_left_out(one) is None]
    assert chosen
    with speaking(token=settings.get("token", ""), limits=settings.get("limits", {})) as (
        host,
        port,
    ):
        played = list(play_all(chosen, Address.parse(f"tcp://{host}:{port}"), None, TIMEOUT))
    assert [f"{one.name}: {one.shortfall}" for one in played if one.shortfall is not None] == []


@pytest.mark.parametrize("setup", ["plain", "token", "small"])
def test_the_speaker_keeps_the_conversations_with_a_client(setup: str) -> None:
    """It asks the test peer for each conversation by its name, and the test peer judges."""
    settings = setups()[setup]
    of_setup = [one for one in conversations() if one.get("setup", "plain") == setup]
    names = list(entries(of_setup))
    assert names
    judged: list[Judged] = []
    is_judged = threading.Event()

    def tell(one: Judged) -> None:
        judged.append(one)
        is_judged.set()

    address = Address.parse("tcp://127.0.0.1:0")
    peer = PeerForClients(
        fixed_application(), address, conversations(), setup, settings, tell, timeout=TIMEOUT
    )
    with peer:
        serving = threading.Thread(target=peer.serve_forever)
        serving.start()
        try:
            for name in names:
                is_judged.clear()
                play_as_client(peer.address, name, settings)
                assert is_judged.wait(TIMEOUT), name
        finally:
            peer.shutdown()
            serving.join()
    assert [f"{one.name}: {one.shortfall}" for one in judged if one.shortfall is not None] == []
    assert [one.name for one in judged] == names


def play_as_client(where: Address, name: str, settings: dict[str, Any]) -> None:
    """Ask for a conversation, take whatever comes of it, and close."""
    client = SPEAKER.Client(where.host, where.port, settings.get("limits", {}))
    if "token" in settings or settings.get("hello"):
        hello = {"token": settings["token"]} if "token" in settings else {"keepalive": True}
        client.talk.hello(**hello)
    with contextlib.closing(client.socket), contextlib.suppress(SPEAKER.Problem):
        for _content in client.parts(f"conversation.{name}", "?"):
            pass
        client.close()


def serve(listener: socket.socket, **options: Any) -> None:
    """Serve with the speaker until the listener is shut down."""
    with contextlib.suppress(OSError):
        SPEAKER.serve(listener, **options)


@contextlib.contextmanager
def speaking(**options: Any) -> Iterator[tuple[str, int]]:
    """Serve with the speaker for the time of the context; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), kwargs=options)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@of_both_front_ends
@pytest.mark.parametrize("token", [None, "an open secret"])
def test_the_speaker_is_a_client_of_telex(front_end: FrontEnd, token: str | None) -> None:
    """Requests, parts, errors, plain messages, a ping and the close, with and without hello."""
    server = start(
        front_end, fixed_application(), "tcp://127.0.0.1:0", options_of({"token": token})
    )
    try:
        where = server.address
        client = SPEAKER.Client(where.host, where.port)
        if token:
            client.talk.hello(token=token)
        content = {"a": ["é", 1.5, None]}
        assert client.request("echo", content) == content
        assert list(client.parts("count", "3")) == ["1", "2", "3"]
        assert client.request("large", "1000000") == bytes(1_000_000)
        for subject, code in (("refuse", "not-today"), ("fail", "handler-failed"), ("x", None)):
            with pytest.raises(SPEAKER.Problem) as caught:
                client.request(subject, "?")
            assert caught.value.code == (code or "no-handler")
        client.talk.send("plain", subject="echo")
        client.answer_to(client.talk.ask("ping"))
        client.close()
    finally:
        server.shutdown()
        assert server.has_ended(TIMEOUT)
    assert client.talk.phase == "closed"
    [(header, body)] = client.received
    assert (header["subject"], body) == ("echo", b"plain")


def test_the_speaker_refuses_what_its_peer_cannot_take() -> None:
    """A reply over the peer's limits is too large, and the conversation goes on."""
    limits = telex.Limits(max_content_size=1000)
    with (
        speaking() as (host, port),
        telex.sync.connect(
            f"tcp://{host}:{port}", limits=limits, keepalive=True, timeout=TIMEOUT
        ) as client,
    ):
        with pytest.raises(RemoteError) as caught:
            client.request("1001", subject="large")
        assert caught.value.code == "too-large"
        assert client.request("1000", subject="large").content == bytes(1000)


def test_the_speaker_tells_a_lost_connection_from_a_close() -> None:
    """The program of a client gets the error of the socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = SPEAKER.Client(*listener.getsockname())
        with contextlib.closing(client.socket):
            peer, _ = listener.accept()
            linger = struct.pack("ii", 1, 0)  # a reset instead of the end of the stream
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.close()
            with pytest.raises(ConnectionError):
                client.request("echo", "x")


def test_the_speaker_reads_to_the_end_after_its_close() -> None:
    """The messages that were on their way come to the program, however many there are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = SPEAKER.Client(*listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            sending = threading.Thread(
                target=peer.sendall, args=(SPEAKER.encode({}, bytes(10_000)) * 100,)
            )
            closing = threading.Thread(target=client.close)
            sending.start()
            closing.start()
            assert peer.recv(1) == b""
            sending.join()
            peer.shutdown(socket.SHUT_WR)
            closing.join()
    assert len(client.received) == 100


@pytest.mark.parametrize("token", [None, "an open secret"])
def test_the_blocking_client_of_telex_speaks_with_the_speaker(token: str | None) -> None:
    """Requests, parts, errors, plain messages, a ping and the close, with and without hello."""
    with (
        speaking(token=token or "") as (host, port),
        telex.sync.connect(f"tcp://{host}:{port}", token=token, timeout=TIMEOUT) as client,
    ):
        assert client.request([1, "é"], subject="echo").content == [1, "é"]
        assert [part.content for part in client.request_parts("3", subject="count")] == [*"123"]
        with pytest.raises(RemoteError, match="not-today"):
            client.request("?", subject="refuse")
        client.send("plain", subject="echo")
        assert client.receive().content == "plain"
        client.ping(TIMEOUT)


@pytest.mark.parametrize("token", [None, "an open secret"])
def test_the_asyncio_client_of_telex_speaks_with_the_speaker(token: str | None) -> None:
    """Requests, parts, errors, plain messages, a ping and the close, with and without hello."""

    async def speak(address: str) -> None:
        connecting = telex.asyncio.connect(address, token=token, timeout=TIMEOUT)
        async with await connecting as client:
            assert (await client.request([1, "é"], subject="echo")).content == [1, "é"]
            parts = [part.content async for part in client.request_parts("3", subject="count")]
            assert parts == [*"123"]
            with pytest.raises(RemoteError, match="not-today"):
                await client.request("?", subject="refuse")
            await client.send("plain", subject="echo")
            assert (await client.receive()).content == "plain"
            await client.ping(TIMEOUT)

    with speaking(token=token or "") as (host, port):
        asyncio.run(speak(f"tcp://{host}:{port}"))
