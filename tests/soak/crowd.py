"""The crowd: clients of all sorts in threads and tasks, in one process, and the networks between.

Each client lives again and again until the time is over: it connects, does what its sort does, and
leaves. A phase ends when all of them have come to an end.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from typing import Any, Final

import telex.asyncio
from telex import Address, TelexError
from telex.testing import Proxy, Weather
from tests.soak import counters
from tests.soak.clients import crowd_of
from tests.soak.clients.client import Client, LoopClient, ThreadClient, World
from tests.soak.disturbances import RaisingFilter
from tests.soak.process import QUIET_SECONDS, answer_commands
from tests.soak.records import Records

_CALM: Final = Weather(largest_piece=16_384, delay_chance=0.02, longest_delay=0.005)
_ROUGH: Final = Weather(
    largest_piece=8192,
    delay_chance=0.05,
    longest_delay=0.02,
    stall_chance=0.002,
    stall=0.5,
    reset_every=60_000,
)
_LONGEST_PAUSE: Final = 0.4
_ENDING_SECONDS: Final = 60.0
"""How long the clients may take to come to their ends."""


class Crowd:
    """All clients of the soak."""

    def __init__(self, options: dict[str, Any], networks: ExitStack) -> None:
        self._seed: Final = str(options["seed"])
        self._uvloop: Final[bool] = options["uvloop"]
        self._clients: Final[int] = options["clients"]
        self._dice: Final = random.Random(f"{self._seed} networks")
        self._phase = 0
        direct = Address.parse(options["address"])
        self._rough: Final = networks.enter_context(Proxy(direct, _ROUGH, seed=options["seed"]))
        self._calm: Final = networks.enter_context(Proxy(direct, _CALM, seed=options["seed"]))
        authority = options["authority"]
        tls = None if authority is None else telex.tls.client_context(ca=authority)
        self.world: Final = World(
            self._calm.address, self._rough.address, direct, options["token"], tls
        )
        self.outcomes: Final[dict[str, Counter[str]]] = {}
        self.numbers: Final[Counter[str]] = Counter()
        self.records: Final = Records()
        self.records.install(RaisingFilter(random.Random(f"{self._seed} filter")))

    # Commands

    def run(self, seconds: float) -> None:
        """Have all clients live for so long, and wait until each has come to its end."""
        self._phase += 1
        self.world.is_over.clear()
        threads = [
            threading.Thread(target=self._live_in_thread, args=(client,), name=client.name)
            for client in self._new_clients()
            if isinstance(client, ThreadClient)
        ]
        tasks = [client for client in self._new_clients() if isinstance(client, LoopClient)]
        threads.append(threading.Thread(target=self._run_loop, args=(tasks,), name="event loop"))
        for thread in threads:
            thread.start()
        self._disturb_until(time.monotonic() + seconds)
        self.world.is_over.set()
        deadline = time.monotonic() + _ENDING_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive() and thread.ident is not None:
                frame = sys._current_frames().get(thread.ident)
                where = "".join(traceback.format_stack(frame))
                self.records.problems.add(
                    f"a client did not come to its end: {thread.name}\n{where}"
                )

    def wait_until_quiet(self) -> list[str]:
        """Wait until nothing is left in the networks; return what is left after all patience."""
        deadline = time.monotonic() + QUIET_SECONDS
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"connections in the networks: {left}"] if left else []

    def count(self) -> dict[str, int]:
        """Count what this process holds."""
        return counters.count()

    def report(self) -> dict[str, Any]:
        """Tell what has happened so far."""
        ledger = self.world.ledger
        return {
            "numbers": self.numbers,
            "outcomes": self.outcomes,
            "asked": ledger.asked,
            "sum": ledger.sum,
            "answered": ledger.answered,
            "rough": ledger.rough,
            "lost": ledger.lost,
            "open": sorted(Counter(ledger.open.values()).items()),
            "ledger problems": ledger.problems.texts(),
            "problems": self.records.problems.texts(),
            "resets": self._rough.resets,
        }

    def _left(self) -> int:
        return len(self._calm._connections) + len(self._rough._connections)

    # Lives

    def _new_clients(self) -> list[Client]:
        clients = []
        for number, sort in enumerate(crowd_of(self._clients)):
            dice = random.Random(f"{self._seed} {self._phase} {number} {sort.name}")
            clients.append(sort(self.world, dice))
        self.numbers.clear()
        self.numbers.update(client.name for client in clients)
        return clients

    def _live_in_thread(self, client: ThreadClient) -> None:
        while not self.world.is_over.wait(client.dice.uniform(0, _LONGEST_PAUSE)):
            try:
                outcome = client.live()
            except (TelexError, OSError) as error:
                outcome = _name_of(error)
            except Exception:  # noqa: BLE001 - the soak goes on, and reports it
                outcome = "failed"
                self.records.problems.add(f"{client.name}: {traceback.format_exc()}")
            self._note(client, outcome)

    def _run_loop(self, clients: list[LoopClient]) -> None:
        telex.asyncio.run(self._live_in_loop(clients), uvloop=self._uvloop)

    async def _live_in_loop(self, clients: list[LoopClient]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._take_loop_error)
        await asyncio.gather(*(self._live_in_task(client) for client in clients))
        for _ in range(20):
            await asyncio.sleep(0.05)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                return
        self.records.problems.add(f"tasks are left of clients that have closed: {left}")

    async def _live_in_task(self, client: LoopClient) -> None:
        while not self.world.is_over.is_set():
            await asyncio.sleep(client.dice.uniform(0, _LONGEST_PAUSE))
            try:
                outcome = await client.live()
            except (TelexError, OSError) as error:
                outcome = _name_of(error)
            except Exception:  # noqa: BLE001 - the soak goes on, and reports it
                outcome = "failed"
                self.records.problems.add(f"{client.name}: {traceback.format_exc()}")
            self._note(client, outcome)

    def _note(self, client: Client, outcome: str) -> None:
        self.outcomes.setdefault(client.name, Counter())[outcome] += 1

    def _take_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        where = "".join(traceback.format_exception(error)) if error is not None else ""
        self.records.problems.add(f"the event loop reports: {context.get('message')}\n{where}")

    def _disturb_until(self, end: float) -> None:
        """Freeze the rough network from time to time, and break all its connections."""
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self._dice.uniform(0.5, 3.0)))
            chance = self._dice.random()
            if chance < 0.2:
                self._rough.reset()
            elif chance < 0.5:
                self._rough.freeze()
                time.sleep(self._dice.uniform(0.1, 1.0))
                self._rough.thaw()


def _name_of(error: BaseException) -> str:
    code = getattr(error, "code", "")
    return (
        f"{type(error).__name__} {code}".strip() if isinstance(code, str) else type(error).__name__
    )


def main(options: dict[str, Any]) -> None:
    """Answer commands until the standard input ends."""
    with ExitStack() as networks:
        crowd = Crowd(options, networks)
        answer_commands(
            {name: getattr(crowd, name) for name in ("run", "wait_until_quiet", "count", "report")}
        )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
