"""A speaker of Telex in plain Python, with sockets and JSON alone: an example to rewrite.

    python conformance/speaker.py serve 127.0.0.1 7766
    python conformance/speaker.py ask 127.0.0.1 7766 SUBJECT TEXT

docs/wire-format.md is what this program follows. It leaves out TLS and the limits on time.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

Header = dict[str, Any]
Message = tuple[Header, bytes]  # a header with its defaults, and the content as bytes

SAFE = 2**53 - 1
MOST_OWN = 64 * 1024
OWN_KINDS = ("hello", "welcome", "error", "close", "ping", "pong")
ENDING = ("bad-message", "too-large", "unauthorized", "timeout", "overloaded", "shutting-down")
FRONT = ("byteorder", "content-type", "content-encoding", "kind", "subject", "more")
NUMBERS = ("content-length", "id", "re")
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
MEDIA_TYPE = re.compile(rf"({TOKEN}/{TOKEN})(?:[ \t]*;.*)?", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
CHARSETS = {"us-ascii": "ascii", "iso-8859-1": "latin-1", "binary": "utf-8"}
CHARSETS |= {name: name for name in ("utf-8", "ascii", "latin-1", "utf-16-le", "utf-16-be")}


class Problem(Exception):  # noqa: N818 - it is the name that the format has
    """Something is refused, or has ended, with a code of the format."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


# The codec


def encode(header: Header, body: bytes) -> bytes:
    """Return the bytes of a message: what repeats stands in front, the numbers last."""
    own = [name for name in header if name not in (*FRONT, *NUMBERS)]
    said = {**header, "content-length": len(body)}
    ordered = {name: said[name] for name in (*FRONT, *own, *NUMBERS) if name in said}
    block = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()
    return len(block).to_bytes(2, "big") + block + body


def understand(block: bytes) -> Header:
    """Read a header block, strictly, and fill in the defaults; raise ValueError."""
    text = block.decode("utf-8")
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", STRING.sub("", text)):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    header = parse(text, object_pairs_hook=unique, parse_int=whole) if deepest <= 64 else None
    if not isinstance(header, dict) or "content-length" not in header:
        raise ValueError("no object with content-length, of at most 64 levels")
    for name in CHECKS.keys() & header.keys():
        if not CHECKS[name](header[name]):
            raise ValueError(f"{name} must not be {header[name]!r}")
    header.setdefault("content-type", "application/octet-stream")
    default = "binary" if form_of(header) == "bytes" else "utf-8"
    return {"content-encoding": default, **header}


def is_number(value: object, least: int) -> bool:
    """Say whether a value is an integer of the format; true and 5.0 are none."""
    return type(value) is int and least <= value <= SAFE


CHECKS: dict[str, Callable[[Any], bool]] = {
    "byteorder": lambda value: value in ("little", "big"),
    "content-type": lambda value: isinstance(value, str) and bool(MEDIA_TYPE.fullmatch(value)),
    "content-encoding": lambda value: isinstance(value, str) and value != "",
    "content-length": lambda value: is_number(value, 0),
    "kind": lambda value: isinstance(value, str),
    "subject": lambda value: isinstance(value, str),
    "id": lambda value: is_number(value, 1),
    "re": lambda value: is_number(value, 1),
    "more": lambda value: value is True,
}


def parse(text: str, **hooks: Any) -> Any:
    """Read JSON as RFC 8259 has it: no NaN, no infinity, no half of a surrogate pair."""
    value = json.loads(text, parse_float=finite, parse_constant=finite, **hooks)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def finite(text: str) -> float:
    """Read a number that a 64-bit float can hold."""
    if not math.isfinite(float(text)):
        raise ValueError(f"no number: {text[:20]}")
    return float(text)


def whole(text: str) -> int:
    """Read an integer that a 64-bit float can hold."""
    finite(text)
    return int(text)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object in which no name stands twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def essence_of(header: Header) -> str:
    """Return the content type in lower case, without parameters."""
    match = MEDIA_TYPE.fullmatch(header["content-type"])
    return match[1].lower() if match else ""


