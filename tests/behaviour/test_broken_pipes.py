"""Ends that are gone when bytes are sent to them, in programs with the default action of SIGPIPE.

Python ignores that signal. It must not end a program that has restored its default action, either.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import FRONT_ENDS, run_program

_BEGIN = """
import array, fcntl, signal, socket, termios, threading, time

signal.signal(signal.SIGPIPE, signal.SIG_DFL)
[path] = arguments

def wait_until_full(sock):
    # Wait until nothing more comes, for the other end has no room left.
    waiting, steady = array.array("i", [0]), 0
    while steady < 5:
        before = waiting[0]
        time.sleep(0.005)
        fcntl.ioctl(sock, termios.FIONREAD, waiting)
        steady = steady + 1 if waiting[0] and waiting[0] == before else 0
"""

SERVER = (
    _BEGIN
    + """
app = telex.Application()
arrived, gone = threading.Event(), threading.Event()
ended = []

@app.on("late", blocking=True, concurrent=True)
def late(message):
    arrived.set()
    assert gone.wait(30)
    return b"x" * 100_000

@app.on("much")
def much(message):
    return b"x" * 8_000_000

@app.on("parts", blocking=True, concurrent=True)
def parts(message):
    for _ in range(100):
        yield b"x" * 80_000

@app.on("echo")
def echo(message):
    return message

class Told(telex.Observer):
    def disconnected(self, peer, error):
        ended.append(error)

serving = start(kind, app, f"unix://{path}", {"observer": Told()})
for number, subject in enumerate(("late", "much", "parts")):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(telex.Message(b"", subject=subject, kind="request", id=1).to_bytes())
        if subject == "late":
            assert arrived.wait(30)
        else:
            wait_until_full(sock)
    gone.set()
    while len(ended) <= number:
        time.sleep(0.001)
client = Driven(serving.address)
print(client.do("request", "here", subject="echo", timeout=30).content)
client.do("close")
client.stop()
serving.shutdown()
assert serving.has_ended(30)
"""
)

CLIENT = (
    _BEGIN
    + """
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
for is_full in (False, True):
    client = Driven(f"unix://{path}")
    peer, _ = listener.accept()

    def leave():
        if is_full:
            wait_until_full(peer)
        peer.close()

    leaving = threading.Thread(target=leave)
    leaving.start()
    if not is_full:
        leaving.join()
    try:
        for _ in range(100):
            client.do("send", b"x" * 80_000)
    except telex.ConnectionClosedError as error:
        print(error.reason)
    leaving.join()
    try:
        client.do("close", 1.0)
    except telex.TelexError:
        pass
    client.stop()
listener.close()
"""
)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_server_outlives_peers_that_go_before_their_answers(
    front_end: str, tmp_path: Path
) -> None:
    """Answers that nobody takes end their connections, and no other one."""
    assert run_program(SERVER, front_end, str(tmp_path / "socket")) == "here\n"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_client_is_told_of_a_server_that_has_gone(front_end: str, tmp_path: Path) -> None:
    """What it sends then raises, before and after the network has taken all that it can."""
    output = run_program(CLIENT, front_end, str(tmp_path / "socket"))
    assert output.count("\n") == 2, output
