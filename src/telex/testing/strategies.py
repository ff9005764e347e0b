"""Hypothesis strategies for messages, for their parts, and for the pieces that a network makes.

Only this module needs Hypothesis: ``pip install hypothesis``.
"""

from __future__ import annotations

from typing import Any, Final

from telex.extras import needed_for
from telex.limits import MAX_SAFE_INTEGER
from telex.wire.message import Message

with needed_for("telex.testing.strategies", "hypothesis"):
    from hypothesis import strategies as st

__all__ = ["KNOWN_FIELDS", "cuttings", "headers", "json_values", "messages"]

KNOWN_FIELDS: Final = (
    "byteorder",
    "content-type",
    "content-encoding",
    "content-length",
    "kind",
    "subject",
    "id",
    "re",
    "timeout",
    "more",
)
"""The header fields of Telex; an application's own headers cannot have these names."""

_ENCODINGS: Final = ("utf-8", "utf-16-le", "utf-16", "utf-7", "gb18030")
"""Charsets that can encode every text of ``st.text()``."""


def json_values() -> st.SearchStrategy[Any]:
    """Make JSON values of every kind, large integers included."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**30), 10**30)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=6,
    )


def headers() -> st.SearchStrategy[dict[str, Any]]:
    """Make an application's own headers."""
    names = st.text(max_size=8).filter(lambda name: name not in KNOWN_FIELDS)
    return st.dictionaries(names, json_values(), max_size=3)


def messages(
    *,
    contents: st.SearchStrategy[Any] | None = None,
    subjects: st.SearchStrategy[str] | None = None,
    plain: bool = True,
) -> st.SearchStrategy[Message]:
    """Make messages with every kind of content, and with any of the optional fields.

    ``contents`` is a strategy for the contents, which get their default content types.
    ``subjects`` is a strategy for the subjects; with ``subjects``, every message has one. With
    ``plain=False``, messages may also have any kind, ``id``, ``re``, ``timeout_ms`` and ``more``:
    the wire format allows these, but no client or server sends such messages.

        @given(messages(contents=st.builds(Reading), subjects=st.just("sensors.roof")))
        def test_any_reading_is_stored(message): ...
    """
    fields: dict[str, st.SearchStrategy[Any]] = {
        "headers": headers(),
        "byteorder": st.sampled_from(["little", "big"]),
    }
    required: dict[str, st.SearchStrategy[Any]] = {}
    if subjects is None:
        fields["subject"] = st.text(max_size=8)
    else:
        required["subject"] = subjects
    if not plain:
        numbers = st.integers(1, MAX_SAFE_INTEGER)
        fields |= dict.fromkeys(("id", "re", "timeout_ms"), numbers)
        fields |= {"kind": st.text(max_size=8), "more": st.booleans()}
    described = _contents_of_every_kind() if contents is None else contents.map(_natural)
    return st.builds(_message, described, st.fixed_dictionaries(required, optional=fields))


@st.composite
def cuttings(draw: st.DrawFn, data: bytes, *, most: int = 8) -> list[bytes]:
    """Cut bytes into pieces of any length, some of them empty, at up to ``most`` positions.

    >>> import telex
    >>> from hypothesis import given, strategies as st
    >>> @given(messages(), st.data())
    ... def test_cut_anywhere(message, data):
    ...     processor = telex.MessageProcessor()
    ...     received = []
    ...     for piece in data.draw(cuttings(message.to_bytes())):
    ...         received += processor.receive_messages(piece)
    ...     assert received == [message]
    >>> test_cut_anywhere()
    """
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _contents_of_every_kind() -> st.SearchStrategy[tuple[object, dict[str, Any]]]:
    """Make contents of every kind, each with the keywords of Message that describe it."""
    encoded = st.fixed_dictionaries({"encoding": st.sampled_from(_ENCODINGS)})
    as_json = encoded.map(lambda fields: {**fields, "content_type": "application/json"})
    return (
        st.tuples(st.binary(max_size=300), st.just({}))
        | st.tuples(st.text(max_size=100), encoded)
        | st.tuples(json_values(), as_json)
    )


def _natural(content: object) -> tuple[object, dict[str, Any]]:
    return content, {}


def _message(described: tuple[object, dict[str, Any]], fields: dict[str, Any]) -> Message:
    content, description = described
    return Message(content, **description, **fields)
