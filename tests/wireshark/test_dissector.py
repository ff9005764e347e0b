"""The dissector: fields, filters, answers, TLS, and every way in which bytes come in segments."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import telex
from telex import Address, Application, Message, Refusal
from telex.sync import Connection
from telex.tls import client_context, server_context
from tests.certificates import Authority
from tests.sync.stage import PATIENCE, ROOMY, running, wait_until
from tests.wireshark.capture import (
    Piece,
    Recorder,
    cut,
    from_client,
    from_server,
    joined,
    write_capture,
)
from tests.wireshark.tshark import NEEDS_TSHARK, frames_with, info_of, messages_in, run_tshark

pytestmark = NEEDS_TSHARK

ORDER = Message(
    {"article": "pump", "note": "für Zürich"},
    subject="orders.new",
    kind="request",
    id=7,
    timeout_ms=2000,
    headers={"site": "north", "place": {"row": [1, 2]}, "attempt": 2},
    byteorder="little",
)
REFUSAL = Message(
    {"code": "out-of-stock", "title": "Refused", "detail": "no more of these"},
    content_type="application/problem+json",
    kind="error",
    re=7,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a capture goes."""
    return tmp_path / "telex.pcap"


def shop() -> Application:
    """Return an application that answers in one part, in several, and with a refusal."""
    app = Application()
    app.on("echo")(lambda message: message.content)
    app.on()(lambda message: None)

    @app.on("count")
    def count(message: Message) -> Iterator[int]:
        yield from range(message.content)

    @app.on("sell")
    def sell(message: Message) -> None:
        raise Refusal("out-of-stock", "no more of these")

    return app


def talk(connection: Connection) -> None:
    """Send and ask in all the ways that the tests look for."""
    connection.send_many([Message(f"number {number}", subject="log") for number in range(20)])
    connection.send(b"\0\1\2" * 50_000, subject="blob")
    assert connection.request("hello", subject="echo", timeout=PATIENCE).content == "hello"
    parts = connection.request_parts(3, subject="count", timeout=PATIENCE)
    assert [part.content for part in parts] == [0, 1, 2]
    with pytest.raises(telex.RemoteError):
        connection.request(None, subject="sell", timeout=PATIENCE)
    connection.ping(PATIENCE)


def talk_in_a_loop(address: Address) -> None:
    """Do the same with the other front-end."""

    async def main() -> None:
        async with telex.asyncio.connect(address) as connection:
            await connection.send_many(
                [Message(f"number {number}", subject="log") for number in range(20)]
            )
            await connection.send(b"\0\1\2" * 50_000, subject="blob")
            await connection.request("hello", subject="echo", timeout=PATIENCE)
            parts = connection.request_parts(3, subject="count", timeout=PATIENCE)
            assert [part.content async for part in parts] == [0, 1, 2]
            with pytest.raises(telex.RemoteError):
                await connection.request(None, subject="sell", timeout=PATIENCE)
            await connection.ping(PATIENCE)

    telex.asyncio.run(main())


def talk_in_threads(address: Address) -> None:
    """Talk over the blocking front-end."""
    with telex.sync.connect(address) as connection:
        talk(connection)


@pytest.fixture(scope="module", params=[talk_in_threads, talk_in_a_loop], ids=["sync", "asyncio"])
def recorded(request: pytest.FixtureRequest) -> list[Piece]:
    """Return what crossed a connection between a server and each of the clients."""
    with running(shop(), limits=ROOMY) as server, Recorder(server.address) as recorder:
        request.param(recorder.address)
    return recorder.pieces


def in_crumbs(pieces: list[Piece]) -> list[Piece]:
    """Cut what is short byte by byte, and what is long in pieces of 500 bytes."""
    return [
        crumb for piece in pieces for crumb in cut([piece], 1 if len(piece.data) < 2_000 else 500)
    ]


def at_random(pieces: list[Piece]) -> list[Piece]:
    """Join what went one way, and cut it at random places."""
    dice = random.Random(7)
    cuts = []
    for way, data in joined(pieces):
        start = 0
        while start < len(data):
            size = int(3000 ** dice.random())
            cuts.append(Piece(way, data[start : start + size]))
            start += size
    return cuts