def form_of(header: Header) -> str:
    """Say whether content is "json", "text" or "bytes"."""
    essence = essence_of(header)
    if essence in ("application/json", "text/json") or essence.endswith("+json"):
        return "json"
    return "text" if essence.startswith("text/") else "bytes"


def content_of(header: Header, body: bytes) -> Any:
    """Return the content: text, what JSON says, or bytes. Raise ValueError if it is unreadable."""
    form, charset = form_of(header), header["content-encoding"].lower()
    if form == "bytes" or (form == "text" and charset == "binary"):
        return body
    if charset == "utf-16":
        charset = "utf-16-be" if body[:2] == b"\xfe\xff" else "utf-16-le"
        body = body[2:] if body[:2] in (b"\xfe\xff", b"\xff\xfe") else body
    if charset not in CHARSETS:
        raise ValueError(f"unknown charset {charset}")
    text = body.decode(CHARSETS[charset])
    return parse(text) if form == "json" else text


def packed(content: Any) -> Message:
    """Return the fields and the body for content: text, bytes, or else JSON."""
    if isinstance(content, bytes):
        form, charset, body = "application/octet-stream", "binary", content
    elif isinstance(content, str):
        form, charset, body = "text/plain", "utf-8", content.encode()
    else:
        form, charset = "application/json", "utf-8"
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return {"byteorder": sys.byteorder, "content-type": form, "content-encoding": charset}, body


class Reader:
    """Cuts a stream into messages; ``look`` sees each header before its content has come."""

    def __init__(self, max_header: int = 16 * 1024, max_content: int = 16 * 1024 * 1024) -> None:
        self.max_header, self.max_content = max_header, max_content
        self.look: Callable[[Header, int], None] = lambda header, length: None
        self.data, self.header, self.failed = bytearray(), Header(), False

    def read(self, data: bytes) -> Iterator[Message]:
        """Yield each message that is complete; raise Problem at what is none, and read no more."""
        self.data += data
        try:
            while not self.failed and (message := self._next()) is not None:
                yield message
        except Problem:
            self.failed = True
            raise

    def is_between_messages(self) -> bool:
        """Say whether the stream may end here."""
        return not self.data and not self.header

    def _next(self) -> Message | None:
        if not self.header and len(self.data) >= 2:
            size = int.from_bytes(self.data[:2], "big")
            if not 2 <= size <= self.max_header:
                raise Problem("bad-message", f"a header block of {size} bytes")
            if self.data[2:3].strip(b"{ \t\r\n"):
                raise Problem("bad-message", "the header block is no object")
            if len(self.data) >= 2 + size:
                self._take_header(bytes(self.data[2 : 2 + size]))
                del self.data[: 2 + size]
        if not self.header or len(self.data) < self.header["content-length"]:
            return None
        header, self.header = self.header, {}
        length = header.pop("content-length")
        body = bytes(self.data[:length])
        del self.data[:length]
        return header, body

    def _take_header(self, block: bytes) -> None:
        try:
            header = understand(block)
        except ValueError as error:
            raise Problem("bad-message", str(error)) from None
        if header["content-length"] > self.max_content:
            raise Problem("too-large", f"content of {header['content-length']} bytes")
        self.look(header, header["content-length"])
        self.header = header


# The conversation: bytes come in, messages for the program and bytes go out; it has no socket


