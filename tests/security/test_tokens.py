"""Tokens: whose they are, and what is said about files that hold them badly."""

from __future__ import annotations

from pathlib import Path

import pytest

from telex.errors import CredentialsError
from telex.tokens import Tokens

SECRET = "s3cret-t0ken"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Have a place for a file of tokens that nobody else may read."""
    file = tmp_path / "tokens"
    file.touch(mode=0o600)
    return file


def test_a_token_tells_its_owner(file: Path) -> None:
    """A name a line; comments, empty lines and what surrounds the words do not count."""
    file.write_text(f"# who may come\n\n  pump-7\t{SECRET}  \nada  #5\nada other")
    tokens = Tokens.read(file)
    assert len(tokens) == 3
    assert tokens.owner_of(SECRET) == "pump-7"
    assert tokens.owner_of("#5") == tokens.owner_of("other") == "ada"


@pytest.mark.parametrize("wrong", ["", "x", SECRET[:-1], SECRET + "x", "pump-7", "é", "\ud800"])
def test_any_other_token_is_nobodys(wrong: str) -> None:
    """Whatever text a client may send, it is no owner, and no exception either."""
    assert Tokens({"pump-7": SECRET}).owner_of(wrong) is None


def test_tokens_may_hold_any_letters(file: Path) -> None:
    """A file is UTF-8, with or without a byte order mark."""
    file.write_text("\ufeffjürgen schlüssel\n", encoding="utf-8")
    assert Tokens.read(str(file)).owner_of("schlüssel") == "jürgen"


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (f"ada a\n{SECRET}\n", ", line 2", "it has one word; right would be"),
        (f"ada {SECRET} x # y\n", ", line 1", "it has 5 words; right would be"),
        (
            f"ada {SECRET}\nbob x\n\nbob {SECRET}\n",
            ", line 4",
            "the token of 'bob' is that of 'ada'",
        ),
        ("# nobody\n", "", "there is no token, so that no client could connect"),
        ("", "", "there is no token, so that no client could connect"),
    ],
)
def test_a_bad_file_is_explained_without_its_tokens(
    file: Path, content: str, line: str, problem: str
) -> None:
    """The error names the file and the line, and no secret."""
    file.write_text(content)
    with pytest.raises(CredentialsError) as caught:
        Tokens.read(file)
    assert caught.value.source == f"{file}{line}"
    assert problem in caught.value.problem
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(file: Path, tmp_path: Path) -> None:
    """Missing, not a file, not text: the error says which file and why."""
    file.write_bytes(b"ada \xff\n")
    for path, problem in (
        (tmp_path / "missing", "no such file or directory"),
        (tmp_path, "is a directory"),
        (file, "it is not text in UTF-8"),
    ):
        with pytest.raises(CredentialsError) as caught:
            Tokens.read(path)
        assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ({}, "there is no token"),
        ({"": SECRET}, "the name or the token of '' is empty"),
        ({"ada": ""}, "the name or the token of 'ada' is empty"),
        ({"ada": SECRET, "bob": SECRET}, "the token of 'bob' is that of 'ada' too"),
    ],
)
def test_tokens_that_nobody_could_use_are_refused(tokens: dict[str, str], problem: str) -> None:
    """A server without any token, or with one for two names, is a mistake."""
    with pytest.raises(CredentialsError, match=problem):
        Tokens(tokens)


@pytest.mark.parametrize(("mode", "is_warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everybody_can_read_is_warned_about(
    file: Path, mode: int, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Secrets that every user of the machine can read are secrets no more."""
    file.write_text(f"ada {SECRET}\n")
    file.chmod(mode)
    Tokens.read(file)
    assert (f"{file}: every user of this machine can read it" in caplog.text) == is_warned


def test_tokens_are_not_shown(file: Path) -> None:
    """What is printed by mistake names the owners alone."""
    file.write_text(f"bob x\nada {SECRET}\nada y\n")
    assert repr(Tokens.read(file)) == "<Tokens of ada, bob>"
