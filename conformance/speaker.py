"""A speaker of Telex in plain Python, with sockets and JSON alone: an example to rewrite.

    python conformance/speaker.py serve 127.0.0.1 7766
    python conformance/speaker.py ask 127.0.0.1 7766 SUBJECT TEXT

docs/wire-format.md is what this program follows. It leaves out TLS and the limits on time.
"""

from __future__ import annotations

import json
import math
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

Header = dict[str, Any]
Limits = dict[str, int]
Message = tuple[Header, bytes]  # a header with its defaults, and the content as bytes

OWN_KINDS = ("hello", "welcome", "error", "close", "ping", "pong")
ENDING = ("bad-message", "too-large", "unauthorized", "timeout", "overloaded", "shutting-down")
FRONT = ("byteorder", "content-type", "content-encoding", "kind", "subject", "more")
NUMBERS = ("content-length", "id", "re", "timeout")
LIMITS = {"max_header_size": 2**14, "max_content_size": 2**24}
SPEAKING, OVER = ("greeting", "open", "finishing"), ("closed", "failed")
CHARSET = "binary|utf-8|utf-16(-le|-be)?|(us-)?ascii|latin-1|iso-8859-1"
BYTES = "application/octet-stream"
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
BROKEN = (ValueError, TypeError, RecursionError)


class Problem(Exception):  # noqa: N818 - it is the name that the format has
    """Something is refused, or has ended, with a code of the format."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


# The codec


def string(pattern: str = ".*") -> Callable[[Any], bool]:
    """Return a check for strings."""
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.DOTALL))


def integer(least: int, most: float = 2**53 - 1) -> Callable[[Any], bool]:
    """Return a check for integers; true and 5.0 are none."""
    return lambda value: type(value) is int and least <= value <= most


HEADER = {
    "byteorder": string("little|big"),
    "content-type": string(rf"{TOKEN}/{TOKEN}([ \t]*;.*)?"),
    "content-encoding": string(".+"),
    "content-length": integer(0),
    "kind": string(),
    "subject": string(),
    "id": integer(1),
    "re": integer(1),
    "timeout": integer(1),
    "more": lambda value: value is True,
}
GREETING = {
    "version": integer(1, 1),
    "agent": string(),
    "token": string(),
    "keepalive": lambda value: isinstance(value, bool),
    "features": lambda value: isinstance(value, list) and all(map(string(), value)),
    "limits": lambda value: fits(value, dict.fromkeys(LIMITS, integer(256, math.inf))),
}


def fits(value: Any, checks: dict[str, Callable[[Any], bool]]) -> bool:
    """Say whether a value is an object, and its known members are as they must be."""
    return isinstance(value, dict) and all(checks[n](value[n]) for n in checks.keys() & value)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object in which no name stands twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def number(text: str) -> float:
    """Read a number that a 64-bit float can hold."""
    if not math.isfinite(float(text)):
        raise ValueError("a number is too large, or none")
    return int(text) if text.lstrip("-").isdigit() else float(text)


def parse(text: str, make_object: Any = dict) -> Any:
    """Read JSON as RFC 8259 has it: no NaN, no infinity, no half of a surrogate pair."""
    hooks: Any = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), number)
    value = json.loads(text, object_pairs_hook=make_object, **hooks)
    compact(value)  # raises ValueError for half of a surrogate pair
    return value


def compact(value: object) -> bytes:
    """Write JSON without spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def depth_of(value: object) -> int:
    """Return the levels of nesting."""
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0) if isinstance(inner, list) else 0


def decode_header(block: bytes) -> Header:
    """Read a header block, strictly, and fill in the defaults; raise Problem."""
    try:
        header = {"content-length": None, "content-type": BYTES, **parse(block.decode(), unique)}
        if not fits(header, HEADER) or depth_of(header) > 64:
            raise ValueError("a field is not as it must be, or the header block is too deep")
    except BROKEN as error:
        raise Problem("bad-message", str(error)) from None
    return {"content-encoding": "binary" if form_of(header) == "bytes" else "utf-8", **header}


def essence_of(header: Header) -> str:
    """Return the content type in lower case, without parameters."""
    return str(header["content-type"]).partition(";")[0].rstrip(" \t").lower()


def form_of(header: Header) -> str:
    """Say whether content is "json", "text" or "bytes"."""
    if re.fullmatch(r"(application|text)/json|.*\+json", essence_of(header)):
        return "json"
    return "text" if essence_of(header).startswith("text/") else "bytes"