class Conversation:
    """One end of a connection: ``phase`` is the one of the diagram, ``output`` is to be sent."""

    def __init__(self, is_server: bool, token: str | None = None, **limits: int) -> None:
        self.is_server, self.token = is_server, token
        self.phase = "greeting" if is_server and token else "open"
        self.reader, self.output = Reader(**limits), bytearray()
        self.reader.look = self._look
        self.peer_header, self.peer_content = self.reader.max_header, self.reader.max_content
        self.waiting: dict[int, str] = {}  # our requests and pings, by id
        self.late: set[int] = set()  # those of them that were given up
        self.unanswered: set[int] = set()  # the peer's requests
        self.code = "closed"  # why the peer, or this side, has ended the conversation
        self.last_id = self.before_hello = 0
        self.has_kinds = self.is_late_for_hello = self.awaits_welcome = False

    def send(self, content: Any = b"", **fields: Any) -> None:
        """Send a message; raise Problem if it is larger than the peer accepts."""
        if self.phase not in ("greeting", "open", "finishing"):
            raise Problem("closed", "nothing may be sent any more")
        header, body = packed(content)
        data = encode({**header, **fields}, body)
        if len(body) > self.peer_content or len(data) - len(body) - 2 > self.peer_header:
            raise Problem("too-large", f"{len(body)} bytes, and {self.peer_content} are allowed")
        self.output += data

    def ask(self, kind: str, content: Any = b"", **fields: Any) -> int:
        """Send a request or a ping, and return its id."""
        self.send(content, kind=kind, id=self.last_id + 1, **fields)
        self.last_id += 1
        self.waiting[self.last_id] = kind
        return self.last_id

    def hello(self, **members: Any) -> None:
        """Open the conversation as a client."""
        self.send({"version": 1, **members}, kind="hello")
        self.phase, self.awaits_welcome = "greeting", True

    def give_up(self, number: int) -> None:
        """Drop the answer when it comes."""
        if self.waiting.pop(number, None):
            self.late.add(number)

    def answer(self, number: int, content: Any, **fields: Any) -> None:
        """Send the reply to a request, or with more=True one part of it."""
        try:
            self.send(content, kind="reply", re=number, **fields)
        except Problem as problem:  # larger than the peer accepts
            self.tell(problem.code, problem.detail, re=number)
        if "more" not in fields:
            self._answered(number)

    def tell(self, code: str, detail: str = "", **fields: Any) -> None:
        """Send an error; with re, it is the answer to a request."""
        problem = {"code": code, "detail": detail[:1000]}
        self.send(problem, **{"content-type": "application/problem+json"}, kind="error", **fields)
        self._answered(fields.get("re", 0))

    def close(self) -> None:
        """Say close, to a peer that knows kinds; what was asked is given up."""
        if self.has_kinds:
            self.send({"code": "closed", "reason": ""}, kind="close")
        for number in list(self.waiting):
            self.give_up(number)
        self.phase = "closed" if self.phase == "finishing" else "closing"

    def receive(self, data: bytes) -> Iterator[Message]:
        """Take bytes, or none at the end of the stream; yield the messages for the program."""
        try:
            if not data and not self.reader.is_between_messages():
                raise Problem("bad-message", "the stream ended inside a message")
            if not data:
                self._end("closed")
            for header, body in self.reader.read(data):
                if self._react(header, body):
                    yield header, body
                self._answered(0)
        except Problem as problem:
            if self.phase in ("greeting", "open", "finishing"):
                self.tell(problem.code, problem.detail)
            self.phase, self.code = "failed", problem.code

    def _answered(self, number: int) -> None:
        self.unanswered.discard(number)
        if self.phase == "finishing" and not self.unanswered:
            self.close()

    def _end(self, code: str) -> None:
        """Take the last message of the peer, or the end of its stream."""
        self.code = code
        self.phase = {"closing": "closed", "closed": "closed"}.get(self.phase, "finishing")
        self._answered(0)

    def _look(self, header: Header, length: int) -> None:
        """Refuse what can be refused before its content has come."""
        kind = header.get("kind")
        if self.phase in ("finishing", "closed"):
            raise Problem("bad-message", "a message after close")
        if self.is_server and self.phase == "greeting":
            self.before_hello += 1
            if kind not in ("hello", "ping", "close") or self.before_hello > 64:
                raise Problem("unauthorized", "a token is demanded")
        if kind in OWN_KINDS and length > MOST_OWN:
            raise Problem("too-large", f"{kind} of {length} bytes")

    def _react(self, header: Header, body: bytes) -> bool:
        """Do what the table of reactions says; return whether the program gets the message."""
        kind, number, asked = header.get("kind"), header.get("id"), header.get("re")
        is_late = self.is_late_for_hello
        self.is_late_for_hello |= kind not in (None, "ping")
        self.has_kinds |= kind is not None
        is_again = kind == "request" and number in self.unanswered
        if is_again or (kind in ("request", "ping") and number is None):
            raise Problem("bad-message", f"{kind} with the id {number}")
        if kind in ("reply", "pong") or (kind == "error" and asked is not None):
            return self._take_answer(str(kind), asked or 0, header.get("more", False))
        if kind == "error":
            code = members_of(header, body).get("code")
            if code in ENDING:
                self._end(code)
            return code not in ENDING
        if kind in ("hello", "welcome"):
            may_come = not is_late if self.is_server else self.awaits_welcome
            if (kind == "hello") != self.is_server or not may_come:
                raise Problem("bad-message", f"{kind} at this point")
            self._greet(header, body)
        elif kind == "close":
            code = members_of(header, body).get("code")
            self._end(code if isinstance(code, str) else "closed")
        elif kind is None or (kind == "request" and self.is_server and self.phase != "closing"):
            self.unanswered |= {number} if kind and number else set()
            return True
        elif self.phase != "closing":
            self._answer_itself(kind, number)
        return False

    def _answer_itself(self, kind: str, number: int | None) -> None:
        if kind == "ping":
            self.send(kind="pong", re=number)
        else:
            code = "no-handler" if kind == "request" else "unsupported-kind"
            self.tell(code, kind[:100], **({"re": number} if number else {}))

    def _take_answer(self, kind: str, asked: int, has_more: bool) -> bool:
        """Say whether an answer is waited for; one that was given up is dropped."""
        is_last = kind != "reply" or not has_more
        if asked in self.late:
            self.late -= {asked} if is_last else set()
            return False
        question = self.waiting.get(asked)
        if question is None or (kind != "error" and (kind == "pong") != (question == "ping")):
            raise Problem("bad-message", f"{kind} to nothing that was asked")
        if is_last:
            del self.waiting[asked]
        return True

    def _greet(self, header: Header, body: bytes) -> None:
        """Take a hello or a welcome."""
        said = members_of(header, body)
        limits, features = said.get("limits", {}), said.get("features", [])
        is_json = form_of(header) == "json" and "" not in said
        if not (
            is_json
            and header["content-encoding"].lower() in ("utf-8", "binary")
            and is_number(said.get("version", 1), 1)
            and said.get("version", 1) == 1
            and all(isinstance(said.get(name, ""), str) for name in ("agent", "token"))
            and isinstance(said.get("keepalive", False), bool)
            and isinstance(features, list)
            and all(isinstance(feature, str) for feature in features)
            and isinstance(limits, dict)
            and all(
                type(limits.get(name, 256)) is int and limits.get(name, 256) >= 256
                for name in ("max_header_size", "max_content_size")
            )
        ):
            raise Problem("bad-message", f"content of {header['kind']}")
        if self.is_server and self.token and said.get("token") != self.token:
            raise Problem("unauthorized", "the token is not known")
        self.awaits_welcome = False
        self.peer_header = limits.get("max_header_size", 16 * 1024)
        self.peer_content = limits.get("max_content_size", 16 * 1024 * 1024)
        if self.phase != "closing":
            self.phase = "open"
            if self.is_server:
                own = self.reader.max_header, self.reader.max_content
                sizes = dict(zip(("max_header_size", "max_content_size"), own, strict=True))
                self.send({"version": 1, "limits": sizes}, kind="welcome")


