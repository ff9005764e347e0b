"""Waking up: what threads and signals do to a server that waits.

Here the server serves in the main thread, as signals want it, and the test acts from another one.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from telex import (
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    TelexError,
)
from telex.application.peer import Peer
from telex.sync import Server, connect, serve
from telex.sync.loop import Loop
from telex.sync.pollable import Pollable
from telex.sync.server_driver import ServerDriver
from telex.sync.wakeup import Wakeup
from tests.sync.stage import (
    PATIENCE,
    Events,
    echoing,
    name_of,
    receive_all,
    receive_one,
    wait_until,
)


def send_signal(number: signal.Signals) -> None:
    """Send a signal to the main thread."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, number)


@contextlib.contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Have another thread act for the time of the context, and raise what it raises."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as failure:
            failures.append(failure)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert failures == []


def greet(server: Server) -> None:
    """Have one message echoed: from then on the server is known to serve."""
    with connect(server.address) as connection:
        connection.send("hello")
        assert connection.receive(PATIENCE).content == "hello"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_server_and_handlers_are_restored(number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM: serve_forever returns, and signals mean again what they meant before."""

    def own_handler(number: int, frame: object) -> None:
        raise AssertionError("the server handles this")

    previous = signal.signal(number, own_handler)
    own_socket, other_end = socket.socketpair()
    own_socket.setblocking(False)
    previous_wakeup = signal.set_wakeup_fd(own_socket.fileno())
    try:
        with serve(echoing(), "tcp://127.0.0.1:0") as server:

            def interrupt() -> None:
                greet(server)
                send_signal(number)

            with meanwhile(interrupt):
                server.serve_forever()
        assert signal.getsignal(number) is own_handler
        assert signal.set_wakeup_fd(-1) == own_socket.fileno()
    finally:
        signal.signal(number, previous)
        signal.set_wakeup_fd(previous_wakeup)
        own_socket.close()
        other_end.close()


def test_signals_are_left_alone_when_asked() -> None:
    """Without handling signals, Ctrl-C is the exception that it always is, and all is closed.

    Nothing wakes up a server that is just about to wait, so one peer stays, for which it looks at
    the clock now and then.
    """
    with serve(echoing(), "tcp://127.0.0.1:0") as server:

        def interrupt() -> None:
            with socket.create_connection((server.address.host, server.address.port)) as sock:
                sock.settimeout(PATIENCE)
                sock.sendall(Message("hello").to_bytes())
                assert receive_one(sock).content == "hello"
                send_signal(signal.SIGINT)
                *_, told = receive_all(sock)
                assert told.content["code"] == "shutting-down"

        with meanwhile(interrupt), pytest.raises(KeyboardInterrupt):
            server.serve_forever(handle_signals=False)
        with pytest.raises(RuntimeError, match="the server is closed"):
            server.serve_forever()


def test_ctrl_c_in_the_midst_of_an_end_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """However far a connection was in its end when Ctrl-C came, its socket is closed."""
    ending: list[socket.socket] = []

    def press(loop: Loop, pollable: Pollable) -> None:
        if isinstance(pollable, ServerDriver) and not ending:
            ending.append(pollable.socket)
            raise KeyboardInterrupt
        forget(loop, pollable)

    forget = Loop.forget
    monkeypatch.setattr(Loop, "forget", press)
    with serve(echoing(), "tcp://127.0.0.1:0") as server:
        socket.create_connection((server.address.host, server.address.port)).close()
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever(handle_signals=False)
    assert [sock.fileno() for sock in ending] == [-1]


def test_second_signal_ends_the_server_at_once() -> None:
    """The first signal waits for a slow reader, the second one does not."""
    events, limits = Events(), Limits(drain_timeout=60)
    with serve(echoing(), "tcp://127.0.0.1:0", limits=limits, observer=events) as server:

        def interrupt_twice() -> None:
            data = Message(bytes(10_000_000)).to_bytes()
            with socket.create_connection((server.address.host, server.address.port)) as sock:
                sock.sendall(data)
                assert select.select([sock], [], [], PATIENCE)[0]
                send_signal(signal.SIGTERM)
                wait_until(lambda: not accepts(server), "it shuts down")
                send_signal(signal.SIGTERM)
                name = name_of(sock)
                wait_until(lambda: name in events.endings, "it is cut")
                ending = events.endings[name]
                assert isinstance(ending, ConnectionClosedError)
                assert ending.unsent > 0

        with meanwhile(interrupt_twice):
            server.serve_forever()


class Impatient(Events):
    """Presses Ctrl-C once more for every connection that ends."""

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Press Ctrl-C, in the middle of the clean-up."""
        super().disconnected(peer, error)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("presses", [1, 2])
def test_signals_during_the_clean_up_change_nothing(presses: int) -> None:
    """However often it is pressed: connections are closed, hooks called, and nothing is raised."""
    app, events = Application(), Impatient()
    called: list[str] = []

    @app.on()
    def press(message: Message) -> None:
        for _ in range(presses):
            signal.raise_signal(signal.SIGINT)

    @app.on_shutdown
    def note() -> None:
        signal.raise_signal(signal.SIGINT)
        called.append("hook")

    def ask() -> None:
        with socket.create_connection((server.address.host, server.address.port)) as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(Message("end").to_bytes())
            while sock.recv(1_000):
                pass

    with serve(app, "tcp://127.0.0.1:0", observer=events) as server, meanwhile(ask):
        server.serve_forever()
    assert len(events.endings) == 1
    assert called == ["hook"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_hooks_may_close_the_server() -> None:
    """A shutdown hook that closes the server it is called by does not wait for itself."""
    app = Application()
    called: list[str] = []

    @app.on_shutdown
    def close() -> None:
        server.close()
        called.append("hook")

    with serve(app, "tcp://127.0.0.1:0") as server:
        server.shutdown()
        server.serve_forever()
    assert called == ["hook"]


def accepts(server: Server) -> bool:
    """Say whether a server lets anybody in."""
    try:
        socket.create_connection((server.address.host, server.address.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_signals_with_handlers_of_their_own_disturb_nothing() -> None:
    """System calls that are interrupted are taken up again, a thousand times (EINTR)."""
    count = 0

    def own_handler(number: int, frame: object) -> None:
        nonlocal count
        count += 1

    previous = signal.signal(signal.SIGUSR1, own_handler)
    try:
        with serve(echoing(), "tcp://127.0.0.1:0") as server:

            def disturb() -> None:
                with connect(server.address) as connection:
                    for number in range(1_000):
                        send_signal(signal.SIGUSR1)
                        connection.send(number)
                        assert connection.receive(PATIENCE).content == number
                server.shutdown()

            with meanwhile(disturb):
                server.serve_forever()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert count > 0


PROGRAM = """
import telex

app = telex.Application()

@app.on()
def echo(message):
    return message

with telex.sync.serve(app, "tcp://127.0.0.1:0") as server:
    print(server.address, flush=True)
    server.serve_forever()
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_program_ends_well_on_a_signal(number: signal.Signals) -> None:
    """A server of twelve lines ends with its clients told, its last line run, and status 0."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=-1, stderr=-1, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        with connect(run.stdout.readline().strip()) as connection:
            connection.send("hello")
            assert connection.receive(PATIENCE).content == "hello"
            run.send_signal(number)
            assert list(connection) == []
        assert run.wait(PATIENCE) == 0
        assert run.stdout.read() == "ended\n"
        assert run.stderr.read() == ""


def test_waking_is_harmless_at_any_time() -> None:
    """Waking twice, a hundred thousand times, or after the end never waits and never fails."""
    wakeup = Wakeup()
    wakeup.ready(0)
    for _ in range(100_000):
        wakeup.wake()
    assert select.select([wakeup.socket], [], [], 0)[0]
    while select.select([wakeup.socket], [], [], 0)[0]:
        wakeup.ready(0)
    wakeup.close()
    wakeup.wake()
