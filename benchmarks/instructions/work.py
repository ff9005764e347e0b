"""What is counted: the codec, and turns of a server; all of them can be done again and again.

As a program, ``python -m benchmarks.instructions.work WORK TIMES``, it does one of them so many
times and prints how many messages, or bytes, each time was.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Final

from benchmarks.task import Job, Task
from benchmarks.task import Work as Timed
from benchmarks.telex_codec import PREPARATIONS
from benchmarks.workload import Variety

CONTENT_SIZE: Final = 100
MESSAGES: Final = 128
"""Messages of a batch, as a server receives them when it has much to do."""

_BATCH_SIZE: Final = 256 * 1024
_BYTEWISE_MESSAGES: Final = 10
_WARM_UP: Final = 3
"""Times after which the interpreter has specialised what it can, and every cache is filled."""


class Work(StrEnum):
    """What is counted, for each message unless it says otherwise."""

    DECODE = "decode, in batches"
    DECODE_BYTES = "decode, byte by byte (a byte)"
    ENCODE = "encode"
    MAKE = "make and encode"
    ANSWER_MANY = f"server turn of {MESSAGES} requests (a request)"
    ANSWER_ONE = "server turn of 1 request"


def prepared(work: Work) -> AbstractContextManager[Job]:
    """Prepare a job that does the work once, over input that is always the same."""
    return _PREPARATIONS[work]()


def _codec(
    timed: Timed, count: int = MESSAGES, piece_size: int = _BATCH_SIZE
) -> AbstractContextManager[Job]:
    task = Task(timed, Variety.VARYING, CONTENT_SIZE, count, piece_size)
    return nullcontext(PREPARATIONS[timed](task))


def _answering(requests: int) -> AbstractContextManager[Job]:
    from benchmarks.instructions.server_turn import server_turn  # the codec needs no sockets

    return server_turn(requests, CONTENT_SIZE)


_PREPARATIONS: Final[dict[Work, Callable[[], AbstractContextManager[Job]]]] = {
    Work.DECODE: lambda: _codec(Timed.DECODE),
    Work.DECODE_BYTES: lambda: _codec(Timed.RECEIVE_BYTES, _BYTEWISE_MESSAGES, piece_size=1),
    Work.ENCODE: lambda: _codec(Timed.ENCODE),
    Work.MAKE: lambda: _codec(Timed.MAKE),
    Work.ANSWER_MANY: lambda: _answering(MESSAGES),
    Work.ANSWER_ONE: lambda: _answering(1),
}


def main(work: Work, times: int) -> None:
    """Do the work, and nothing else that depends on how often."""
    with prepared(work) as job:
        for _ in range(_WARM_UP):
            done = job()
        gc.collect()
        gc.disable()
        for _ in range(times):
            job()
    print(done)


if __name__ == "__main__":
    main(Work(sys.argv[1]), int(sys.argv[2]))
