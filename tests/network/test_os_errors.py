"""Why a connection ended, in words for people; what they do not cover keeps its own words."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from telex.network.os_errors import ended_by, reason_of


def tls_error(reason: str) -> ssl.SSLError:
    """Make an error as OpenSSL does."""
    error = ssl.SSLError(1, f"[SSL: {reason}] words")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "it wants a certificate of this side, and got none",
        ),
        ("TLSV1_ALERT_UNKNOWN_CA", "it does not trust this side's certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "this side's certificate has expired"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "this side's certificate was revoked"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "it does not accept this side's certificate"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "it does not accept this side's certificate"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "TLS failed: tlsv1 alert protocol version"),
        ("WRONG_VERSION_NUMBER", "TLS failed: wrong version number"),
    ],
)
def test_what_a_peer_says_of_certificates_is_said_plainly(reason: str, words: str) -> None:
    """Whose certificate it is, and what is wrong with it; the rest is for experts anyway."""
    assert reason_of(tls_error(reason)) == words


def test_an_error_of_tls_without_a_reason_keeps_its_text() -> None:
    """Nothing is left out where OpenSSL has no name for it."""
    assert reason_of(tls_error("")) == "TLS failed: [ssl: ] words"


def test_errors_of_the_system_are_in_its_words() -> None:
    """Names that cannot be resolved are said to be that."""
    assert reason_of(ConnectionRefusedError(errno.ECONNREFUSED, "x")) == "connection refused"
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert reason_of(unknown) == "the name cannot be resolved: Name or service not known"
    assert reason_of(ConnectionError("it ended")) == "it ended"


def test_a_fault_of_this_side_is_not_blamed_on_the_peer() -> None:
    """It is the cause of the error that tells how the connection was lost."""
    fault = ValueError("no such thing")
    error = ended_by(fault)
    assert (error.by, error.__cause__) == ("us", fault)
    assert ended_by(None).by == "peer"
    assert ended_by(ConnectionResetError()).by == "peer"
