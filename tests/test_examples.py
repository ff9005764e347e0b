"""The programs of ``examples/``, where their page leaves off: bad input, bad names, bad peers.

That each runs as its page says is tested with the other pages, by ``test_docs``.
"""

from __future__ import annotations

import ast
import asyncio
import bz2
import contextlib
import hashlib
import os
import runpy
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import telex
import telex.asyncio
from examples import calculator, chat, drop, gateway, jobs, sensors, tutorial_client
from telex import Application, Message, Observer, Peer, Refusal, RemoteError
from telex.sync import Connection
from telex.testing import Servers
from tests.asyncio.stage import in_loop, wait_until
from tests.cli.stage import serving
from tests.sync.stage import wait_until as wait_for_threads

PATIENCE = 30.0

PNG = b"\x89PNG\r\n\x1a\n"

PROGRAMS = [calculator, chat, drop, gateway, jobs, sensors, tutorial_client]


@contextlib.contextmanager
def connected_to(app: Application, observer: Observer | None = None) -> Iterator[Connection]:
    """Serve an application, and connect to it."""
    with Servers() as serve:
        address = serve(app, observer=observer)
        with telex.sync.connect(address, timeout=PATIENCE) as connection:
            yield connection


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_each_program_begins_by_saying_how_it_is_run(program: object) -> None:
    """The first thing in the file is a command that can be copied."""
    name = Path(str(vars(program)["__file__"])).name
    assert f"\n    python examples/{name} " in str(program.__doc__)


HOSTILE = "\x1b[31m\x9b2J\u202e"
"""What would drive a terminal, in text of a peer."""

EXAMPLES = Path(calculator.__file__).parent

CLIENTS = {
    "calculator": "ask 1 --to ADDRESS",
    "chat": "join ada --to ADDRESS",
    "drop": "send FILE --to ADDRESS",
    "gateway": "answer --to ADDRESS",
    "jobs": "primes 10 --to ADDRESS",
    "sensors": "plot PICTURE --to ADDRESS",
    "tutorial_client": "search morpheus --port PORT",
}
"""How each program is a client."""


def refusing(over: threading.Event) -> Application:
    """Return an application that refuses all there is, in words that nobody should see as such."""
    app = Application()

    @app.on(">")
    def refuse(message: Message) -> None:
        raise Refusal("no", f"never{HOSTILE}")

    @app.on()
    def tell(message: Message) -> Message:
        return Message("", content_type=f"text/plain; {HOSTILE}")

    return app


def answering(over: threading.Event) -> Application:
    """Return an application that answers what nobody should see as such, and then is over."""
    app = Application()

    @app.on(">")
    def answer(message: Message, peer: Peer) -> str:
        question = {"action": HOSTILE, "value": HOSTILE}
        peer.send(question, subject="question")
        return f"answer{HOSTILE}"

    @app.on("answer")
    @app.on("drop.end")
    def end(message: Message) -> None:
        over.set()

    @app.on()
    def tell(message: Message) -> Message:
        return Message({"result": f"answer{HOSTILE}"}, content_type="text/json")

    return app