@pytest.mark.parametrize("cutting", [list, joined, in_crumbs, at_random])
def test_every_message_is_shown_once_however_it_came(
    recorded: list[Piece], cutting: Callable[[list[Piece]], list[Piece]], path: Path
) -> None:
    """What real clients and servers said is shown, pipelined or in crumbs, and nothing else."""
    shown = messages_in(write_capture(path, cutting(recorded)))
    assert not any(message.malformed or message.incomplete for message in shown)
    subjects = [message["subject"] for message in shown if "subject" in message.fields]
    assert subjects == ["log"] * 20 + ["blob", "echo", "count", "sell"]
    [blob] = [message for message in shown if message.fields.get("subject") == ["blob"]]
    assert bytes.fromhex(blob["content"]) == b"\0\1\2" * 50_000
    kinds = [message["kind"] for message in shown if "kind" in message.fields]
    assert sorted(kinds) == sorted(
        ["request"] * 3 + ["reply"] * 5 + ["error", "ping", "pong", "close", "close"]
    )


def test_each_field_is_shown(path: Path) -> None:
    """All that the format knows, headers of the application's own, and the content."""
    [shown] = messages_in(write_capture(path, from_client(ORDER.to_bytes())))
    header, body = ORDER.to_buffers()
    assert shown.title == f"Telex, request orders.new #7, application/json, {len(body)} bytes"
    assert shown["header_length"] == str(len(header) - 2)
    assert shown["header"] == header[2:].decode()
    assert (shown["kind"], shown["subject"], shown["id"]) == ("request", "orders.new", "7")
    assert shown["timeout"] == "2000"
    assert (shown["content_type"], shown["content_encoding"]) == ("application/json", "utf-8")
    assert (shown["byteorder"], shown["content_length"]) == ("little", str(len(body)))
    assert shown.fields["header.name"] == ["site", "place", "attempt"]
    assert shown.fields["header.value"] == ["north", '{"row":[1,2]}', "2"]
    assert bytes.fromhex(shown["content"]) == body
    assert shown["text"] == body.decode()
    assert {"re", "more", "code"}.isdisjoint(shown.fields)


def test_a_timeout_is_shown_in_milliseconds(path: Path) -> None:
    """Also the longest one, which no double counts more finely; and none where none was sent."""
    messages = [Message("x", id=1, timeout_ms=timeout) for timeout in (1, 2**53 - 1, None)]
    data = b"".join(message.to_bytes() for message in messages)
    write_capture(path, from_client(data))
    shown = [message.fields.get("timeout") for message in messages_in(path)]
    assert shown == [["1"], ["9007199254740991"], None]
    tree = run_tshark(path, "-V")
    assert "The answer is waited for: 1 ms" in tree
    assert "The answer is waited for: 9007199254740991 ms" in tree


def test_text_is_shown_in_its_charset(path: Path) -> None:
    """What Wireshark can decode is text; anything else is bytes, and nothing is guessed."""
    known = ["utf-8", "utf-16-le", "utf-16-be", "latin-1"]
    contents = [Message("Grüße", encoding=encoding) for encoding in [*known, "cp1140"]]
    data = b"".join(message.to_bytes() for message in contents)
    *readable, unknown = messages_in(write_capture(path, from_client(data)))
    assert [shown["text"] for shown in readable] == ["Grüße"] * len(known)
    assert "text" not in unknown.fields
    assert bytes.fromhex(unknown["content"]) == contents[-1].body


FILTERS_THAT_FIND_IT = [
    'telex.subject == "orders.new"',
    'telex.subject matches "^orders[.]"',
    'telex.kind == "request" && telex.id == 7',
    "telex.timeout <= 2000",
    "telex.content_length > 20",
    'telex.content_type == "application/json"',
    'telex.header.name == "site" && telex.header.value == "north"',
    'telex.header contains "orders"',
    'telex.text contains "Zürich"',
    "telex.content contains 70:75:6d:70",
    'json.value.string == "pump"',
]
FILTERS_THAT_DO_NOT = [
    'telex.subject == "orders"',
    "telex.id == 9007199254740991",
    "telex.timeout > 2000",
    "telex.more",
    "telex.malformed || telex.incomplete || telex.refused",
]


def test_messages_can_be_filtered_for(path: Path) -> None:
    """By their fields, and by what is in their content."""
    write_capture(path, from_client(ORDER.to_bytes()))
    assert len(frames_with(path, " && ".join(f"({each})" for each in FILTERS_THAT_FIND_IT))) == 1
    assert frames_with(path, " || ".join(f"({each})" for each in FILTERS_THAT_DO_NOT)) == []


