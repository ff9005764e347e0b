"""What Hypothesis makes of the wire: header blocks and streams; good, nearly so, garbage.

Messages, and the ways to cut bytes up, are users' too: ``telex.testing.strategies``.
"""

from __future__ import annotations

import json

from hypothesis import strategies as st

from telex.testing.strategies import KNOWN_FIELDS, json_values, messages
from tests.framing import frame

RIGHT_VALUES: dict[str, tuple[str, ...]] = {
    "byteorder": ('"little"', '"big"'),
    "content-type": (
        '"text/plain"',
        '"text/json"',
        '"a/b+json"',
        '"a/b; c"',
        '"TEXT/x"',
        '"a/b\\t ;/ü"',
    ),
    "content-encoding": ('"utf-8"', '"binary"', '"klingon"', '" "'),
    "kind": ('""', '"request"', '"\\u0000"'),
    "subject": ('""', '"a.b"', '",\\"content-length\\":5"', '"\\ud83d\\ude00"', '"ü"', '"[[{{"'),
    "more": ("true",),
    "n": (
        "-0",
        "-0.0",
        "1e-400",
        "1.5e+3",
        "1e308",
        "9" * 308,
        "-17" + "0" * 307,
        "0." + "9" * 2_000,
    ),
    "x": (
        *("null", "false", "[]", "{}", '{"id":1}', '{"a":1,"b":{"a":1}}', '[{"a":1},{"a":1}]'),
        *("[" * 63 + "]" * 63, '{"a":' * 62 + "{}" + "}" * 62, '"' + "[" * 70 + '"'),
    ),
    "": ("1", '"\\u0022"', '"}"'),
}
"""What may stand in front of the numbers."""

RIGHT_NUMBERS = ("1", "7", "30", "100", "9007199254740991")

WRONG_VALUES = (
    *("0", "-1", "05", "00", "1.0", "5e0", "1e400", "-1e400", "", "+1", "0x1", '"5"', "1 2", "1_0"),
    *("9007199254740992", "99999999999999999999", "00000000000000000001", "1" * 5_000, "-0"),
    *("true", "false", "null", "NaN", "Infinity", "-Infinity", "{}", "[]", "[", "{", "}", '"', ","),
    *(
        '"middle"',
        '"a"',
        '"a/"',
        '"/a"',
        '" / "',
        '"a/b/c"',
        '"a/;b"',
        '"a/b "',
        '" a/b"',
        '"a/b c"',
        '"a/b\\n"',
        '"ü/b"',
        '""',
        '"\\ud800"',
        '"\n"',
        '"\\x41"',
        "'a'",
    ),
    *(
        '{"a":1,"a":2}',
        '[{"a":1,"\\u0061":2}]',
        "[" * 64 + "]" * 64,
        '{"a":' * 63 + "{}" + "}" * 63,
    ),
    *(
        "1" * 310,
        "-" + "18" + "0" * 307,
        "1" * 1_001 + ".0",
        "\ufeff1",
        "\uff11",
        '{"\\udfff":1}',
        '{"content-length":1}',
    ),
)
"""What is wrong almost everywhere; where it is right, the parsers agree on that too."""

NAMES = (*KNOWN_FIELDS, "content-\\u006cength", "\\u0069d", "\\ud800", "ID", "x", "")


def numbers(*, least: int) -> st.SearchStrategy[int]:
    """Make numbers of a header block, as likely as not where their digits become more."""
    edges = [10**digits + off for digits in range(16) for off in (-1, 0, 1)] + [2**53 - 1]
    return st.sampled_from([number for number in edges if number >= least]) | st.integers(
        least, 2**53 - 1
    )