@pytest.mark.parametrize("application", [refusing, answering])
@pytest.mark.parametrize("name", CLIENTS)
def test_no_program_lets_a_peer_drive_the_terminal(
    name: str,
    application: Callable[[threading.Event], Application],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a server answers, refuses or says unasked, nothing is shown that terminals obey."""
    (tmp_path / "FILE").write_bytes(b"abc")
    over = threading.Event()
    with Servers() as serve, no_input(monkeypatch):
        address = serve(application(over), limits=telex.Limits(drain_timeout=0.1))
        words = {
            "ADDRESS": str(address),
            "PORT": str(address.port),
            "FILE": str(tmp_path / "FILE"),
            "PICTURE": str(tmp_path / "PICTURE"),
        }
        arguments = [words.get(word, word) for word in CLIENTS[name].split()]
        monkeypatch.setattr(sys, "argv", [name, *arguments])

        def stop() -> None:
            over.wait()
            with contextlib.suppress(ValueError):  # the test has ended it
                serve.stop(address)

        stopping = threading.Thread(target=stop)
        stopping.start()
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
            ending = ""
        except (SystemExit, LookupError, ValueError) as error:  # some end with a traceback
            ending = str(error)
        finally:
            over.set()
            stopping.join()
    shown = capsys.readouterr()
    told = shown.out + shown.err + ending
    assert told
    assert [sign for sign in told if sign in HOSTILE and not sign.isprintable()] == []


@contextlib.contextmanager
def no_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have standard input be a pipe into which nobody writes any more."""
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("-(4 - 6)", "2"),
        ("7 // 2 + 7 % 4", "6"),
        ("10 / 4", "2.5"),
        (" 2 ** 64 ", str(2**64)),
        ("0.1 + 0.2", "0.3"),
    ],
)
def test_the_calculator_knows_arithmetic(expression: str, value: str) -> None:
    """Numbers, signs, brackets and the operators of Python, with its precedence."""
    assert calculator.calculate(Message(expression)) == value


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("1 / 0", "division-by-zero"),
        ("0 ** -1", "division-by-zero"),
        ("9 ** 9 ** 9", "too-large"),
        ("1e308 * 10 ** 400", "too-large"),
        ("*".join(["10**900"] * 99), "too-large"),
        ("1" * 1_001, "too-large"),
        ("1e999", "too-large"),
        ("1e999 - 1e999", "too-large"),
        ("(-8) ** 0.5", "not-real"),
        ("1 +", "syntax"),
        ("", "syntax"),
        ("True + True", "syntax"),
        ("'a' * 10 ** 9", "syntax"),
        ("__import__('os').getcwd()", "syntax"),
        ("[1 for _ in iter(int, 1)]", "syntax"),
    ],
)
def test_the_calculator_refuses_all_else(expression: str, code: str) -> None:
    """Nothing is executed, and nothing takes long or fills the memory."""
    with pytest.raises(Refusal) as refused:
        calculator.calculate(Message(expression))
    assert refused.value.code == code


@pytest.mark.parametrize("expression", ["0x1for x", "1if 2else 3", r"'\d'"])
def test_nobody_has_the_calculator_print_warnings(expression: str) -> None:
    """What Python warns of when it reads it is refused, and the server prints nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Refusal, match="syntax"):
            calculator.calculate(Message(expression))
    assert caught == []


def test_the_calculator_never_sees_more_than_a_tree() -> None:
    """What is no arithmetic is refused by its place in the tree, before anything is worked out."""
    tree = ast.parse("1 / 0 if (lambda: 1)() else 2", mode="eval")
    with pytest.raises(Refusal, match="no arithmetic"):
        calculator.value_of(tree.body)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "/etc/passwd", "a/b", "a\\b", ".hidden", "a\0b", "é" * 128]
)
def test_a_file_cannot_choose_its_directory(name: str) -> None:
    """A name is the plain name of a file, or it is refused."""
    with pytest.raises(Refusal, match="bad-name"):
        drop.safe_name(name)


def test_a_dropped_file_is_there_when_it_is_complete(tmp_path: Path) -> None:
    """Until its last part has come and the checksum fits, the name does not exist."""
    it = drop.Drop(tmp_path)
    file = drop.File("notes.txt", 6, hashlib.sha256(b"abcdef").hexdigest())
    with connected_to(it.app, it) as connection:
        connection.request(file, subject="drop.begin", timeout=PATIENCE)
        for part in (b"abc", b"def"):
            connection.request(part, subject="drop.part", timeout=PATIENCE)
            assert not (tmp_path / "notes.txt").exists()
        connection.request(None, subject="drop.end", timeout=PATIENCE)
        assert (tmp_path / "notes.txt").read_bytes() == b"abcdef"
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("parts", "code"),
    [([b"abc"], "damaged"), ([b"xyzxyz"], "damaged"), ([b"abcdef", b"g"], "too-long")],
    ids=["too short", "other content", "too long"],
)
def test_a_file_that_is_not_what_was_announced_leaves_nothing(
    tmp_path: Path, parts: list[bytes], code: str
) -> None:
    """The client is told, and when it has gone the directory is as it was before."""
    it = drop.Drop(tmp_path)
    file = drop.File("notes.txt", 6, hashlib.sha256(b"abcdef").hexdigest())
    with connected_to(it.app, it) as connection:
        connection.request(file, subject="drop.begin", timeout=PATIENCE)
        messages = [Message(part, subject="drop.part") for part in parts]
        answers = list(connection.request_many([*messages, Message(None, subject="drop.end")]))
    refused = next(answer for answer in answers if isinstance(answer, RemoteError))
    assert refused.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_dropped_file_never_replaces_one(tmp_path: Path) -> None:
    """A name that is taken is refused, at once, or at the end if it was taken meanwhile."""
    it = drop.Drop(tmp_path)
    file = drop.File("notes.txt", 0, hashlib.sha256().hexdigest())
    with connected_to(it.app, it) as connection:
        connection.request(file, subject="drop.begin", timeout=PATIENCE)
        (tmp_path / "notes.txt").write_text("mine")
        for subject in ("drop.end", "drop.begin"):
            with pytest.raises(RemoteError, match="exists: there is a notes"):
                connection.request(file, subject=subject, timeout=PATIENCE)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """The size that is announced has bounds, before anything of it is written."""
    it = drop.Drop(tmp_path, most=1)
    with connected_to(it.app, it) as connection:
        for size, problem in [(1024 * 1024 + 1, "too-large"), (-1, "bad-content")]:
            file = drop.File("notes.txt", size, "")
            with pytest.raises(RemoteError, match=problem):
                connection.request(file, subject="drop.begin", timeout=PATIENCE)


def test_nothing_is_left_of_a_file_whose_client_goes_while_it_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler that begins it is the last one to know of it, and clears up."""
    it, peer = drop.Drop(tmp_path), Somebody()
    uploads: list[drop.Upload] = []

    class Overtaken(drop.Upload):
        def __init__(self, file: drop.File, directory: Path) -> None:
            super().__init__(file, directory)
            uploads.append(self)
            assert len(list(directory.iterdir())) == 1
            it.disconnected(peer, None)
            assert len(list(directory.iterdir())) == 1

    monkeypatch.setattr(drop, "Upload", Overtaken)
    it.connected(peer)
    it.begin(Message(drop.File("notes.txt", 6, "")), peer)
    assert len(uploads) == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Refusal, match="gone"):
        it.begin(Message(drop.File("notes.txt", 6, "")), peer)
    assert list(tmp_path.iterdir()) == []


