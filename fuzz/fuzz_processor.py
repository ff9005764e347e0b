"""Feeds hostile bytes to the message processor, for as long as it is let.

    python fuzz/fuzz_processor.py -max_total_time=60

The invariant, for every byte string and every way to cut it:

- It becomes messages, or a ProtocolError behind those that were whole before it. Nothing else is
  raised, and every message can be printed, and its content be read or refused with a ContentError.
- The reference parser of the tests makes the same of it: messages, kind and place of the failure.
- Never is more memory in use than the bytes that were received allow: at no moment more than
  MEMORY_PER_BYTE for each of them and MEMORY_AT_ALL, whatever a header announces.

Each input is taken twice: as a stream, and as a header block with a fitting proto-header, so that
the fuzzer need not find out lengths to get at the header. The cases of conformance/vectors.json
are where it starts. It needs atheris, and runs the Python sources, since compiled code cannot be
observed.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import atheris

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

with atheris.instrument_imports(include=["telex"]):
    import telex
    from tests import reference
    from tests.framing import exact, frame, outcome_in_batches, outcome_one_by_one, what_and_where

MEMORY_PER_BYTE = 64
"""Bytes of memory that a received byte may cost; arrays inside arrays, the dearest, cost 40."""

MEMORY_AT_ALL = 20_000
"""Bytes of memory that a processor may cost before it has received any."""

LONGEST_INPUT = 4_096
"""Bytes of an input; every rule of the format shows in fewer, and short inputs are fast."""

LIMITS = (telex.Limits(), telex.Limits(max_header_size=65_535, max_content_size=10))


def check(data: bytes) -> None:
    """Hold the processor to the invariant for one input."""
    chance = random.Random(zlib.crc32(data))
    limits = chance.choice(LIMITS)
    header_block = data[: limits.max_header_size]
    for stream in (data, frame(header_block, data), frame(header_block) * 2):
        check_stream(stream, limits, chance)
    check_memory(data, limits, chance)


def check_stream(stream: bytes, limits: telex.Limits, chance: random.Random) -> None:
    """Compare what comes of a stream, whole and cut, with what the reference parser says."""
    expected = reference.parse(
        stream, max_header_size=limits.max_header_size, max_content_size=limits.max_content_size
    )
    pieces = cut(stream, chance)
    for outcome in (
        outcome_in_batches([stream], telex.MessageProcessor(limits)),
        outcome_in_batches(pieces, telex.MessageProcessor(limits)),
        outcome_one_by_one(pieces, telex.MessageProcessor(limits)),
    ):
        assert exact(outcome.messages) == exact(expected.messages), (outcome, expected)
        assert what_and_where(outcome) == what_and_where(expected), (outcome, expected)
    check_use(stream, limits)


def check_use(stream: bytes, limits: telex.Limits) -> None:
    """Print every message that arrives, and read its content."""
    with contextlib.suppress(telex.ProtocolError):
        for message in telex.MessageProcessor(limits).receive_messages(stream):
            str(message)
            with contextlib.suppress(telex.ContentError):
                str(message.content)


def check_memory(stream: bytes, limits: telex.Limits, chance: random.Random) -> None:
    """Compare the memory that is in use while a stream arrives with what has arrived."""
    pieces = cut(stream, chance)
    received = 0
    tracemalloc.start()
    try:
        processor = telex.MessageProcessor(limits)
        with contextlib.suppress(telex.ProtocolError):
            for piece in pieces:
                received += len(piece)
                processor.receive_messages(piece)
                _now, most = tracemalloc.get_traced_memory()
                allowed = MEMORY_PER_BYTE * received + MEMORY_AT_ALL
                assert most <= allowed, f"{most} bytes in use for {received} received"
    finally:
        tracemalloc.stop()


def cut(stream: bytes, chance: random.Random) -> list[bytes]:
    """Cut a stream into a few pieces at random."""
    places = sorted(chance.randint(0, len(stream)) for _ in range(chance.randint(0, 5)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


def write_seeds(directory: Path) -> None:
    """Write the streams of the conformance vectors, and their header blocks, one a file."""
    vectors = json.loads((PROJECT / "conformance" / "vectors.json").read_text("ascii"))
    for number, case in enumerate(vectors["cases"]):
        stream = b"".join(bytes.fromhex(part["hex"]) * part["repeat"] for part in case["stream"])
        (directory / f"{number:03}-stream").write_bytes(stream)
        (directory / f"{number:03}-header-block").write_bytes(stream[2:])


def main() -> None:
    """Fuzz until the arguments, which are libFuzzer's, say stop."""
    with tempfile.TemporaryDirectory() as seeds:
        write_seeds(Path(seeds))
        program, *arguments = sys.argv
        atheris.Setup([program, f"-max_len={LONGEST_INPUT}", *arguments, seeds], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