def test_the_list_tells_what_came(path: Path) -> None:
    """The info column has a phrase for each message, and the code of an error."""
    many = ORDER.to_bytes() + Message("Grüße", subject="greet").to_bytes()
    write_capture(path, from_client(many) + from_server(REFUSAL.to_bytes()))
    orders = f"request orders.new #7, application/json, {len(ORDER.body)} bytes"
    assert info_of(path) == [
        f"{orders}; message greet, text/plain, 7 bytes",
        f"error to #7, out-of-stock, application/problem+json, {len(REFUSAL.body)} bytes",
    ]


def test_a_peer_cannot_drive_the_terminal(path: Path) -> None:
    """What could do so in a subject, a code or a header is shown with escapes."""
    hostile = "\x1b[31m\x00\x9b\u202e\n"
    message = Message("x", subject=hostile, headers={hostile: hostile})
    write_capture(path, from_client(message.to_bytes()))
    [info] = info_of(path)
    assert info == r"message \x1b[31m\x00\x9b?\x0a, text/plain, 1 byte"
    assert "\x1b" not in run_tshark(path, "-V")


def test_requests_and_answers_are_linked(path: Path) -> None:
    """An answer has the frame of its request and the time; a request the frame of its answer."""
    request, other = ORDER.to_bytes(), Message(1, kind="request", id=8).to_bytes()
    part = Message("part", kind="reply", re=8, more=True).to_bytes()
    reply = Message("late", kind="reply", re=8).to_bytes()
    stray = Message("stray", kind="reply", re=9).to_bytes()
    there, back = from_client(request + other, len(request)), from_server(REFUSAL.to_bytes())
    write_capture(path, [*there, *back, *from_server(part + reply + stray, len(part))])
    asked, counted, refused, half, whole, nobodys = messages_in(path, "-2")
    assert refused["request_in"] == str(asked.frame)
    assert asked["response_in"] == str(refused.frame)
    assert float(refused["response_time"]) == pytest.approx(0.002)
    assert (half["request_in"], whole["request_in"]) == (str(counted.frame), str(counted.frame))
    assert float(whole["response_time"]) == pytest.approx(0.003)
    assert "request_in" not in nobodys.fields


def test_an_answer_belongs_to_its_own_connection(path: Path) -> None:
    """The same ids on another connection, or from the other side, are others."""
    answer = Message("", kind="reply", re=7).to_bytes()
    write_capture(path, from_client(ORDER.to_bytes() + answer), from_server(answer))
    assert not any("request_in" in message.fields for message in messages_in(path, "-2"))


def test_a_refusal_stands_out(path: Path) -> None:
    """Its code and its reason are fields, and Wireshark's expert information names it."""
    write_capture(path, from_server(REFUSAL.to_bytes()))
    [shown] = messages_in(path)
    assert (shown["code"], shown["reason"]) == ("out-of-stock", "no more of these")
    assert frames_with(path, "telex.refused") == [shown.frame]
    assert "out-of-stock: no more of these" in run_tshark(path, "-z", "expert", "-q")


def test_an_error_that_tells_nothing_is_shown(path: Path) -> None:
    """A receiver must bear with content that lacks everything, and so does the dissector."""
    contents = [b"", b"{", b"[]", b'{"code": 1}', b"\xff", b'{"x":"y"}', b'{"reason":"none"}']
    data = [
        Message(content, content_type="application/problem+json", kind="error").to_bytes()
        for content in contents
    ]
    shown = messages_in(write_capture(path, from_server(b"".join(data))))
    assert [message["kind"] for message in shown] == ["error"] * len(contents)
    assert all("refused" in message.fields for message in shown)
    assert not any("code" in message.fields for message in shown)


def test_what_is_malformed_says_why(path: Path) -> None:
    """The reason names the field, or where in the header block it is."""
    write_capture(
        path,
        from_client(b"\0\x15{'content-length': 5}"),
        from_client(b'\0\x16{"content-length":"5"}'),
        from_client(b"\0\0"),
    )
    assert [line.removeprefix("malformed: ") for line in info_of(path)] == [
        "this is no JSON, at byte 1 of the header block",
        "field 'content-length' must be an integer from 0 to 2^53-1",
        "no message begins here: its header block would be of 0 bytes",
    ]


def test_a_capture_may_set_in_anywhere(path: Path) -> None:
    """A segment in the middle of a message is malformed; the next message is not."""
    data = ORDER.to_bytes()
    shown = messages_in(write_capture(path, from_client(data[50:] + data, len(data) - 50)))
    assert [message.malformed for message in shown] == [True, False]


