"""Problems: bad news that fits, and is understood."""

from __future__ import annotations

import pytest

from telex.conversation.error_content import (
    ENDING_CODES,
    TITLES,
    close_message,
    problem_message,
    read_problem,
    unknown_kind,
)


def test_a_problem_says_what_rfc_9457_wants() -> None:
    """Title and detail are for people, the code is for programs."""
    message = problem_message("out-of-stock", "none left", 1_000)
    assert message.content_type == "application/problem+json"
    problem = read_problem(message, "error")
    assert (problem.code, problem.title, problem.detail) == (
        "out-of-stock",
        "out of stock",
        "none left",
    )


def test_a_close_says_why() -> None:
    """Its reason is the detail."""
    problem = read_problem(close_message("closed", "done", 1_000), "close")
    assert (problem.code, problem.title, problem.detail) == ("closed", "", "done")


def test_the_codes_of_telex_have_titles() -> None:
    """Those that end a conversation among them."""
    assert set(TITLES) > ENDING_CODES
    assert problem_message("timeout", "x", 1_000).content["title"] == TITLES["timeout"]


def test_what_does_not_fit_is_cut() -> None:
    """Nothing is left out but the end of the detail, in whole characters."""
    whole = problem_message("a-b", '"ß\x00' * 20, 1_000)
    for most in range(60, len(whole.body)):
        message = problem_message("a-b", '"ß\x00' * 20, most)
        assert len(message.body) <= most
        assert message.content["detail"].endswith("…")
    assert problem_message("a-b", '"ß\x00' * 20, len(whole.body)) == whole


@pytest.mark.parametrize(
    ("most", "body"),
    [
        (41, b'{"code":"a-b","title":"a b","detail":"c"}'),
        (40, b'{"code":"a-b"}'),
        (14, b'{"code":"a-b"}'),
        (13, b""),
    ],
)
def test_what_does_not_fit_is_left_out(most: int, body: bytes) -> None:
    """The code goes last."""
    assert problem_message("a-b", "c", most).body == body


def test_text_that_is_not_unicode_is_told_as_far_as_it_goes() -> None:
    """Bad news is never lost for a character."""
    assert problem_message("\ud800", "\udfff!", 1_000).content == {
        "code": "?",
        "title": "?",
        "detail": "?!",
    }


def test_an_unknown_kind_is_repeated_only_in_part() -> None:
    """A peer that sends a long kind does not get all of it back."""
    assert unknown_kind("x" * 60) == f"kind '{'x' * 60}' is not known here"
    assert unknown_kind("x" * 61) == f"kind '{'x' * 60}…' is not known here"
