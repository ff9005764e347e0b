"""``telex.metrics``: what Prometheus gets to see of a server, scraped from both front-ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

import telex.sync
from telex import Application, ConnectionClosedError, Message, Refusal, RemoteError
from telex.application.peer import Peer
from telex.metrics import BUCKETS, Metrics
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import PATIENCE, plug_into, wait_until
from tests.watching import serving


@pytest.fixture(params=["sync", "asyncio"])
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the server."""
    kind: FrontEnd = request.param
    return kind


class Nobody(Peer):
    """A peer of no connection."""

    address = "nowhere"
    identity = None

    def send(self, content: object, **keywords: Any) -> None:
        """Send to nobody."""


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Return the value of a sample."""
    return registry.get_sample_value(name, labels)


def shop() -> Application:
    """Return an application whose handlers answer, refuse, fail, and wait."""
    app = Application()

    @app.on("price.*")
    def price(message: Message) -> str:
        return "49.5"

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal(str(message.content))

    @app.on()
    def other(message: Message) -> None:
        """Answer nothing."""

    return app


def test_a_server_is_scraped_over_http(front_end: FrontEnd) -> None:
    """Connections, messages, bytes and seconds arrive at Prometheus with their names and types."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    http, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        with (
            serving(front_end, shop(), observer=metrics) as server,
            telex.sync.connect(server.address) as connection,
        ):
            for number in range(3):
                connection.request("", subject=f"price.{number}", timeout=PATIENCE)
            # An answer is counted when it has been sent, which may be after it was received.
            answers = 3 * len(Message("49.5").to_bytes())
            wait_until(
                lambda: (registry.get_sample_value("telex_sent_bytes_total") or 0) > answers,
                "the last answer is counted",
            )
            with urllib.request.urlopen(f"http://127.0.0.1:{http.server_port}/metrics") as page:
                families = list(text_string_to_metric_families(page.read().decode()))
    finally:
        http.shutdown()
        http.server_close()
        thread.join(PATIENCE)
    types = {family.name: family.type for family in families}
    samples = {(s.name, tuple(s.labels.values())): s.value for f in families for s in f.samples}
    assert types == {
        "telex_connections": "gauge",
        "telex_connections_accepted": "counter",
        "telex_received_messages": "counter",
        "telex_received_bytes": "counter",
        "telex_sent_messages": "counter",
        "telex_sent_bytes": "counter",
        "telex_waiting_messages": "gauge",
        "telex_partial_bytes": "gauge",
        "telex_unsent_bytes": "gauge",
        "telex_errors": "counter",
        "telex_handler_seconds": "histogram",
    }
    assert samples["telex_connections", ()] == 1
    assert samples["telex_received_messages_total", ()] == 3
    assert samples["telex_sent_messages_total", ()] == 3
    assert samples["telex_received_bytes_total", ()] > 3 * len(Message("").to_bytes())
    assert samples["telex_sent_bytes_total", ()] > answers
    assert samples["telex_handler_seconds_count", ("price.*",)] == 3
    assert 0 < samples["telex_handler_seconds_sum", ("price.*",)] < PATIENCE


def test_connections_are_counted_now_and_in_all(front_end: FrontEnd) -> None:
    """The gauge goes down again, the counter never does."""
    registry = CollectorRegistry()
    with serving(front_end, shop(), observer=Metrics(registry)) as server:
        for _ in range(3):
            with telex.sync.connect(server.address):
                pass
        wait_until(lambda: value(registry, "telex_connections") == 0, "all are gone")
        assert value(registry, "telex_connections_accepted_total") == 3