def content_of(header: Header, body: bytes, code: str = "bad-content") -> Any:
    """Return the content: text, what JSON says, or bytes; raise Problem if it is unreadable."""
    form, charset = form_of(header), header["content-encoding"].lower()
    if form == "bytes" or (form == "text" and charset == "binary"):
        return body
    if charset == "utf-16" and body[:2] not in (b"\xfe\xff", b"\xff\xfe"):
        charset = "utf-16-le"
    if not re.fullmatch(CHARSET, charset):
        raise Problem(code, "the charset is not known")
    try:
        text = body.decode("utf-8" if charset == "binary" else charset)
        return parse(text) if form == "json" else text
    except BROKEN as error:
        raise Problem(code, str(error)) from None


def is_mark(header: Header, body: bytes) -> bool:
    """Say whether the last message of an answer, after other parts, only marks its end."""
    return "more" not in header and not body and essence_of(header) == BYTES


def encode(header: Header, body: bytes) -> bytes:
    """Return the bytes of a message: what repeats stands in front, the numbers last."""
    said = {**header, "content-length": len(body)}
    order = [*FRONT, *(name for name in header if name not in FRONT + NUMBERS), *NUMBERS]
    block = compact({name: said[name] for name in order if name in said})
    return len(block).to_bytes(2, "big") + block + body


def read(
    data: bytearray, limits: Limits, check: Callable[[Header], None] = lambda header: None
) -> Iterator[Message | None]:
    """Cut messages off a growing buffer, and yield each; yield None while one is incomplete.

    ``check`` sees each header before its content has come. Raises Problem at what is no message,
    and ends then. The buffer is empty between two messages.
    """
    while True:
        while len(data) < 2:
            yield None
        start = 2 + int.from_bytes(data[:2], "big")
        if not 4 <= start <= 2 + limits["max_header_size"]:
            raise Problem("bad-message", "the header block is too small or too large")
        while len(data) < start:
            if data[2:3].strip(b"{ \t\r\n"):
                raise Problem("bad-message", "the header block is no object")
            yield None
        header = decode_header(bytes(data[2:start]))
        if header["content-length"] > limits["max_content_size"]:
            raise Problem("too-large", "there is more content than this side accepts")
        check(header)
        end = start + header.pop("content-length")
        while len(data) < end:
            yield None
        body = bytes(data[start:end])
        del data[:end]
        yield header, body


# The conversation: bytes come in, messages for the program and bytes go out; it has no socket


