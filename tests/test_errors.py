"""The exceptions: their tree as it is drawn, and the sentences they make of their facts."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from telex import errors
from telex.errors import (
    ConnectError,
    ConnectionClosedError,
    CredentialsError,
    IncompleteMessageError,
    ProtocolError,
    Refusal,
    RemoteError,
    RequestTimeoutError,
    TelexError,
    TooLargeError,
    WaitTimeoutError,
)


def drawn_tree() -> dict[str, str | None]:
    """Return each class that the module's docstring draws, with the class it hangs from."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if drawn := re.fullmatch(r"    ([ │├└─]*)([A-Z]\w+)( .*)?", line):
            depth, name = len(drawn[1]) // 4, drawn[2]
            del path[depth:]
            parents[name] = path[-1] if path else None
            path.append(name)
    return parents


def class_tree() -> dict[str, str | None]:
    """Return each exception class of the module, with its first base below TelexError."""
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]
    return {
        cls.__name__: None if cls is TelexError else cls.__bases__[0].__name__ for cls in classes
    }


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """Whoever reads the drawing knows every exception, and what catches it."""
    assert drawn_tree() == class_tree()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ProtocolError("the header block is empty", offset=12),
            "message at byte 12: the header block is empty",
        ),
        (
            ProtocolError("it must be text, not 5", offset=0, field="subject"),
            "message at byte 0, field 'subject': it must be text, not 5",
        ),
        (
            ProtocolError("reply, re 7: it answers nothing"),
            "reply, re 7: it answers nothing",
        ),
        (
            IncompleteMessageError(70, 30, "content", offset=4),
            "message at byte 4: the stream ended after 70 bytes of it, 30 short of its content",
        ),
        (
            TooLargeError("content", 17_000, 16_384, offset=0),
            "message at byte 0: the content is 17,000 bytes, and at most 16,384 are allowed",
        ),
        (
            ConnectError("tcp://127.0.0.1:7766", "connection refused"),
            "cannot connect to tcp://127.0.0.1:7766: connection refused",
        ),
        (
            ConnectionClosedError("us", "close() was called"),
            "connection closed by this side: close() was called",
        ),
        (
            ConnectionClosedError("peer", "connection reset", unsent=1500),
            "connection closed by the peer: connection reset; 1,500 bytes were not sent",
        ),
        (
            ConnectionClosedError("peer", "it ended its stream", unanswered=2),
            "connection closed by the peer: it ended its stream; 2 requests were not answered",
        ),
        (
            RequestTimeoutError("the answer to 'greet'", 2),
            "timed out after 2 s waiting for the answer to 'greet'",
        ),
        (RemoteError("out-of-stock", "out of stock", "none left"), "out-of-stock: none left"),
        (RemoteError("out-of-stock", "out of stock"), "out-of-stock: out of stock"),
        (RemoteError("out-of-stock"), "out-of-stock"),
        (RemoteError("Out of stock", "Out of stock"), "Out of stock"),
        (Refusal("out-of-stock", "none left"), "out-of-stock: none left"),
        (Refusal("out-of-stock"), "out-of-stock"),
        (CredentialsError("key.pem", "it is empty"), "key.pem: it is empty"),
        (
            WaitTimeoutError("a message", 1.5),
            "timed out after 1.5 s waiting for a message",
        ),
    ],
)
def test_an_error_says_its_facts_in_one_sentence(error: TelexError, sentence: str) -> None:
    """What a user reads in a log names what was wrong and where."""
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProtocolError("anything"), "bad-message"),
        (IncompleteMessageError(1, 1, "proto-header"), "bad-message"),
        (TooLargeError("header block", 20_000, 16_384), "bad-message"),
        (TooLargeError("content", 1, 0), "too-large"),
    ],
)
def test_a_protocol_error_knows_the_code_to_answer_with(error: ProtocolError, code: str) -> None:
    """Only an oversized content is too-large; everything else the peer must mend."""
    assert error.code == code


def test_errors_of_the_network_are_caught_where_python_programs_look_for_them() -> None:
    """Code that knows ConnectionError and TimeoutError alone catches Telex's as well."""
    assert issubclass(ConnectError, ConnectionError)
    assert issubclass(ConnectionClosedError, ConnectionError)
    assert issubclass(WaitTimeoutError, TimeoutError)


@pytest.mark.parametrize("facts", [(404,), ("gone", None)])
def test_a_refusal_is_text(facts: tuple[object, ...]) -> None:
    """What cannot be sent is a mistake where it is raised, not where it is answered."""
    with pytest.raises(TypeError, match="code and detail are text"):
        Refusal(*facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        ProtocolError("x", offset=3, field="id"),
        IncompleteMessageError(10, 5, "content", offset=7),
        TooLargeError("content", 20, 10, offset=1),
        ConnectError("tcp://127.0.0.1:1", "refused"),
        ConnectionClosedError("peer", "gone", unsent=5),
        WaitTimeoutError("a message", 2.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_process_pools(error: TelexError) -> None:
    """An error that was pickled says the same and keeps its facts."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert repr(copy) == repr(error)
    assert getattr(copy, "errno", None) is None


def test_a_sender_is_told_no_place_in_a_stream() -> None:
    """Before anything is sent there is no byte to point at; a receiver gets the message's first."""
    assert str(TooLargeError("content", 20, 10)) == (
        "the content is 20 bytes, and at most 10 are allowed"
    )
    assert str(TooLargeError("content", 20, 10, offset=0)).startswith("message at byte 0: ")
