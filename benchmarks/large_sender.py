"""The sending end of ``benchmarks.large``: a client; ``ADDRESS`` and ``SIZE`` are its arguments.

It sends so many random bytes, and prints a line of JSON: what they were, how long it took, and its
own memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time

from benchmarks.machine import peak_memory
from telex import Limits, sync

_LONGEST_WAIT = 600.0


def main(address: str, size: int) -> None:
    """Send one message, and wait until the server has read it."""
    content = os.urandom(size)
    begin = time.perf_counter()
    connection = sync.connect(address, limits=Limits(max_content_size=size))
    connection.send(content)
    connection.close(_LONGEST_WAIT)
    departure = {
        "seconds": time.perf_counter() - begin,
        "peak_memory": peak_memory(),
        "digest": hashlib.sha256(content).hexdigest(),
    }
    print(json.dumps(departure), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
