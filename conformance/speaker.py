"""A speaker of Telex in plain Python, with sockets and JSON alone: an example to rewrite.

    python conformance/speaker.py serve 127.0.0.1 7766
    python conformance/speaker.py ask 127.0.0.1 7766 SUBJECT TEXT

docs/wire-format.md is what this program follows, from top to bottom.
"""

import contextlib
import json
import math
import re
import socket
import sys
import threading

MAX_HEADER, MAX_CONTENT, MAX_OWN = 16 * 1024, 16 * 1024 * 1024, 64 * 1024
SAFE = 2**53 - 1
OWN_KINDS = {"hello", "welcome", "error", "close", "ping", "pong"}
KINDS = {None, "request", "reply", *OWN_KINDS}
ENDING = {"bad-message", "too-large", "unauthorized", "timeout", "overloaded", "shutting-down"}
LAST_FIELDS = ("content-length", "id", "re")
FIRST_FIELDS = ("byteorder", "content-type", "content-encoding", "kind", "subject", "more")
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
MEDIA_TYPE = re.compile(rf"({TOKEN}/{TOKEN})(?:[ \t]*;.*)?", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
CHARSETS = {"us-ascii": "ascii", "iso-8859-1": "latin-1"}
CHARSETS |= {name: name for name in ("utf-8", "ascii", "latin-1", "utf-16-le", "utf-16-be")}


class Problem(Exception):  # noqa: N818 - it is the name that the format has
    """Something is refused, or has ended, with a code of the format."""

    def __init__(self, code, detail=""):
        super().__init__(code, detail)
        self.code, self.detail = code, detail


# ---- The codec: a message is its header, a dict without content-length, and its body, bytes ----


def encode(header, body):
    """Return the bytes of a message; raise Problem where a receiver would refuse them."""
    first = {name: header[name] for name in FIRST_FIELDS if name in header}
    last = {"content-length": len(body)} | {n: header[n] for n in ("id", "re") if n in header}
    own = {name: header[name] for name in header if name not in (*FIRST_FIELDS, *LAST_FIELDS)}
    text = json.dumps({**first, **own, **last}, ensure_ascii=False, separators=(",", ":"))
    block = text.encode("utf-8", "surrogatepass")
    understand(block)
    if len(block) > 65535:
        raise Problem("bad-message", "the header block is too long")
    return len(block).to_bytes(2, "big") + block + body


def understand(block):
    """Read a header block, strictly; return the header with its defaults, and the length."""
    try:
        text = block.decode("utf-8")
        outside = STRING.sub("", text)
        depth = max_depth = 0
        for character in outside:
            depth += (character in "{[") - (character in "}]")
            max_depth = max(max_depth, depth)
        if max_depth > 64:
            raise ValueError("nested too deeply")
        header = parse(text, object_pairs_hook=unique, parse_int=bounded)
        check(header)
    except (ValueError, OverflowError) as error:
        raise Problem("bad-message", str(error)) from None
    header.setdefault("content-type", "application/octet-stream")
    is_bytes = form_of(header) == "bytes"
    header.setdefault("content-encoding", "binary" if is_bytes else "utf-8")
    return header, header.pop("content-length")


def check(header):
    """Raise ValueError if a field is not as it must be."""

    def is_integer(name, low):
        return type(header[name]) is int and low <= header[name] <= SAFE

    good = {
        "byteorder": lambda value: value in ("little", "big"),
        "content-type": lambda value: isinstance(value, str) and MEDIA_TYPE.fullmatch(value),
        "content-encoding": lambda value: isinstance(value, str) and value,
        "content-length": lambda _: is_integer("content-length", 0),
        "kind": lambda value: isinstance(value, str),
        "subject": lambda value: isinstance(value, str),
        "id": lambda _: is_integer("id", 1),
        "re": lambda _: is_integer("re", 1),
        "more": lambda value: value is True,
    }
    if not isinstance(header, dict) or "content-length" not in header:
        raise ValueError("not an object with content-length")
    for name in good.keys() & header.keys():
        if not good[name](header[name]):
            raise ValueError(f"{name} must not be {header[name]!r}")


def parse(text, **hooks):
    """Read JSON as RFC 8259 has it: no NaN, no infinity, no half of a surrogate pair."""
    value = json.loads(text, parse_float=finite, parse_constant=finite, **hooks)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def finite(text):
    """Read a number with a fraction or an exponent, or NaN and Infinity."""
    if not math.isfinite(float(text)):
        raise ValueError(f"no number: {text[:20]}")
    return float(text)


def bounded(text):
    """Read an integer of a header block, which a 64-bit float must be able to hold."""
    finite(text)
    return int(text)


def unique(pairs):
    """Make an object in which no name stands twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def form_of(header):
    """Say whether content is "json", "text" or "bytes"; case and parameters do not matter."""
    essence = MEDIA_TYPE.fullmatch(header["content-type"])[1].lower()
    if essence in ("application/json", "text/json") or essence.endswith("+json"):
        return "json"
    return "text" if essence.startswith("text/") else "bytes"


def content_of(header, body):
    """Return the content: text, what JSON says, or bytes. Raise ValueError if it is unreadable."""
    form, charset = form_of(header), header["content-encoding"].lower()
    if form == "bytes" or (form == "text" and charset == "binary"):
        return body
    if charset == "utf-16":
        charset = "utf-16-be" if body[:2] == b"\xfe\xff" else "utf-16-le"
        body = body[2:] if body[:2] in (b"\xfe\xff", b"\xff\xfe") else body
    charset = "utf-8" if charset == "binary" else charset
    if charset not in CHARSETS:
        raise ValueError(f"unknown charset {charset}")
    text = body.decode(CHARSETS[charset])
    try:
        return parse(text) if form == "json" else text
    except RecursionError:
        raise ValueError("nested too deeply") from None


def packed(content):
    """Return the fields and the body for content: text, bytes, or else JSON."""
    if isinstance(content, bytes):
        kind, charset, body = "application/octet-stream", "binary", content
    elif isinstance(content, str):
        kind, charset, body = "text/plain", "utf-8", content.encode()
    else:
        kind, charset = "application/json", "utf-8"
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return {"byteorder": sys.byteorder, "content-type": kind, "content-encoding": charset}, body


class Reader:
    """Cuts a stream into messages; ``look`` sees each header before its content has come."""

    def __init__(self, max_header=MAX_HEADER, max_content=MAX_CONTENT, look=lambda *_: None):
        self.max_header, self.max_content, self.look = max_header, max_content, look
        self.data, self.header, self.length, self.failed = bytearray(), None, 0, False

    def read(self, data):
        """Yield each message that is complete; raise Problem at what is none, and read no more."""
        self.data += data
        try:
            while not self.failed and (message := self._next()) is not None:
                yield message
        except Problem:
            self.failed = True
            raise

    def is_between_messages(self):
        """Say whether the stream may end here."""
        return not self.data and self.header is None

    def _next(self):
        if self.header is None and len(self.data) >= 2:
            size = int.from_bytes(self.data[:2], "big")
            if not 2 <= size <= self.max_header:
                raise Problem("bad-message", f"a header block of {size} bytes")
            if len(self.data) > 2 and self.data[2] not in b"{ \t\r\n":
                raise Problem("bad-message", "the header block is no object")
            if len(self.data) >= 2 + size:
                self.header, self.length = understand(bytes(self.data[2 : 2 + size]))
                if self.length > self.max_content:
                    raise Problem("too-large", f"content of {self.length} bytes")
                self.look(self.header, self.length)
                del self.data[: 2 + size]
        if self.header is None or len(self.data) < self.length:
            return None
        message = self.header, bytes(self.data[: self.length])
        del self.data[: self.length]
        self.header = None
        return message


# ---- The conversation: bytes in, messages for the program and bytes out; no socket ----


class Conversation:
    """One end of a connection: ``phase`` is the one of the diagram, ``output`` is to be sent."""

    def __init__(self, is_server, token=None, **limits):
        self.is_server, self.token = is_server, token
        self.phase = "greeting" if is_server and token else "open"
        self.reader = Reader(**limits, look=self._look)
        self.output, self.code = bytearray(), None  # code: why it ended
        self.peer_header, self.peer_content = MAX_HEADER, MAX_CONTENT
        self.waiting, self.late, self.unanswered = {}, set(), set()  # ids: ours, ours, the peer's
        self.last_id = self.before_hello = 0
        self.has_kinds = self.is_late_for_hello = self.awaits_welcome = self.has_ended = False

    def send(self, content=b"", **fields):
        """Send a message; raise Problem if it is larger than the peer accepts."""
        if self.phase in ("closing", "closed", "failed"):
            raise Problem("closed", "nothing may be sent any more")
        header, body = packed(content)
        data = encode({**header, **fields}, body)
        if len(body) > self.peer_content or len(data) - len(body) - 2 > self.peer_header:
            raise Problem("too-large", f"{len(body)} bytes, and {self.peer_content} are allowed")
        self.output += data

    def ask(self, kind, content=b"", **fields):
        """Send a request or a ping, and return its id."""
        number = self.last_id + 1
        self.send(content, kind=kind, id=number, **fields)
        self.last_id, self.waiting[number] = number, kind
        return number

    def hello(self, **members):
        """Open the conversation as a client."""
        self.send({"version": 1, **members}, kind="hello")
        self.phase, self.awaits_welcome = "greeting", True

    def give_up(self, number):
        """Drop the answer when it comes."""
        if self.waiting.pop(number, None):
            self.late.add(number)

    def answer(self, number, content, **fields):
        """Send the reply to a request, or with more=True one part of it."""
        try:
            self.send(content, kind="reply", re=number, **fields)
        except Problem as problem:  # larger than the peer accepts
            self.refuse(number, problem.code, problem.detail)
        else:
            if "more" not in fields:
                self._answered(number)

    def refuse(self, number, code, detail=""):
        """Answer a request with an error; without a number, tell of a plain message."""
        self._tell(code, detail, **({} if number is None else {"re": number}))
        self._answered(number)

    def close(self, code="closed"):
        """Send close; what was asked is given up."""
        if self.phase in ("greeting", "open", "finishing"):
            if self.has_kinds or not self.is_server:
                self.send({"code": code, "reason": ""}, kind="close")
            for number in list(self.waiting):
                self.give_up(number)
            self.phase = "closed" if self.phase == "finishing" else "closing"

    def receive(self, data):
        """Take bytes, or none at the end of the stream; yield (header, body) for the program."""
        try:
            if data:
                for header, body in self.reader.read(data):
                    if self.phase in ("closed", "failed"):
                        return
                    if self._react(header, body):
                        yield header, body
                    self._finish()
            elif not self.has_ended and self.phase not in ("closed", "failed"):
                self.has_ended = True
                if not self.reader.is_between_messages():
                    raise Problem("bad-message", "the stream ended inside a message")
                self._peer_ends(None)
                self._finish()
        except Problem as problem:
            if self.phase not in ("closing", "closed", "failed"):
                self._tell(problem.code, problem.detail)
            if self.phase not in ("closed", "failed"):
                self.phase, self.code = "failed", problem.code

    def _tell(self, code, detail, **fields):
        problem = {"code": code, "detail": detail[:1000]}
        self.send(problem, **{"content-type": "application/problem+json"}, kind="error", **fields)

    def _answered(self, number):
        self.unanswered.discard(number)
        self._finish()

    def _finish(self):
        if self.phase == "finishing" and not self.unanswered:
            self.close()

    def _peer_ends(self, code):
        self.code = self.code or code
        if self.phase != "finishing":
            self.phase = "closed" if self.phase == "closing" else "finishing"

    def _look(self, header, length):
        """Refuse what can be refused before its content has come."""
        kind = header.get("kind")
        if self.phase == "finishing":
            raise Problem("bad-message", "a message after close")
        if self.is_server and self.phase == "greeting":
            self.before_hello += 1
            if kind not in ("hello", "ping", "close") or self.before_hello > 64:
                raise Problem("unauthorized", "a token is demanded")
        if kind in OWN_KINDS and length > MAX_OWN:
            raise Problem("too-large", f"{kind} of {length} bytes")

    def _react(self, header, body):
        """Do what the table of reactions says; return whether the program gets the message."""
        kind, number, asked = header.get("kind"), header.get("id"), header.get("re")
        may_greet = not self.is_late_for_hello if self.is_server else self.awaits_welcome
        self.has_kinds |= kind is not None
        self.is_late_for_hello |= kind not in (None, "ping")
        if kind in ("request", "ping") and number is None:
            raise Problem("bad-message", f"{kind} without id")
        if kind in ("reply", "pong") or (kind == "error" and asked is not None):
            return self._takes_answer(header, kind, asked)
        if kind == "error":
            code = members_of(header, body).get("code")
            if code in ENDING:
                self._peer_ends(code)
            return code not in ENDING
        if kind in ("hello", "welcome"):
            if (kind == "hello") != self.is_server or not may_greet:
                raise Problem("bad-message", f"{kind} at this point")
            self._greet(header, body)
        elif kind == "close":
            self._peer_ends(members_of(header, body).get("code"))
        elif kind == "request" and number in self.unanswered:
            raise Problem("bad-message", f"request {number} again")
        elif kind is None:
            return True
        elif self.phase == "closing":
            return False  # what would be answered
        elif kind == "ping":
            self.send(kind="pong", re=number)
        elif kind not in KINDS:
            self._tell("unsupported-kind", kind[:100], **({"re": number} if number else {}))
        elif not self.is_server:
            self.refuse(number, "no-handler")
        else:
            self.unanswered.add(number)
            return True
        return False

    def _takes_answer(self, header, kind, asked):
        """Say whether an answer is waited for; one that was given up is dropped."""
        question = self.waiting.get(asked)
        if asked in self.late:
            if not header.get("more"):
                self.late.discard(asked)
            return False
        if question is None or (kind != "error" and (kind == "pong") != (question == "ping")):
            raise Problem("bad-message", f"{kind} to nothing that was asked")
        if not header.get("more") or kind != "reply":
            del self.waiting[asked]
        return True

    def _greet(self, header, body):
        """Take a hello or a welcome."""
        members = members_of(header, body)
        limits, features = members.get("limits", {}), members.get("features", [])
        good = (
            "" not in members
            and form_of(header) == "json"
            and header["content-encoding"].lower() in ("utf-8", "binary")
            and type(members.get("version", 1)) is int
            and members.get("version", 1) == 1
            and isinstance(members.get("agent", ""), str)
            and isinstance(members.get("token", ""), str)
            and isinstance(members.get("keepalive", False), bool)
            and isinstance(features, list)
            and all(isinstance(feature, str) for feature in features)
            and isinstance(limits, dict)
        )
        if good:
            most = [limits.get(f"max_{name}_size", 256) for name in ("header", "content")]
            good = all(type(size) is int and size >= 256 for size in most)
        if not good:
            raise Problem("bad-message", f"content of {header['kind']}")
        if self.is_server and self.token and members.get("token") != self.token:
            raise Problem("unauthorized", "the token is not known")
        self.awaits_welcome = False
        self.peer_header = limits.get("max_header_size", MAX_HEADER)
        self.peer_content = limits.get("max_content_size", MAX_CONTENT)
        if self.phase != "closing":
            self.phase = "open"
            if self.is_server:
                sizes = self.reader.max_header, self.reader.max_content
                own = dict(zip(("max_header_size", "max_content_size"), sizes, strict=True))
                self.send({"version": 1, "limits": own}, kind="welcome")


def members_of(header, body):
    """Return the object that the content is; where it is none, one that says so."""
    try:
        members = content_of(header, body)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        return {"": "no object"}
    if header.get("kind") in ("error", "close") and not isinstance(members.get("code"), str):
        members.pop("code", None)
    return members


# ---- A client, which blocks ----


class Client:
    """A connection to a server; ``received`` has the plain messages and errors without re."""

    def __init__(self, host, port, timeout=10, **hello):
        self.socket = socket.create_connection((host, port), timeout)
        self.conversation, self.received, self.answers = Conversation(is_server=False), [], {}
        if hello:
            self.conversation.hello(**hello)

    def send(self, content, **fields):
        """Send a plain message."""
        self.conversation.send(content, **fields)
        self._flush()

    def request(self, content, subject):
        """Return the content of the answer; the last part, if there are several."""
        return list(self.parts(content, subject))[-1]

    def parts(self, content, subject):
        """Yield the content of each part of an answer."""
        number, count, more = self.conversation.ask("request", content, subject=subject), 0, True
        try:
            while more:
                header, body = self._answer(number)
                more = header.get("more", False)
                essence = MEDIA_TYPE.fullmatch(header["content-type"])[1].lower()
                if more or not count or body or essence != "application/octet-stream":
                    yield content_of(header, body)
                count += 1
        finally:
            self.conversation.give_up(number)

    def ping(self):
        """Wait until the server says that it is there."""
        self._answer(self.conversation.ask("ping"))

    def close(self):
        """Say close, and wait for the close of the server."""
        self.conversation.close()
        while self.conversation.phase not in ("closed", "failed"):
            self._take()
        self._flush()
        self.socket.close()

    def _answer(self, number):
        while not self.answers.get(number):
            if self.conversation.phase in ("closed", "failed"):
                self._flush()
                self.socket.close()
                raise Problem(self.conversation.code or "closed", "the connection has ended")
            self._take()
        header, body = self.answers[number].pop(0)
        if header["kind"] == "error":
            members = members_of(header, body)
            raise Problem(members.get("code", "unknown"), str(members.get("detail", "")))
        return header, body

    def _take(self):
        self._flush()
        for header, body in self.conversation.receive(self.socket.recv(65536)):
            if "re" in header:
                self.answers.setdefault(header["re"], []).append((header, body))
            else:
                self.received.append((header, body))

    def _flush(self):
        self.socket.sendall(self.conversation.output)
        self.conversation.output.clear()


# ---- A server with the fixed application, a thread for each connection ----


class Application:
    """What a server under test offers, to one connection."""

    def __init__(self, conversation):
        self.conversation, self.held = conversation, []

    def take(self, header, body):
        """Handle a request or a plain message."""
        try:
            self._handle(header, body)
        except Problem as problem:  # a plain message that is larger than the peer accepts
            self.conversation.refuse(None, "refused", f"{problem.code}: {problem.detail}")
        except ValueError as error:  # content that cannot be read, or is no number
            self.conversation.refuse(header["id"], "bad-content", str(error))

    def _handle(self, header, body):
        talk, number, subject = self.conversation, header.get("id"), header.get("subject")
        same = {name: header[name] for name in ("content-type", "content-encoding")}
        if header.get("kind") is None:
            if subject == "echo":
                talk.send(body, subject="echo", **same)
            elif subject == "refuse":
                talk.refuse(None, "not-today")
            elif subject == "release":
                self.release()
        elif subject == "echo":
            talk.answer(number, body, **same)
        elif subject == "hold":
            self.held.append((number, body, same))
        elif subject == "count":
            for part in range(int(content_of(header, body))):
                talk.answer(number, str(part + 1), more=True)
            talk.answer(number, b"")
        elif subject == "large":
            talk.answer(number, bytes(int(content_of(header, body))))
        elif subject in ("fail", "fail-midway"):
            if subject == "fail-midway":
                talk.answer(number, "1", more=True)
            talk.refuse(number, "handler-failed")
        else:
            talk.refuse(number, "not-today" if subject == "refuse" else "no-handler")

    def release(self):
        """Answer the requests that are held."""
        while self.held:
            number, body, same = self.held.pop(0)
            self.conversation.answer(number, body, **same)


def serve_one(sock, token=None, **limits):
    """Serve one connection to its end."""
    conversation = Conversation(True, token, **limits)
    application = Application(conversation)
    with sock, contextlib.suppress(OSError):  # the client has gone
        while conversation.phase not in ("closed", "failed"):
            sock.settimeout(5 if application.held else None)
            try:
                data = sock.recv(65536)
                for header, body in conversation.receive(data):
                    application.take(header, body)
            except TimeoutError:
                data = b""
            if not data:  # nobody says release any more
                application.release()
            sock.settimeout(None)
            sock.sendall(conversation.output)
            conversation.output.clear()
        sock.shutdown(socket.SHUT_WR)  # and let the client read what was said last
        sock.settimeout(1)
        while sock.recv(65536):
            pass


def serve(listener, **options):
    """Serve each connection of a listening socket in a thread of its own."""
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:  # the listener was closed
            return
        threading.Thread(target=serve_one, args=(sock,), kwargs=options, daemon=True).start()


def main(command, host, port, *words):
    """Serve, or ask and print each part of the answer."""
    if command == "serve":
        with (
            socket.create_server((host, int(port))) as listener,
            contextlib.suppress(KeyboardInterrupt),
        ):
            print(f"listening on tcp://{host}:{listener.getsockname()[1]}", flush=True)
            serve(listener)
    else:
        client = Client(host, int(port))
        for content in client.parts(words[1], words[0]):
            print(content)
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
