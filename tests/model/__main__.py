"""Search many histories: ``python -m tests.model 100000``."""

from __future__ import annotations

import sys
import time

from tests.model.histories import EVERY, search


def main() -> None:
    """Share the histories out among the rules, and say what was reached and how long it took."""
    histories = int(sys.argv[1])
    begin = time.monotonic()
    for at, (name, rules) in enumerate(EVERY.items()):
        share = (histories + at) // len(EVERY)
        seen = search(rules, share)
        took = time.monotonic() - begin
        outcomes = ", ".join(f"{count:,} {what}" for what, count in sorted(seen.items()))
        sys.stdout.write(f"{name}: {outcomes} ({took:.0f} s so far)\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