class Conversation:
    """One end of a connection: ``phase`` is the one of the diagram, ``output`` is to be sent."""

    def __init__(self, is_server: bool, token: str = "", limits: Limits = LIMITS) -> None:
        self.is_server, self.token = is_server, token  # that a server demands
        self.phase = "greeting" if token else "open"
        self.limits, self.peer_limits = LIMITS | limits, LIMITS
        self.output, self.data = bytearray(), bytearray()
        self.messages = read(self.data, self.limits, self._check)
        self.waiting: dict[int, str] = {}  # the kinds of our requests and pings, by id
        self.given_up: set[int] = set()  # those of them that nobody waits for any more
        self.unanswered: set[int] = set()  # the peer's requests
        self.code = "closed"  # with which the conversation has ended
        self.last_id = self.before_hello = 0
        self.may_greet, self.has_kinds = is_server, False  # the peer

    def send(self, content: Any = b"", **fields: Any) -> None:
        """Send text, bytes, or else JSON; raise Problem if it is larger than the peer accepts."""
        if isinstance(content, bytes):
            form, charset, body = BYTES, "binary", content
        elif isinstance(content, str):
            form, charset, body = "text/plain", "utf-8", content.encode()
        else:
            form, charset, body = "application/json", "utf-8", compact(content)
        header = {"byteorder": sys.byteorder, "content-type": form, "content-encoding": charset}
        data = encode({**header, **fields}, body)
        sizes = len(data) - len(body) - 2, len(body)
        if self.phase not in SPEAKING:
            raise Problem("closed", "nothing may be sent any more")
        if any(size > self.peer_limits[name] for name, size in zip(LIMITS, sizes, strict=True)):
            raise Problem("too-large", "the peer does not accept so much")
        self.output += data
        if fields.get("kind") in ("reply", "error") and "more" not in fields:
            self.unanswered.discard(fields.get("re", 0))

    def tell(self, code: str, detail: str = "", **fields: Any) -> None:
        """Send an error; with re, it is the answer to a request."""
        fields |= {"kind": "error", "content-type": "application/problem+json"}
        self.send({"code": code, "detail": detail[:100]}, **fields)

    def ask(self, kind: str, content: Any = b"", **fields: Any) -> int:
        """Send a request or a ping, and return its id."""
        self.last_id += 1
        self.send(content, kind=kind, id=self.last_id, **fields)
        self.waiting[self.last_id] = kind
        return self.last_id

    def hello(self, **members: Any) -> None:
        """Open the conversation as a client."""
        self.send({"version": 1, **members}, kind="hello")
        self.phase, self.may_greet = "greeting", True

    def close(self, code: str = "closed") -> None:
        """Say close, to a peer that knows kinds; what was asked is given up."""
        if self.has_kinds or code != "closed":
            self.send({"code": code, "reason": ""}, kind="close")
        self.given_up |= self.waiting.keys()
        self.phase = "closed" if self.phase == "finishing" else "closing"

    def receive(self, data: bytes) -> Iterator[Message]:
        """Take bytes, or none at the end of the stream; yield the messages for the program."""
        if self.phase in OVER:
            return
        self.data += data
        try:
            while self.phase not in OVER and (message := next(self.messages)):
                if self._react(*message):
                    yield message
            if not data and self.data:
                raise Problem("bad-message", "the stream ended inside a message")
            if not data and self.phase != "finishing":
                self._end("closed")
        except Problem as problem:
            if self.phase != "closing":
                self.tell(problem.code, problem.detail)
            self.phase, self.code = "failed", problem.code

    def _end(self, code: str) -> None:
        self.phase, self.code = "closed" if self.phase == "closing" else "finishing", code

    def _check(self, header: Header) -> None:
        """Refuse what can be refused before its content has come."""
        kind = header.get("kind")
        if self.phase == "finishing":
            raise Problem("bad-message", "the peer has said its last message")
        if self.token:
            self.before_hello += 1
            if kind not in ("hello", "ping", "close") or self.before_hello > 64:
                raise Problem("unauthorized", "a token is demanded")
        if kind in OWN_KINDS and header["content-length"] > 2**16:
            raise Problem("too-large", "there is more content than this kind may have")

    def _react(self, header: Header, body: bytes) -> bool:
        """Do what the tables of reactions say; return whether the program gets the message."""
        kind, number = header.get("kind"), header.get("id")
        may_greet, self.has_kinds = self.may_greet, self.has_kinds or kind is not None
        self.may_greet = may_greet and (kind in (None, "ping") or not self.is_server)
        taken = (None, *self.unanswered) if kind == "request" else (None,)
        if kind in ("request", "ping") and number in taken:
            raise Problem("bad-message", "there is no id, or another request has it")
        if kind in ("reply", "pong") or (kind == "error" and "re" in header):
            return self._take_answer(kind, header)
        if kind in ("hello", "welcome"):
            self._greet(header, body, may_greet and (kind == "hello") == self.is_server)
        elif kind in ("error", "close"):
            code = code_of(header, body)
            if kind == "error" and code not in ENDING:
                return True
            self._end(code)
        elif kind is None:
            return True
        elif kind == "request" and self.is_server and self.phase == "open":
            self.unanswered.add(header["id"])
            return True
        elif kind == "ping" and self.phase != "closing":
            self.send(kind="pong", re=number)
        elif self.phase != "closing":
            code = "no-handler" if kind == "request" else "unsupported-kind"
            self.tell(code, **({"re": number} if number else {}))
        return False

    def _take_answer(self, kind: str, header: Header) -> bool:
        """Return whether an answer is waited for; one that was given up is dropped."""
        number = header.get("re", 0)
        question = self.waiting.get(number)
        if question is None or question != {"reply": "request", "pong": "ping"}.get(kind, question):
            raise Problem("bad-message", "this answers nothing that was asked")
        is_dropped = number in self.given_up
        if kind != "reply" or "more" not in header:
            del self.waiting[number]
            self.given_up.discard(number)
        return not is_dropped

    def _greet(self, header: Header, body: bytes, is_expected: bool) -> None:
        """Take a hello or a welcome."""
        said = content_of(header, body, "bad-message")
        is_json = form_of(header) == "json"
        is_utf_8 = header["content-encoding"].lower() in ("utf-8", "binary")
        if not (is_expected and is_json and is_utf_8 and fits(said, GREETING)):
            raise Problem("bad-message", "this greeting is not as it must be, or not at its place")
        if self.token not in ("", said.get("token")):
            raise Problem("unauthorized", "the token is not known")
        self.token, self.may_greet = "", False
        self.peer_limits = LIMITS | said.get("limits", {})
        if self.phase != "closing":
            self.phase = "open"
            if self.is_server:
                self.send({"version": 1, "limits": self.limits}, kind="welcome")


def code_of(header: Header, body: bytes) -> str:
    """Return the code in the content of an error or a close."""
    with suppress(Problem, TypeError, LookupError):
        code = content_of(header, body)["code"]
        if isinstance(code, str):
            return code
    return "closed" if header["kind"] == "close" else "error"