@st.composite
def header_blocks(draw: st.DrawFn) -> bytes:
    """Make header blocks: most have the shape of the fast path, half of them a fault or two."""
    names = draw(st.lists(st.sampled_from(sorted(RIGHT_VALUES)), max_size=3, unique=True))
    members = [(name, draw(st.sampled_from(RIGHT_VALUES[name]))) for name in names]
    members += [(name, json.dumps(value)) for name, value in draw(_own_members).items()]
    length = draw(st.sampled_from(["0", *RIGHT_NUMBERS]))
    behind = draw(st.lists(st.sampled_from(["id", "re", "timeout"]), max_size=3, unique=True))
    members.append(("content-length", length))
    members += [(name, draw(st.sampled_from(RIGHT_NUMBERS))) for name in behind]
    if draw(st.integers(0, 3)) == 0:
        members = draw(st.permutations(members))
    opening, colon, comma, closing = draw(st.sampled_from(LAYOUTS))
    for fault in draw(st.lists(st.sampled_from(["value", "name", "again", "bracket"]), max_size=2)):
        at = draw(st.integers(0, len(members) - 1))
        name, value = members[at]
        if fault == "value":
            members[at] = name, draw(st.sampled_from(WRONG_VALUES))
        elif fault == "name":
            members[at] = draw(st.sampled_from(NAMES)), value
        elif fault == "again":
            members.insert(draw(st.integers(0, len(members))), (name, value))
        else:
            closing = draw(st.sampled_from(["", "]", "}}", ",}", "}{}", "}\x00", "}x"]))
    text = comma.join(f'"{name}"{colon}{value}' for name, value in members)
    block = f"{opening}{text}{closing}".encode()
    return draw(mutated(block)) if draw(st.integers(0, 7)) == 0 else block


@st.composite
def rows_of_header_blocks(draw: st.DrawFn) -> list[bytes]:
    """Make rows of a few header blocks, each repeated as it comes, of any sort or nearly equal."""
    pools = st.lists(header_blocks(), min_size=1, max_size=3) | st.lists(
        _alike, min_size=2, max_size=3
    )
    runs = st.tuples(st.sampled_from(draw(pools)), st.sampled_from([1, 1, 2, 3]))
    row = draw(st.lists(runs, min_size=1, max_size=8))
    return [block for block, times in row for _ in range(times)]


_alike = st.tuples(
    st.sampled_from(['{"x":1', '{"x":2', '{"xx":1']),
    st.sampled_from([',"content-length":'] * 5 + [',"content-length": ']),
    st.sampled_from(["5", "5", "5", "6", "55", "05"]),
    st.sampled_from(["}", "}", "}", "}", ',"id":7}', ',"re":7}', ',"timeout":7}', ',"y":5}', "}}"]),
).map(lambda parts: "".join(parts).encode())
"""Header blocks that hardly differ, or not at all."""


LAYOUTS = (
    *([("{", ":", ",", "}")] * 5),
    (" {", ":", ",", "}"),
    ("\n{ ", " : ", " , ", " }\n"),
    ("{", ": ", ", ", "}"),
    ("{", ":", ",", "}\t"),
    ("{,", ":", ",", "}"),
    ("[", ":", ",", "}"),
    ("\ufeff{", ":", ",", "}"),
)
"""What stands around names and values, most often what Telex writes."""

_own_members = st.dictionaries(st.sampled_from(["y", "z", "ü"]), json_values(), max_size=1)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Change, add or take away a few bytes."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(changed)))
        removed = draw(st.integers(0, 2))
        added = draw(st.binary(max_size=2) | st.sampled_from([b'"', b",", b"}", b"0", b"\\", b" "]))
        changed[at : at + removed] = added
    return bytes(changed)


_good = messages(plain=False).map(lambda message: message.to_bytes())


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Make streams of messages in which something may be wrong, at the end of it or anywhere."""
    content = st.sampled_from([b"", b"1", b"seven..", b"thirty" * 5, b"hundred..." * 10])
    doubtful = st.builds(frame, header_blocks(), content)
    parts = draw(st.lists(_good | _good | doubtful, max_size=3))
    parts.append(draw(st.just(b"") | doubtful | st.binary(max_size=20)))
    stream = b"".join(parts)
    return draw(mutated(stream)) if draw(st.integers(0, 7)) == 0 else stream