class Somebody(Peer):
    """A peer that is told nothing."""

    @property
    def address(self) -> str:
        """Name it."""
        return "somebody"

    @property
    def identity(self) -> None:
        """Know no name of it."""
        return

    def send(self, content: object, **keywords: object) -> None:
        """Say nothing to it."""


def test_a_file_has_to_be_begun(tmp_path: Path) -> None:
    """A part of nothing is refused."""
    it = drop.Drop(tmp_path)
    with connected_to(it.app, it) as connection, pytest.raises(RemoteError, match="not-begun"):
        connection.request(b"abc", subject="drop.part", timeout=PATIENCE)


@pytest.fixture
def own_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have readings for this test alone, and what draws them."""
    monkeypatch.setattr(sensors, "readings", sensors.readings.copy())
    sensors.load_matplotlib()  # which takes its time, and nobody waits for a server meanwhile


@pytest.mark.usefixtures("own_readings")
def test_readings_are_drawn() -> None:
    """What came in is drawn, all sites or those asked for; what is no reading is refused."""
    reading = sensors.Reading("roof", datetime.now(UTC), 21.5)
    with connected_to(sensors.app) as connection:
        with pytest.raises(RemoteError, match="no sensor has told anything yet"):
            connection.request(sensors.Question(), subject="plot", timeout=PATIENCE)
        with pytest.raises(RemoteError, match=r"bad-content: .*celsius"):
            connection.request({**as_json(reading), "celsius": 99}, subject="reading")
        connection.request(reading, subject="reading", timeout=PATIENCE)
        answer = connection.request(sensors.Question(), subject="plot", timeout=3 * PATIENCE)
        with pytest.raises(RemoteError, match="no-such-site: attic"):
            connection.request(sensors.Question(["attic"]), subject="plot", timeout=PATIENCE)
    assert answer.content_type == "image/png"
    assert answer.body.startswith(PNG)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"site": r"$\nosuch$"}, "bad-content"),
        ({"site": "_hidden"}, "bad-content"),
        ({"site": "roof\n"}, "bad-content"),
        ({"at": "2026-01-01T12:00:00"}, "bad-content"),
        ({"at": "9999-12-31T23:59:59Z"}, "bad-time"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "bad-time"),
    ],
)
@pytest.mark.usefixtures("own_readings")
def test_nobody_spoils_the_drawing_for_others(changed: dict[str, object], problem: str) -> None:
    """A site that is a formula, and a time without a zone or far away, are no reading."""
    reading = sensors.Reading("roof", datetime.now(UTC), 21.5)
    with connected_to(sensors.app) as connection:
        connection.request(reading, subject="reading", timeout=PATIENCE)
        with pytest.raises(RemoteError, match=problem):
            connection.request({**as_json(reading), **changed}, subject="reading", timeout=PATIENCE)
        answer = connection.request(sensors.Question(), subject="plot", timeout=3 * PATIENCE)
    assert answer.body.startswith(PNG)


def test_there_are_only_so_many_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond them only sites that are known already tell something."""
    monkeypatch.setattr(sensors, "readings", sensors.readings.copy())
    monkeypatch.setattr(sensors, "MOST_SITES", 2)
    for site in ("roof", "cellar", "roof"):
        sensors.collect_reading(Message(sensors.Reading(site, datetime.now(UTC), 21.5)))
    with pytest.raises(Refusal, match="too-many-sites"):
        sensors.collect_reading(Message(sensors.Reading("attic", datetime.now(UTC), 21.5)))
    assert {site: len(kept) for site, kept in sensors.readings.items()} == {"roof": 2, "cellar": 1}


