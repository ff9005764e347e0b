"""The receiving end of ``benchmarks.large``: a server for one message, ``SIZE`` its argument.

It prints two lines of JSON: where it listens; and what arrived, with its own memory.
"""

from __future__ import annotations

import hashlib
import json
import sys

from benchmarks.machine import peak_memory
from telex import Application, Limits, Message, sync


def main(size: int) -> None:
    """Serve until a message has come."""
    application = Application()
    limits = Limits(max_content_size=size, max_buffered=4 * size)
    with sync.serve(application, "tcp://127.0.0.1:0", limits=limits) as server:
        idle_memory = peak_memory()

        @application.on()
        def tell(message: Message) -> None:
            content = message.content
            arrival = {
                "size": len(content),
                "idle_memory": idle_memory,
                "peak_memory": peak_memory(),
                "digest": hashlib.sha256(content).hexdigest(),
            }
            print(json.dumps(arrival), flush=True)
            server.shutdown()

        print(json.dumps({"address": str(server.address)}), flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