def members_of(header: Header, body: bytes) -> dict[str, Any]:
    """Return the object that the content is; where it is none, one that says so."""
    try:
        members = content_of(header, body)
    except ValueError:
        members = None
    return members if isinstance(members, dict) else {"": "no object"}


# A client, which blocks


class Client:
    """A connection to a server; ``received`` has the plain messages and errors without re."""

    def __init__(self, host: str, port: int, timeout: float = 10, **limits: int) -> None:
        self.socket = socket.create_connection((host, port), timeout)
        self.conversation = Conversation(False, None, **limits)
        self.received: list[Message] = []
        self.answers: list[Message] = []

    def parts(self, content: Any, subject: str) -> Iterator[Any]:
        """Ask, and yield the content of each part of the answer; raise Problem."""
        number = self.conversation.ask("request", content, subject=subject)
        count, has_more = 0, True
        while has_more:
            header, body = self.answer_to(number)
            has_more = header.get("more", False)
            is_mark = not body and essence_of(header) == "application/octet-stream"
            if has_more or not count or not is_mark:
                yield content_of(header, body)
            count += 1

    def answer_to(self, number: int) -> Message:
        """Return the next message that answers this request or ping; raise Problem."""
        while True:
            for header, body in self.answers:
                if header["re"] == number:
                    self.answers.remove((header, body))
                    if header["kind"] == "error":
                        raise Problem(members_of(header, body).get("code", "error"))
                    return header, body
            self.take()

    def take(self) -> None:
        """Send what is unsent, and take what comes; raise Problem at the end."""
        self.flush()
        if self.conversation.phase in ("closed", "failed"):
            self.socket.close()
            raise Problem(self.conversation.code, "the connection has ended")
        for header, body in self.conversation.receive(self.socket.recv(65536)):
            (self.answers if "re" in header else self.received).append((header, body))

    def flush(self) -> None:
        """Send what is unsent."""
        if self.conversation.output:
            self.socket.sendall(self.conversation.output)
            self.conversation.output.clear()

    def close(self) -> None:
        """Say close, end the stream, and wait for the end of the server."""
        self.conversation.close()
        self.flush()
        self.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Problem):
            while True:
                self.take()


