"""Metrics of a server for Prometheus: an observer that a registry can collect from.

The observer only counts, in plain numbers; the metrics are made when the registry collects them.
Labels come from the application alone, and never from a peer, which could send any number of them.

This is the only module that imports prometheus-client (extra ``metrics``); it knows no HTTP.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from telex.application.connected_peer import ConnectedPeer, Queues
from telex.application.observer import Observer
from telex.conversation.error_content import TITLES
from telex.extras import needed_for

with needed_for("telex.metrics", "prometheus-client"):
    from prometheus_client import REGISTRY
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.registry import Collector
    from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from telex.application.peer import Peer
    from telex.errors import TelexError
    from telex.wire.message import Message
    from telex.wire.processor import State

__all__ = ["BUCKETS", "Metrics"]

BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The upper bounds of the histogram's buckets, in seconds; one more bucket is above the last."""

_ANY_SUBJECT: Final = "(other)"
"""The label of the handler for all other subjects."""

_OTHER_CODE: Final = "other"

_MAX_CODES: Final = 100
"""Error codes of the application that get a label; later codes are counted as ``_OTHER_CODE``."""


class Metrics(Observer, Collector):
    """Metrics of one server: connections, messages, bytes, errors, queues, handler seconds.

    The object registers itself with ``registry``: by default with the default registry of
    Prometheus, and with no registry if ``registry`` is None. A program with several servers needs
    a ``Metrics`` and a registry for each of them.

        metrics = telex.metrics.Metrics()
        prometheus_client.start_http_server(9100, "127.0.0.1")
        with telex.sync.serve(app, "tcp://127.0.0.1:7766", observer=metrics) as server:
            server.serve_forever()
    """

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        self._peers: Final[set[Peer]] = set()
        self._accepted = 0
        self._messages_received = 0
        self._bytes_received = 0
        self._messages_sent = 0
        self._bytes_sent = 0
        self._errors: Final[dict[str, int]] = {}
        self._histograms: Final[dict[str | None, _Histogram]] = {}
        if registry is not None:
            registry.register(self)

    # Events, in the server's thread

    def connected(self, peer: Peer) -> None:
        """Count a connection."""
        self._accepted += 1
        self._peers.add(peer)

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Count bytes."""
        self._bytes_received += size

    def message_received(self, peer: Peer, message: Message) -> None:
        """Count a message."""
        self._messages_received += 1

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """Add the time to the histogram of the handler."""
        histogram = self._histograms.get(pattern)
        if histogram is None:
            histogram = self._histograms[pattern] = _Histogram()
        histogram.add(seconds)

    def message_failed(self, peer: Peer, message: Message, code: str) -> None:
        """Count an error that answers a message."""
        self._count_error(self._label_of(code))

    def message_sent(self, peer: Peer, message: Message) -> None:
        """Count a message."""
        self._messages_sent += 1

    def data_sent(self, peer: Peer, size: int) -> None:
        """Count bytes."""
        self._bytes_sent += size

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Count one connection less, and the error that ended it, if any."""
        self._peers.discard(peer)
        if error is not None:
            code = getattr(error, "code", _OTHER_CODE)  # the peer may have chosen it
            self._count_error(code if code in TITLES or code == "closed" else _OTHER_CODE)

    # Collecting, in any thread

    def collect(self) -> Iterable[Metric]:
        """Return all metrics."""
        peers = list(self._peers)
        queues = [peer.queues for peer in peers if isinstance(peer, ConnectedPeer)]
        return [
            GaugeMetricFamily("telex_connections", "Connections that are open.", len(peers)),
            CounterMetricFamily(
                "telex_connections_accepted", "Connections since the start.", self._accepted
            ),
            CounterMetricFamily(
                "telex_received_messages",
                "Messages received for the application.",
                self._messages_received,
            ),
            CounterMetricFamily("telex_received_bytes", "Bytes received.", self._bytes_received),
            CounterMetricFamily(
                "telex_sent_messages",
                "Messages sent by the application, answers among them.",
                self._messages_sent,
            ),
            CounterMetricFamily(
                "telex_sent_bytes", "Bytes sent, before encryption.", self._bytes_sent
            ),
            *_gauges(queues),
            self._errors_by_code(),
            self._seconds_by_subject(),
        ]

    def describe(self) -> Iterable[Metric]:
        """Return the metrics that ``collect`` returns."""
        return self.collect()

    def _label_of(self, code: str) -> str:
        """Return the label for an error code; the number of labels is bounded."""
        is_room = code in self._errors or code in TITLES or len(self._errors) < _MAX_CODES
        return code if is_room else _OTHER_CODE

    def _count_error(self, label: str) -> None:
        self._errors[label] = self._errors.get(label, 0) + 1

    def _errors_by_code(self) -> Metric:
        errors = CounterMetricFamily(
            "telex_errors",
            "Messages that failed, and connections that ended otherwise than they should.",
            labels=["code"],
        )
        for code, count in sorted(self._errors.copy().items()):
            errors.add_metric([code], count)
        return errors

    def _seconds_by_subject(self) -> Metric:
        seconds = HistogramMetricFamily(
            "telex_handler_seconds",
            "How long handlers took, by the subject that they are registered for.",
            labels=["subject"],
        )
        for pattern, histogram in self._histograms.copy().items():
            label = _ANY_SUBJECT if pattern is None else pattern
            seconds.add_metric([label], histogram.buckets(), histogram.sum)
        return seconds


class _Histogram:
    """The distribution of the times of one handler."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * (len(BUCKETS) + 1)

    def add(self, seconds: float) -> None:
        """Add a time, in seconds."""
        self.sum += seconds
        self._counts[bisect_left(BUCKETS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Return each upper bound with the number of times that are not above it."""
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        return list(zip(bounds, accumulate(self._counts.copy()), strict=True))


def _gauges(queues: list[Queues]) -> list[Metric]:
    """Return the sums of the queues of all connections."""
    return [
        GaugeMetricFamily(
            "telex_waiting_messages",
            "Messages received whose handlers have not been called yet.",
            sum([queue.messages for queue in queues]),
        ),
        GaugeMetricFamily(
            "telex_partial_bytes",
            "Bytes received of messages that are not complete yet.",
            sum([queue.partial for queue in queues]),
        ),
        GaugeMetricFamily(
            "telex_unsent_bytes",
            "Bytes that the network has not taken yet.",
            sum([queue.unsent for queue in queues]),
        ),
    ]
