"""Soak servers: ``python -m tests.soak --server sync --seconds 60 --seed 7``."""

from __future__ import annotations

import argparse
import random
import sys
from typing import Final

from tests.soak.report import text_of
from tests.soak.soak import Plan, soak

_SERVERS: Final = ("sync", "asyncio", "uvloop")


def main() -> int:
    """Soak one server, or all in turn; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--server", choices=("all", *_SERVERS), default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each server")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier soak")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--tls", choices=("yes", "no"), default="yes")
    chosen = parser.parse_args()
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    has_problems = False
    for server in _SERVERS if chosen.server == "all" else (chosen.server,):
        plan = Plan(
            server,
            chosen.seconds,
            warm_up=min(30.0, max(5.0, chosen.seconds / 4)),
            seed=seed,
            clients=chosen.clients,
            is_encrypted=chosen.tls == "yes",
        )
        result = soak(plan)
        sys.stdout.write(text_of(result))
        sys.stdout.flush()
        has_problems = has_problems or bool(result.problems)
    return int(has_problems)


if __name__ == "__main__":
    sys.exit(main())