def as_json(reading: sensors.Reading) -> dict[str, object]:
    """Return a reading as it travels."""
    return {"site": reading.site, "at": reading.at.isoformat(), "celsius": reading.celsius}


def test_a_job_says_how_far_it_is() -> None:
    """Each part tells what is done, from the first step to all of it."""
    with connected_to(jobs.app) as connection:
        parts = list(connection.request_parts(100, subject="job.primes", timeout=PATIENCE))
    assert [part.headers["done"] for part in parts] == [step / 20 for step in range(1, 21)]
    assert b"".join(part.body for part in parts) == b"25"


@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 1_000])
def test_what_was_compressed_can_be_read_again(content: bytes) -> None:
    """Content of any length, also shorter than there are steps."""
    with connected_to(jobs.app) as connection:
        parts = list(connection.request_parts(content, subject="job.compress", timeout=PATIENCE))
    assert bz2.decompress(b"".join(part.body for part in parts)) == content


def test_a_job_that_is_too_large_is_refused() -> None:
    """Nobody keeps a thread of the server for a day."""
    with connected_to(jobs.app) as connection, pytest.raises(RemoteError, match="too-large"):
        connection.request(10**12, subject="job.primes", timeout=PATIENCE)


@pytest.mark.parametrize("text", ["s3cret", "s3cret\n", "ada s3cret\n"])
def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Never from the command line, which everybody on the machine can read."""
    monkeypatch.setenv("TELEX_TOKEN", "from the environment")
    (tmp_path / "token").write_text(text)
    assert chat.read_token(tmp_path / "token") == "s3cret"
    assert chat.read_token(None) == "from the environment"
    (tmp_path / "token").write_text("ada s3cret\nbob open\n")
    with pytest.raises(ValueError, match="a token is expected"):
        chat.read_token(tmp_path / "token")


def room() -> tuple[Application, chat.Room]:
    """Return a room, and the application that leads there."""
    app, it = Application(), chat.Room()
    app.on("join")(it.join)
    app.on("say")(it.say)
    return app, it


@in_loop
async def test_a_room_tells_everybody() -> None:
    """Who joins, what is said, and who leaves; what could drive a terminal is taken out."""
    app, it = room()
    async with (
        telex.asyncio.serve(app, "tcp://127.0.0.1:0", observer=it) as server,
        telex.asyncio.connect(server.address) as ada,
    ):
        await ada.request("ada", subject="join", timeout=PATIENCE)
        async with telex.asyncio.connect(server.address) as bob:
            welcome = await bob.request("bob", subject="join", timeout=PATIENCE)
            await bob.request("good \x1b[2Jmorning", subject="say", timeout=PATIENCE)
        heard = [(await ada.receive(PATIENCE)).content for _ in range(4)]
    assert welcome.content == "* welcome, bob; here already: ada"
    assert heard == [
        "* ada has joined",
        "* bob has joined",
        "bob: good [2Jmorning",
        "* bob has left",
    ]


def test_a_room_that_telex_serve_opens_lets_people_go() -> None:
    """Who has left may come back under the same name."""
    with serving("examples.chat:app") as (server, address):
        for times in (1, 2):
            with telex.sync.connect(address, timeout=PATIENCE) as ada:
                ada.request("ada", subject="join", timeout=PATIENCE)

            def has_left(times: int = times) -> bool:
                return server.output.count("* ada has left") == times

            wait_for_threads(has_left, "ada has left")


@in_loop
async def test_a_room_has_rules() -> None:
    """A name is short, printable and one's own; and one has to be there to speak."""
    app, it = room()
    async with (
        telex.asyncio.serve(app, "tcp://127.0.0.1:0", observer=it) as server,
        telex.asyncio.connect(server.address) as ada,
        telex.asyncio.connect(server.address) as bob,
    ):
        await ada.request("ada", subject="join", timeout=PATIENCE)
        for name, code in [("ada", "name-taken"), ("", "bad-name"), ("a\nb", "bad-name")]:
            with pytest.raises(RemoteError, match=code):
                await bob.request(name, subject="join", timeout=PATIENCE)
        with pytest.raises(RemoteError, match="not-here"):
            await bob.request("hello?", subject="say", timeout=PATIENCE)


