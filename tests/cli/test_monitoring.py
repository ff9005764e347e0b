"""``telex serve --metrics`` and ``--admin``: who may watch, and where."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from telex.cli.monitoring import read_metrics_address
from tests.cli.stage import Telex, connected, program, serving
from tests.reader import free_port
from tests.sync.stage import PATIENCE, wait_until

APPLICATION = """
import telex

app = telex.Application()

@app.on("greet")
{definition} greet(message):
    return f"hello {{message.content}}"
"""


def page_at(url: str) -> str:
    """Return what is offered there."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as page:
        text: str = page.read().decode()
        return text


def url_in(line: str) -> str:
    """Return the address in the line that announces it."""
    return line.removeprefix("metrics at ")


@pytest.mark.parametrize("definition", ["def", "async def"])
def test_metrics_are_offered_beside_what_is_printed(
    definition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both front-ends serve them, and messages are shown all the same."""
    (tmp_path / "orders.py").write_text(APPLICATION.format(definition=definition))
    monkeypatch.chdir(tmp_path)
    with serving("orders:app", "--metrics", "127.0.0.1:0") as (server, address):
        with connected(address) as connection:
            connection.request("x", subject="greet", timeout=PATIENCE)
            server.wait_for("subject greet")
        page = page_at(url_in(server.wait_for("metrics at ")))
    assert 'telex_handler_seconds_count{subject="greet"} 1.0' in page
    assert "telex_received_messages_total 1.0" in page
    assert "process_resident_memory_bytes" in page


def test_each_worker_offers_its_own() -> None:
    """The first takes the port that is named, the next the one after it."""
    port = free_port(2)
    with serving("--workers", "2", "--metrics", f"{port}") as (server, address):
        wait_until(lambda: sum("metrics at" in line for line in server.output) == 2, "two lines")
        urls = sorted(url_in(line) for line in server.output if "metrics at" in line)
        assert urls == [f"http://127.0.0.1:{port + n}/metrics" for n in (0, 1)]
        with connected(address) as connection:
            connection.send("x")
            server.wait_for("text/plain")
            counted = [
                re.search(r"^telex_received_messages_total (\d)", page_at(url), re.MULTILINE)
                for url in urls
            ]
    assert sorted(match[1] for match in counted if match is not None) == ["0", "1"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_a_line_before_anybody_is_served(workers: str) -> None:
    """With several processes it takes as many ports; the last one must be free too."""
    port = free_port(int(workers))
    with socket.create_server(("127.0.0.1", port + int(workers) - 1)):
        arguments = ["--listen", "tcp://127.0.0.1:0", "--workers", workers]
        with program("serve", *arguments, "--metrics", f"127.0.0.1:{port}") as server:
            assert server.end() == 1
        where = f"127.0.0.1:{port + int(workers) - 1}"
        problem = f"--metrics: cannot listen on {where}: address already in use"
        assert server.errors == [f"telex: {problem}"]
        assert not any("listening on" in line for line in server.output)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--metrics", "nine"], "--metrics: 'nine' is not HOST:PORT, such as 127.0.0.1:9100"),
        (["--metrics", "h:99999"], "--metrics: 'h:99999' is not HOST:PORT"),
        (["--metrics", "65535", "--workers", "2"], "--metrics: there are no 2 ports from 65535 on"),
        (["--admin", "ops"], "--admin: nobody has a name without --token-file or --client-ca"),
        (["--admin", "ops", "--no-admin"], "--no-admin: it cannot be together with --admin"),
    ],
)
def test_what_cannot_be_meant_is_refused(telex: Telex, arguments: list[str], problem: str) -> None:
    """It is one line, with exit code 2."""
    outcome = telex("serve", *arguments)
    assert outcome.code == 2
    assert outcome.errors[0].startswith(f"telex: {problem}")


@pytest.mark.parametrize(
    ("where", "host", "port"),
    [
        ("9100", "127.0.0.1", 9100),
        (":9100", "127.0.0.1", 9100),
        ("0.0.0.0:9100", "0.0.0.0", 9100),
        ("[::1]:9100", "::1", 9100),
        ("http://localhost:9100/", "localhost", 9100),
    ],
)
def test_addresses_are_understood_as_people_write_them(where: str, host: str, port: int) -> None:
    """A port alone is one of this machine."""
    assert read_metrics_address(where) == (host, port)


def test_a_missing_extra_is_one_line() -> None:
    """Without prometheus-client, ``--metrics`` says which extra to install."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from telex.cli import main\n"
        "sys.argv = ['telex', 'serve', '--metrics', '9100']; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    problem = "telex: telex.metrics needs prometheus-client: pip install prometheus-client\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", problem)