def test_errors_are_counted_by_code(front_end: FrontEnd) -> None:
    """Those of messages, and those that end a connection."""
    registry = CollectorRegistry()
    with serving(front_end, shop(), observer=Metrics(registry)) as server:
        with telex.sync.connect(server.address) as connection:
            for _ in range(2):
                with pytest.raises(RemoteError):
                    connection.request("sold-out", subject="refuse", timeout=PATIENCE)
        with plug_into(server.address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
            while sock.recv(4096):
                pass
        wait_until(lambda: value(registry, "telex_connections") == 0, "all are gone")
    assert value(registry, "telex_errors_total", code="sold-out") == 2
    assert value(registry, "telex_errors_total", code="bad-message") == 1


def test_a_peer_cannot_make_labels(front_end: FrontEnd) -> None:
    """Subjects are counted under the handler's pattern, and codes of a peer's own as others."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.disconnected(Nobody(), ConnectionClosedError("peer", "x", code="evil-code"))
    with serving(front_end, shop(), observer=metrics) as server:
        with telex.sync.connect(server.address) as connection:
            for number in range(50):
                connection.request("", subject=f"price.{number}", timeout=PATIENCE)
                connection.request("", subject=f"{number}", timeout=PATIENCE)
            for number in range(300):
                with pytest.raises(RemoteError):
                    connection.request(f"made-up-{number}", subject="refuse", timeout=PATIENCE)
        wait_until(lambda: value(registry, "telex_connections") == 0, "all are gone")
    samples = [sample for family in registry.collect() for sample in family.samples]
    subjects = {sample.labels["subject"] for sample in samples if "subject" in sample.labels}
    codes = {sample.labels["code"] for sample in samples if "code" in sample.labels}
    assert subjects == {"price.*", "refuse", "(other)"}
    assert len(codes) <= 110
    assert "other" in codes
    assert "evil-code" not in codes


def test_the_histogram_adds_up() -> None:
    """Each bucket counts what is at most as long, and the last one everything."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    times = [0.00005, BUCKETS[0], 0.003, 99.0]
    for seconds in times:
        metrics.handler_ended(Nobody(), Message(""), "x", seconds)
    name = "telex_handler_seconds_bucket"
    assert value(registry, name, subject="x", le="0.0001") == 2
    assert value(registry, name, subject="x", le="0.005") == 3
    assert value(registry, name, subject="x", le="10.0") == 3
    assert value(registry, name, subject="x", le="+Inf") == 4
    assert value(registry, "telex_handler_seconds_sum", subject="x") == pytest.approx(sum(times))


def test_queues_are_seen_while_they_are_there(front_end: FrontEnd) -> None:
    """Messages that wait for a slow handler, and a message that is still coming in."""
    go_on = threading.Event()
    app = Application()

    @app.on("wait", blocking=True)
    def wait(message: Message) -> None:
        go_on.wait(PATIENCE)

    registry = CollectorRegistry()
    with (
        serving(front_end, app, observer=Metrics(registry)) as server,
        plug_into(server.address) as sock,
    ):
        sock.sendall(Message("", subject="wait").to_bytes() * 4)
        sock.sendall(Message(b"x" * 1000).to_bytes()[:400])
        wait_until(lambda: value(registry, "telex_partial_bytes") == 400, "a part is there")
        wait_until(lambda: value(registry, "telex_waiting_messages") == 3, "three wait")
        go_on.set()
        wait_until(lambda: value(registry, "telex_waiting_messages") == 0, "none waits")


def test_the_error_of_a_broken_connection_is_counted(front_end: FrontEnd) -> None:
    """A connection that the server ends has a code, such as that of its limits."""
    registry = CollectorRegistry()
    limits = telex.Limits(idle_timeout=0.3)
    with serving(front_end, shop(), observer=Metrics(registry), limits=limits) as server:
        with (
            telex.sync.connect(server.address) as connection,
            pytest.raises(ConnectionClosedError),
        ):
            connection.receive(PATIENCE)
        wait_until(lambda: value(registry, "telex_connections") == 0, "all are gone")
    assert value(registry, "telex_errors_total", code="timeout") == 1


@pytest.mark.parametrize(
    ("module", "package", "missing"),
    [
        ("telex.metrics", "prometheus-client", "prometheus_client"),
        ("telex.tracing", "opentelemetry-api", "opentelemetry"),
    ],
)
def test_a_missing_extra_is_said_in_a_line(module: str, package: str, missing: str) -> None:
    """The error says which command installs it."""
    code = f"import sys; sys.modules[{missing!r}] = None; import {module}"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    sentence = f"{module} needs {package}: pip install {package}"
    assert ended.stderr.splitlines()[-1] == f"ModuleNotFoundError: {sentence}"
