"""A blocking client that is connected to a conversation on a plain socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from telex.sync import Connection, connect
from tests.answering import Answerer, Take
from tests.sync.stage import PATIENCE, ROOMY


@contextlib.contextmanager
def answering(take: Take, **options: Any) -> Iterator[tuple[Connection, Answerer]]:
    """Connect a client to a server that hands every batch of messages to ``take``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        connection = connect(address, **{"limits": ROOMY, **options})
        sock, _ = listener.accept()
    with sock:
        answerer = Answerer(sock, take)
        try:
            yield connection, answerer
        finally:
            connection._driver.release()
            answerer.thread.join(PATIENCE)
