"""A server in a process of its own: ``python -m benchmarks.peers.server MODULE KEY SERVICE``.

It prints lines of JSON: first the port on which it listens and which Telex it has, then, where it
is a sink, what has come each time that the end has come. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

import telex
from benchmarks.peers.catalogue import contestant_of
from benchmarks.peers.contestants.base import Service, Tally
from benchmarks.peers.open_files import allow_most


def tell(what: dict[str, Any]) -> None:
    """Tell the process that started this one."""
    print(json.dumps(what), flush=True)


def main(module: str, key: str, service: Service) -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_most()
    threading.Thread(target=_end_with_input, daemon=True).start()
    contestant_of(module, key).serve(
        service,
        Tally(tell),
        lambda port: tell({"port": port, "is_compiled": telex.is_compiled()}),
    )


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Service(sys.argv[3]))