@in_loop
async def test_a_room_waits_for_nobody() -> None:
    """Who does not read is cut off, while the others go on; see ``chat.LIMITS``."""
    app, it = room()
    async with (
        telex.asyncio.serve(app, "tcp://127.0.0.1:0", limits=chat.LIMITS, observer=it) as server,
        telex.asyncio.connect(server.address) as ada,
    ):
        await ada.request("ada", subject="join", timeout=PATIENCE)
        host, port = server.address.host, server.address.port
        _reader, writer = await asyncio.open_connection(host, port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(Message("bob", subject="join", kind="request", id=1).to_bytes())
        heard: list[object] = []

        async def listen() -> None:
            async for line in ada:
                heard.append(line.content)  # noqa: PERF401 - it is looked at while it grows

        listening = asyncio.create_task(listen())
        await wait_until(lambda: "* bob has joined" in heard, "bob has joined")
        while "* bob has left" not in heard:
            await ada.request("x" * 4_000, subject="say", timeout=PATIENCE)
        listening.cancel()
        writer.close()


@in_loop
async def test_the_gateway_answers_when_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of the tutorial gets its kind of answer in every case."""
    monkeypatch.setattr(gateway, "PATIENCE", 0.1)
    it = gateway.Gateway()
    async with telex.asyncio.serve(it.application(), "tcp://127.0.0.1:0", observer=it) as server:
        alone = await asked_by_the_tutorial(server.address)
        async with telex.asyncio.connect(server.address) as helper:
            await helper.request(None, subject="help-out", timeout=PATIENCE)
            ignored = await asked_by_the_tutorial(server.address)
            question = await helper.receive(PATIENCE)
            with pytest.raises(RemoteError, match="too-late"):
                await helper.request("…", subject="answer", headers=question.headers)
        left = await asked_by_the_tutorial(server.address)
    assert (alone, left) == ("nobody is here who could answer",) * 2
    assert ignored == "nobody has answered within 0.1 s"
    assert question.content == {"action": "search", "value": "ring"}


@in_loop
async def test_only_who_was_asked_answers_at_the_gateway() -> None:
    """Somebody else may guess the number, and is refused; so is a number that only equals it."""
    it = gateway.Gateway()
    async with (
        telex.asyncio.serve(it.application(), "tcp://127.0.0.1:0", observer=it) as server,
        telex.asyncio.connect(server.address) as helper,
        telex.asyncio.connect(server.address) as stranger,
    ):
        await helper.request(None, subject="help-out", timeout=PATIENCE)
        asking = asyncio.create_task(asked_by_the_tutorial(server.address))
        question = await helper.receive(PATIENCE)
        for connection, number, code in [
            (stranger, question.headers["number"], "too-late"),
            (helper, True, "bad-number"),
            (helper, 1.0, "bad-number"),
            (helper, [1], "bad-number"),
        ]:
            with pytest.raises(RemoteError, match=code):
                await connection.request("wrong", subject="answer", headers={"number": number})
        await helper.request("right", subject="answer", headers=question.headers)
        assert await asking == "right"


async def asked_by_the_tutorial(address: telex.Address) -> object:
    """Ask as ``tutorial_client`` does; return the result, which comes with four headers."""

    def ask() -> object:
        with socket.create_connection((address.host, address.port), PATIENCE) as sock:
            sock.sendall(tutorial_client.written({"action": "search", "value": "ring"}))
            return tutorial_client.read(sock.makefile("rb"))["result"]

    return await asyncio.to_thread(ask)