# The client and the server: each is a socket and a conversation


def exchange(sock: socket.socket, talk: Conversation) -> Iterator[Message]:
    """Send what there is to send, and yield the messages for the program, to the end."""
    data = b"?"
    while True:
        if talk.output:
            sock.sendall(talk.output)
            talk.output.clear()
        if talk.phase not in SPEAKING:
            with suppress(OSError):  # both streams have ended already
                sock.shutdown(socket.SHUT_WR)
        if not data or talk.phase in OVER:
            break
        data = sock.recv(2**16)
        yield from talk.receive(data)
        if talk.phase == "finishing" and not talk.unanswered:
            talk.close()
    sock.settimeout(1)  # in which the peer may read what was said last
    with suppress(OSError):
        while sock.recv(2**16):
            pass


class Client:
    """A connection to a server; ``received`` has the plain messages and errors without re."""

    def __init__(self, host: str, port: int, limits: Limits = LIMITS) -> None:
        self.socket = socket.create_connection((host, port), 10)
        self.talk = Conversation(False, limits=limits)
        self.messages = exchange(self.socket, self.talk)
        self.received: list[Message] = []

    def request(self, subject: str, content: Any) -> Any:
        """Ask, and return the content of an answer in one message; raise Problem."""
        [answer] = self.parts(subject, content)
        return answer

    def parts(self, subject: str, content: Any) -> Iterator[Any]:
        """Ask, and yield the content of each part of the answer; raise Problem."""
        number = self.talk.ask("request", content, subject=subject)
        count, has_more = 0, True
        while has_more:
            header, body = self.answer_to(number)
            has_more = "more" in header
            if not count or not is_mark(header, body):
                yield content_of(header, body)
            count += 1

    def answer_to(self, number: int) -> Message:
        """Return the next message that answers this request or ping; raise Problem."""
        for header, body in self.messages:
            if header.get("re") != number:
                self.received.append((header, body))
            elif header["kind"] == "error":
                raise Problem(code_of(header, body))
            else:
                return header, body
        raise Problem(self.talk.code, "the connection has ended")

    def close(self) -> None:
        """Say close, and wait for the end of the server."""
        self.talk.close()
        self.received += self.messages
        self.socket.close()


CODES = {"refuse": "not-today", "fail": "handler-failed", "fail-midway": "handler-failed"}


def handle(talk: Conversation, held: list[Message], header: Header, body: bytes) -> None:
    """Handle a message as the fixed application does; ``held`` has what waits for a release."""
    kind, subject = header.get("kind"), header.get("subject")
    same = {name: header[name] for name in ("content-type", "content-encoding")}
    reply = {"kind": "reply", "re": header.get("id")}
    try:
        match kind, subject:
            case None, "echo":
                talk.send(body, **same, subject="echo")
            case None, "refuse":
                talk.tell("not-today")
            case None, "release":
                while held:
                    request, content = held.pop(0)
                    handle(talk, held, {**request, "subject": "echo"}, content)
            case "request", "echo":
                talk.send(body, **same, **reply)
            case "request", "hold":
                held.append((header, body))
            case "request", "large":
                talk.send(bytes(int(body)), **reply)
            case "request", "count":
                for part in range(int(body)):
                    talk.send(str(part + 1), more=True, **reply)
                talk.send(**reply)
            case "request", _:
                if subject == "fail-midway":
                    talk.send("1", more=True, **reply)
                raise Problem(CODES.get(str(subject), "no-handler"))
    except Problem as problem:
        if kind is not None:  # a plain message is never answered
            talk.tell(problem.code, problem.detail, re=header["id"])


def serve(listener: socket.socket, **options: Any) -> None:
    """Serve each connection of a listening socket in a thread of its own."""
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve_one, args=(sock, options), daemon=True).start()


def serve_one(sock: socket.socket, options: dict[str, Any]) -> None:
    """Serve one connection to its end."""
    talk, held = Conversation(True, **options), list[Message]()
    with sock, suppress(OSError):  # the client has gone
        for header, body in exchange(sock, talk):
            handle(talk, held, header, body)


def main(command: str, host: str, port: str, subject: str = "", text: str = "") -> None:
    """Serve, or ask and print each part of the answer."""
    if command == "serve":
        with socket.create_server((host, int(port))) as listener, suppress(KeyboardInterrupt):
            print(f"listening on tcp://{host}:{port}", flush=True)
            serve(listener)
    else:
        client = Client(host, int(port))
        for content in client.parts(subject, text):
            print(content)
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
