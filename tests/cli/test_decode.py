"""``telex decode``: captured bytes become messages again, and what is broken is located."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telex import Message
from tests.cli.stage import Telex

FIRST = Message("Grüße", subject="greet", byteorder="little")
SECOND = Message(b"\x00\xff", byteorder="big")
CAPTURED = FIRST.to_bytes() + SECOND.to_bytes()
FIRST_SIZE = len(FIRST.to_bytes())


def shown(offset: str, message: Message) -> list[str]:
    """Return the lines that show a message."""
    header_block = message.to_buffers()[0][2:]
    return [
        f"byte {offset}: header block of {len(header_block)} bytes",
        f"  {header_block.decode()}",
        f"  {message}",
    ]


def test_it_shows_offset_header_and_message(telex: Telex, tmp_path: Path) -> None:
    """For each message of a file: where it begins, its header block as it is, and the message."""
    (tmp_path / "captured").write_bytes(CAPTURED)
    outcome = telex("decode", f"{tmp_path}/captured")
    assert outcome == (0, [*shown("0", FIRST), *shown(str(FIRST_SIZE), SECOND)], [])


@pytest.mark.parametrize("arguments", [["-"], []])
def test_it_reads_standard_input(telex: Telex, arguments: list[str]) -> None:
    """Without a file, or for ``-``, standard input is read."""
    assert telex("decode", *arguments, given=CAPTURED).output == [
        *shown("0", FIRST),
        *shown(str(FIRST_SIZE), SECOND),
    ]


def test_nothing_at_all_is_no_message(telex: Telex) -> None:
    """An empty capture is not an error: the stream ended between two messages."""
    assert telex("decode") == (0, [], [])


def test_hex_may_be_laid_out_in_any_way(telex: Telex) -> None:
    """``--hex`` reads digits of either case, with white space anywhere between them."""
    digits = CAPTURED.hex().upper()
    given = "\n\t".join(digits[start : start + 7] for start in range(0, len(digits), 7))
    assert telex("decode", "--hex", given=given.encode()) == telex("decode", given=CAPTURED)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (b"00 0x", "line 1, column 5: 'x' is not a hex digit"),
        (b"00\n 01\n\xff", "line 3, column 1: byte 0xff is not a hex digit"),
        (b"00 11\n2\n", "line 2, column 1: the last byte has one hex digit, not two"),
    ],
)
def test_what_is_not_hex_is_located(telex: Telex, given: bytes, sentence: str) -> None:
    """The line and the column of the first wrong character are told, before any message."""
    outcome = telex("decode", "--hex", given=given)
    assert (outcome.code, outcome.output, len(outcome.errors)) == (1, [], 1)
    assert outcome.errors[0].startswith(f"telex: {sentence}")


def test_json_lines_tell_the_offset(telex: Telex) -> None:
    """With ``--json`` each message is one object: its header block is there as it was."""
    loose = b' {\n"content-length": 0, "x": "\x7f\xc2\x9b"}'
    given = CAPTURED + len(loose).to_bytes(2, "big") + loose
    outcome = telex("decode", "--json", given=given)
    first, second, third = map(json.loads, outcome.output)
    assert list(first) == ["offset", "header", "content"]
    assert (first["offset"], first["content"]) == (0, "Grüße")
    assert first["header"] == json.loads(FIRST.to_buffers()[0][2:])
    assert (second["offset"], second["content_base64"]) == (FIRST_SIZE, "AP8=")
    assert third["header"] == {"content-length": 0, "x": "\x7f\x9b"}
    assert "".join(outcome.output).isprintable()


def test_bytes_that_break_the_format_are_located(telex: Telex, tmp_path: Path) -> None:
    """Messages before them are shown; file, offset and reason are told, with exit code 1."""
    (tmp_path / "broken").write_bytes(FIRST.to_bytes() + b'\x00\x15{"content-length":-1}')
    outcome = telex("decode", f"{tmp_path}/broken")
    assert (outcome.code, outcome.output) == (1, shown("0", FIRST))
    (sentence,) = outcome.errors
    where = f"message at byte {FIRST_SIZE}, field 'content-length': "
    assert sentence.startswith(f"telex: {tmp_path}/broken: {where}")
    assert sentence.endswith(" (1 message before it)")


@pytest.mark.parametrize(
    ("size", "part"), [(1, "proto-header"), (60, "header block"), (FIRST_SIZE - 1, "content")]
)
def test_an_end_in_the_middle_is_located(telex: Telex, size: int, part: str) -> None:
    """A capture that was cut off says in which part, and how much is missing."""
    outcome = telex("decode", given=SECOND.to_bytes() + FIRST.to_bytes()[:size])
    assert (outcome.code, outcome.output) == (1, shown("0", SECOND))
    assert f"message at byte {len(SECOND.to_bytes())}: the stream ended" in outcome.errors[0]
    assert f"short of its {part} (1 message before it)" in outcome.errors[0]


def test_no_size_is_too_large(telex: Telex) -> None:
    """The limits of those who receive from a network do not apply to what is here already."""
    large = Message("x" * (1 << 24) + "y", headers={"long": "x" * 20_000})
    outcome = telex("decode", "--json", given=large.to_bytes())
    assert outcome.code == 0
    assert json.loads(outcome.output[0])["content"] == large.content


def test_a_length_is_not_believed(telex: Telex) -> None:
    """Memory is taken for what is there, not for what a header announces."""
    outcome = telex("decode", given=b'\x00\x23{"content-length":9007199254740991}rest')
    assert outcome.code == 1
    assert "9007199254740987 short of its content" in outcome.errors[0].replace(",", "")


def test_a_file_that_cannot_be_read_is_one_line(telex: Telex, tmp_path: Path) -> None:
    """The file and the reason are told, with exit code 1."""
    sentence = f"telex: {tmp_path}/none: no such file or directory"
    assert telex("decode", f"{tmp_path}/none") == (1, [], [sentence])
    assert telex("decode", str(tmp_path)) == (1, [], [f"telex: {tmp_path}: is a directory"])
