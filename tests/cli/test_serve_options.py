"""The terms on which ``telex serve`` serves: what goes together, and what becomes limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from telex import Limits
from telex.cli.failure import UsageError
from telex.cli.serve_options import read_limits
from tests.certificates import Authority
from tests.cli.stage import Telex

TLS = ["--listen", "tls://127.0.0.1:0"]


def test_the_defaults_are_those_of_limits(telex: Telex) -> None:
    """What the help shows as default is what the library does without being asked."""
    shown = " ".join(telex("serve", "--help").output)
    for text in ("16MiB", "256MiB", "10000", "10.0"):
        assert f"[default: {text}]" in shown
    assert read_limits("16MiB", "256MiB", 10000, None, 10.0) == Limits()


def test_every_option_sets_its_limit() -> None:
    """Sizes are as people write them, times in seconds."""
    limits = read_limits("1KiB", "2MiB", 3, 4.5, 0.5)
    assert limits == Limits(
        max_content_size=1024,
        max_buffered=2 * 1024 * 1024,
        max_connections=3,
        idle_timeout=4.5,
        drain_timeout=0.5,
    )


def test_a_size_that_no_header_can_say_is_refused() -> None:
    """The format ends at 2^53-1."""
    with pytest.raises(UsageError, match="max_content_size must be 0 to 2"):
        read_limits("99999999GiB", "256MiB", 1, None, 1.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (TLS, "--listen: tls://127.0.0.1:0 needs --cert"),
        (
            ["--cert", "cert.pem"],
            "--cert: tcp://127.0.0.1:7766 is without TLS; right would be --listen tls://HOST:PORT",
        ),
        (["--key", "key.pem"], "--key: it needs --cert"),
        (["--client-ca", "ca.pem"], "--client-ca: it needs --cert"),
        (["--max-buffered", "0"], "--max-buffered: it must be at least 1 byte"),
        (["--max-connections", "0"], "--max-connections: it must be at least 1"),
        (["--idle-timeout", "0"], "--idle-timeout: it must be more than 0"),
        (["--drain-timeout", "-1"], "--drain-timeout: it must be more than 0"),
        (["--workers", "0"], "--workers: there must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(telex: Telex, arguments: list[str], sentence: str) -> None:
    """Nothing is listened on, and it is one line, with exit code 2."""
    assert telex("serve", *arguments) == (2, [], [f"telex: {sentence}"])


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--cert", [*TLS, "--cert", "/no/such/file"]),
        ("--token-file", ["--token-file", "/no/such/file"]),
    ],
)
def test_a_file_that_is_not_there_is_one_line(
    telex: Telex, option: str, arguments: list[str]
) -> None:
    """It is a failure, and no wrong usage; the option is named."""
    outcome = telex("serve", *arguments)
    assert outcome == (1, [], [f"telex: {option}: /no/such/file: no such file or directory"])


def test_a_certificate_without_its_key_is_told_with_a_way_out(telex: Telex, tmp_path: Path) -> None:
    """Whoever has two files learns how to name the second."""
    certificate = Authority(tmp_path).issue("127.0.0.1").certificate
    code, output, [error] = telex("serve", *TLS, "--cert", str(certificate))
    assert (code, output) == (1, [])
    assert error.startswith(f"telex: --cert: {certificate}: it holds no private key in PEM form; ")
    assert error.endswith("--key PATH")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_talking_in_the_clear_must_be_meant(telex: Telex, workers: str) -> None:
    """Beyond this machine there is TLS, or ``--insecure``."""
    outcome = telex("serve", "--listen", "tcp://0.0.0.0:0", "--workers", workers)
    assert outcome.code == 1
    assert outcome.output == []
    assert len(outcome.errors) == 1
    assert "--insecure" in outcome.errors[0]