# A server with the fixed application, a thread for each connection


def handle(talk: Conversation, held: list[Message], header: Header, body: bytes) -> None:
    """Handle a request or a plain message of the fixed application."""
    kind, number, subject = header.get("kind"), header.get("id", 0), header.get("subject")
    same = {name: header[name] for name in ("content-type", "content-encoding")}
    if kind is None and subject == "echo":
        talk.send(body, subject="echo", **same)
    elif kind is None and subject == "refuse":
        talk.tell("not-today")
    elif kind is None and subject == "release":
        while held:
            request, content = held.pop()
            handle(talk, held, {**request, "subject": "echo"}, content)
    elif kind != "request":
        return
    elif subject == "echo":
        talk.answer(number, body, **same)
    elif subject == "hold":
        held.append((header, body))
    elif subject == "count":
        for part in range(int(body)):
            talk.answer(number, str(part + 1), more=True)
        talk.answer(number, b"")
    elif subject == "large":
        talk.answer(number, bytes(int(body)))
    else:
        if subject == "fail-midway":
            talk.answer(number, "1", more=True)
        codes = {"refuse": "not-today", "fail": "handler-failed", "fail-midway": "handler-failed"}
        talk.tell(codes.get(str(subject), "no-handler"), re=number)


def serve_one(sock: socket.socket, token: str | None = None, **limits: int) -> None:
    """Serve one connection to its end."""
    talk, held, data = Conversation(True, token, **limits), list[Message](), b"?"
    with sock, contextlib.suppress(OSError):  # the client has gone
        while data and talk.phase not in ("closed", "failed"):
            data = sock.recv(65536)
            for header, body in talk.receive(data):
                handle(talk, held, header, body)
            sock.sendall(talk.output)
            talk.output.clear()
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(1)  # in which the client may read what was said last
        while sock.recv(65536):
            pass


def serve(listener: socket.socket, **options: Any) -> None:
    """Serve each connection of a listening socket in a thread of its own."""
    with contextlib.suppress(OSError):  # the listener was closed
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve_one, args=(sock,), kwargs=options, daemon=True).start()


def main(command: str, host: str, port: str, *words: str) -> None:
    """Serve, or ask and print each part of the answer."""
    if command == "serve":
        with socket.create_server((host, int(port))) as listener:
            print(f"listening on tcp://{host}:{port}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                serve(listener)
    else:
        client = Client(host, int(port))
        for content in client.parts(words[1], words[0]):
            print(content)
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