def test_packets_that_were_cut_when_captured_are_told(path: Path) -> None:
    """With a snapshot length, what is there is shown, and that the rest is missing."""
    write_capture(path, from_client(Message("x" * 1000, subject="long").to_bytes()), longest=300)
    [shown] = messages_in(path)
    assert shown.incomplete
    assert (shown["subject"], shown["content_length"]) == ("long", "1000")


def test_content_too_long_to_reassemble_is_shown_as_far_as_it_is_here(path: Path) -> None:
    """An announced length alone takes up no memory."""
    sizes = [2**26 + 1, 2**32 + 5, 2**53 - 1]
    blocks = [b'{"content-length":%d}' % size for size in sizes]
    streams = [len(block).to_bytes(2, "big") + block + b"begins" for block in blocks]
    shown = messages_in(write_capture(path, *map(from_client, streams)))
    assert all(message.incomplete for message in shown)
    assert [message["content_length"] for message in shown] == list(map(str, sizes))
    assert [message["content"] for message in shown] == [b"begins".hex()] * len(sizes)


def test_other_ports_are_found_by_what_is_said_there(path: Path) -> None:
    """Where the first segment has a whole header block, no port need be named."""
    data = Message("x" * 1000, subject="long").to_bytes()
    write_capture(path, from_client(data * 3, 200, 1500), from_client(b"GET / HTTP"), port=9999)
    assert [message["subject"] for message in messages_in(path)] == ["long"] * 3


@pytest.mark.parametrize(
    "option", [("-o", "telex.ports:1,9990-10000"), ("-d", "tcp.port==9999,telex")]
)
def test_other_ports_can_be_named(path: Path, option: tuple[str, str]) -> None:
    """In the preferences, or with "Decode As", however short the first segment is."""
    write_capture(path, cut(from_client(ORDER.to_bytes()), 1), port=9999)
    assert messages_in(path) == []
    [shown] = messages_in(path, *option)
    assert shown["subject"] == "orders.new"


def test_tls_is_looked_into_when_it_can_be_decrypted(tmp_path: Path, path: Path) -> None:
    """With the secrets that a client wrote down, all is shown as it is without TLS."""
    authority = Authority(tmp_path)
    server = authority.issue("127.0.0.1")
    context = server_context(server.certificate, server.key)
    trusting = client_context(authority.file)
    trusting.keylog_filename = str(tmp_path / "secrets")
    with (
        running(shop(), "tls://127.0.0.1:0", tls=context, limits=ROOMY) as stage,
        Recorder(stage.address) as recorder,
        telex.sync.connect(recorder.address, tls=trusting) as connection,
    ):
        talk(connection)
    write_capture(path, cut(recorder.pieces, 1000))
    assert messages_in(path) == []
    shown = messages_in(path, "-o", f"tls.keylog_file:{tmp_path / 'secrets'}")
    subjects = [message["subject"] for message in shown if "subject" in message.fields]
    assert subjects == ["log"] * 20 + ["blob", "echo", "count", "sell"]
    assert not any(message.malformed or message.incomplete for message in shown)


def test_it_watches_live(path: Path) -> None:
    """What crosses this machine right now is shown, where capturing is allowed."""
    dumpcap = shutil.which("dumpcap")
    with running(shop()) as server:
        command: list[Any] = [dumpcap, "-i", "lo", "-f", f"tcp port {server.address.port}"]
        with subprocess.Popen([*command, "-P", "-w", path], stderr=subprocess.PIPE) as capturing:
            try:
                if not captures(capturing, server.connect, path):
                    pytest.skip("capturing on the loopback interface is not allowed here")
            finally:
                capturing.terminate()
        shown = messages_in(path, "-o", f"telex.ports:{server.address.port}")
    assert "echo" in [message["subject"] for message in shown if "subject" in message.fields]


def captures(
    capturing: subprocess.Popen[bytes], connect: Callable[[], Connection], path: Path
) -> bool:
    """Talk until a packet is in the file; say whether that came to be, or capturing has failed."""

    def has_a_packet() -> bool:
        if capturing.poll() is None and not (path.exists() and path.stat().st_size > 1000):
            with connect() as connection:
                connection.request("hello", subject="echo", timeout=PATIENCE)
            return False
        return True

    wait_until(has_a_packet, "a packet is captured")
    return capturing.poll() is None
