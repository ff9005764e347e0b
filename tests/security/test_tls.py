"""TLS contexts: who is believed, what is refused, and how certificates are renewed.

And what no client says without TLS, whatever its front-end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

import telex.asyncio
import telex.sync
from telex.errors import AddressError, CredentialsError
from telex.tls import client_context, identity_of, reload_certificates, server_context
from tests.certificates import Authority, Pair
from tests.sync.stage import running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority that writes into the test's directory."""
    return Authority(tmp_path)


@pytest.fixture
def server_pair(authority: Authority) -> Pair:
    """Have the certificate of a server that is called telex.example.com."""
    return authority.issue("telex.example.com")


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str = "telex.example.com"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Have two contexts meet in memory; return both ends, or raise what either side raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(to_client, to_server, server_hostname=name)
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client_end, server_end):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client_end, server_end


def test_a_client_and_a_server_understand_each_other(
    authority: Authority, server_pair: Pair
) -> None:
    """With an authority that both know, a connection is encrypted, and old versions are off."""
    client, server = shake_hands(client_context(authority.file), server_context(*server_pair))
    assert client.version() == server.version() == "TLSv1.3"
    assert identity_of(client.getpeercert()) == "telex.example.com"
    assert identity_of(server.getpeercert()) is None


def test_certificate_and_key_may_be_in_one_file(
    authority: Authority, server_pair: Pair, tmp_path: Path
) -> None:
    """One file is enough when it holds both."""
    both = tmp_path / "both.pem"
    both.write_bytes(server_pair.key.read_bytes() + server_pair.certificate.read_bytes())
    shake_hands(client_context(authority.file), server_context(both))
    shake_hands(client_context(authority.file), server_context(str(both)))


def test_old_versions_of_tls_are_refused(server_pair: Pair) -> None:
    """Both sides take TLS 1.2 and what came after it, and nothing older."""
    for context in (server_context(*server_pair), client_context()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_server_under_another_name_is_refused(authority: Authority, server_pair: Pair) -> None:
    """A client talks to nobody but the host that it asked for."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(client_context(authority.file), server_context(*server_pair), "other.example")


def test_a_server_of_an_unknown_authority_is_refused(server_pair: Pair) -> None:
    """Without a word about authorities, those of the system are asked."""
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake_hands(client_context(), server_context(*server_pair))


def test_clients_are_not_asked_who_they_are_unless_that_is_wanted(
    authority: Authority, server_pair: Pair
) -> None:
    """A certificate that a client has stays its own where the server has no use for it."""
    own = authority.issue("ada@example.com", file_name="client")
    _, server = shake_hands(client_context(authority.file, *own), server_context(*server_pair))
    assert server.getpeercert() is None


def test_a_client_is_known_by_its_certificate(authority: Authority, server_pair: Pair) -> None:
    """With mutual TLS the name in the client's certificate is who it is."""
    own = authority.issue("ada@example.com", file_name="client")
    _, server = shake_hands(
        client_context(authority.file, *own),
        server_context(*server_pair, client_ca=authority.file),
    )
    assert identity_of(server.getpeercert()) == "ada@example.com"


def test_a_client_without_a_certificate_is_refused_where_one_is_demanded(
    authority: Authority, server_pair: Pair
) -> None:
    """Mutual TLS is no offer: whoever shows nothing stays outside."""
    demanding = server_context(*server_pair, client_ca=authority.file)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(client_context(authority.file), demanding)


def test_a_client_of_a_foreign_authority_is_refused(
    authority: Authority, server_pair: Pair, tmp_path: Path
) -> None:
    """Anybody can make certificates; those of the server's own authority count."""
    own = Authority(tmp_path, "foreign").issue("ada@example.com", file_name="client")
    demanding = server_context(*server_pair, client_ca=authority.file)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(authority.file, *own), demanding)


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        (None, None),
        ({}, None),
        ({"subject": ((("organizationName", "Acme"),),)}, None),
        ({"subject": ((("countryName", "NO"),), (("commonName", "pump-7"),))}, "pump-7"),
        ({"subjectAltName": (("IP Address", "127.0.0.1"),)}, None),
        ({"subjectAltName": (("DNS", ""), ("URI", "spiffe://a/b"))}, "spiffe://a/b"),
        (
            {
                "subject": ((("commonName", "common"),),),
                "subjectAltName": (("URI", "u:1"), ("email", "a@b.c"), ("DNS", "d"), ("DNS", "e")),
            },
            "d",
        ),
        (
            {
                "subject": ((("commonName", "common"),),),
                "subjectAltName": (("URI", "u:1"), ("email", "a@b.c")),
            },
            "a@b.c",
        ),
    ],
)
def test_the_best_name_in_a_certificate_is_the_identity(
    certificate: dict[str, Any] | None, name: str | None
) -> None:
    """DNS name, e-mail address, URI, common name: the first that there is; else none."""
    assert identity_of(certificate) == name


def serial_number(client: ssl.SSLContext, server: ssl.SSLContext) -> object:
    """Return the serial number of the certificate that a server shows to a client."""
    certificate = shake_hands(client, server)[0].getpeercert()
    assert certificate is not None
    return certificate["serialNumber"]


def test_renewed_certificates_are_shown_to_whoever_comes_next(
    authority: Authority, server_pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """The context in use takes the new files; nobody has to start the server again."""
    client, server = client_context(authority.file), server_context(*server_pair)
    before = serial_number(client, server)
    authority.issue("telex.example.com")
    assert serial_number(client, server) == before
    with caplog.at_level(logging.INFO):
        assert reload_certificates(server)
    assert serial_number(client, server) != before
    assert f"certificates loaded again from {server_pair.certificate}" in caplog.text


def test_a_renewal_that_failed_leaves_the_old_certificate_in_use(
    authority: Authority, server_pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate whose key has not come yet takes nothing away, and the log says why."""
    client, server = client_context(authority.file), server_context(*server_pair)
    before = serial_number(client, server)
    old_key = server_pair.key.read_bytes()
    authority.issue("telex.example.com")
    server_pair.key.write_bytes(old_key)
    assert not reload_certificates(server)
    assert serial_number(client, server) == before
    assert "the old ones stay" in caplog.text
    assert f"{server_pair.key}: the key does not belong to the certificate" in caplog.text


def test_client_authorities_are_renewed_too(
    authority: Authority, server_pair: Pair, tmp_path: Path
) -> None:
    """An authority that was added to the file vouches for clients from then on."""
    added = Authority(tmp_path, "added")
    own = added.issue("ada@example.com", file_name="client")
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(authority.file.read_bytes())
    server = server_context(*server_pair, client_ca=authorities)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(authority.file, *own), server)
    authorities.write_bytes(authority.file.read_bytes() + added.file.read_bytes())
    assert reload_certificates(server)
    shake_hands(client_context(authority.file, *own), server)


def test_a_context_whose_files_are_unknown_cannot_be_renewed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a user made with ssl alone is left as it is, and the log says so."""
    assert not reload_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert "only server_context() knows their files" in caplog.text


@pytest.fixture
def files(authority: Authority, server_pair: Pair, tmp_path: Path) -> dict[str, Path]:
    """Have good files and bad ones, by what they are."""
    other = authority.issue("other.example.com", file_name="other")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(server_pair.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    damaged = tmp_path / "damaged.pem"
    damaged.write_bytes(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    )
    text = tmp_path / "text.pem"
    text.write_text("not in PEM")
    return {
        "good certificate": server_pair.certificate,
        "good key": server_pair.key,
        "other key": other.key,
        "locked key": locked,
        "damaged": damaged,
        "text": text,
        "missing": tmp_path / "missing.pem",
        "directory": tmp_path,
    }


@pytest.mark.parametrize(
    ("certificate", "key", "at_fault", "problem"),
    [
        ("missing", "good key", "missing", "no such file or directory"),
        ("good certificate", "missing", "missing", "no such file or directory"),
        ("directory", "good key", "directory", "is a directory"),
        ("text", "good key", "text", "it holds no certificate in PEM form"),
        ("good key", "good key", "good key", "it holds no certificate in PEM form"),
        ("good certificate", "text", "text", "it holds no private key in PEM form"),
        ("good certificate", None, "good certificate", "no private key in PEM form; right"),
        (
            "good certificate",
            "other key",
            "other key",
            "the key does not belong to the certificate",
        ),
        ("good certificate", "locked key", "locked key", "protected by a passphrase"),
        ("damaged", "good key", "damaged", "the certificate or its key cannot be used: "),
        ("good certificate", "damaged", "good certificate", "the certificate or its key cannot be"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    files: dict[str, Path], certificate: str, key: str | None, at_fault: str, problem: str
) -> None:
    """Whoever gave the wrong file is told which one it is and what is wrong with it."""
    given = files[certificate], files[key] if key else None
    for make in (server_context, lambda *pair: client_context(None, *pair)):
        with pytest.raises(CredentialsError) as caught:
            make(*given)
        assert caught.value.source == str(files[at_fault])
        assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("authorities", "problem"),
    [
        ("missing", "no such file or directory"),
        ("text", "it holds no certificate in PEM form"),
        ("damaged", "the certificates of the authority cannot be used: "),
    ],
)
def test_authorities_that_cannot_be_used_are_named(
    files: dict[str, Path], authorities: str, problem: str
) -> None:
    """The same holds for the files of those who are to be believed, on both sides."""
    file = files[authorities]
    with pytest.raises(CredentialsError, match=problem) as caught:
        client_context(file)
    assert caught.value.source == str(file)
    with pytest.raises(CredentialsError, match=problem) as caught:
        server_context(files["good certificate"], files["good key"], file)
    assert caught.value.source == str(file)


def test_a_client_key_without_its_certificate_is_refused(server_pair: Pair) -> None:
    """A key that would not be used is a mistake, and is not passed over."""
    with pytest.raises(CredentialsError, match="of no use without its certificate"):
        client_context(None, None, server_pair.key)


def ping_with_sync(address: str, **options: Any) -> None:
    """Connect and ping in blocking code."""
    with telex.sync.connect(address, **options) as connection:
        connection.ping()


def ping_with_asyncio(address: str, **options: Any) -> None:
    """Connect and ping in an event loop."""

    async def ping() -> None:
        async with telex.asyncio.connect(address, **options) as connection:
            await connection.ping()

    asyncio.run(ping())


def ping_with_reconnecting(address: str, **options: Any) -> None:
    """Connect and ping as who would connect again."""

    async def ping() -> None:
        connections = telex.asyncio.reconnecting(address, **options)
        async for connection in connections:
            await connection.ping()
            break
        await connections.aclose()

    asyncio.run(ping())


Ping = Callable[..., None]
pings = pytest.mark.parametrize("ping", [ping_with_sync, ping_with_asyncio, ping_with_reconnecting])


@pings
@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "[2001:db8::1]", "telex.example"])
def test_a_token_is_not_said_in_the_clear(ping: Ping, host: str) -> None:
    """Beyond this machine others could read it: nothing is tried, and it is said what is right."""
    with pytest.raises(AddressError) as caught:
        ping(f"tcp://{host}:7766", token="secret", timeout=0.1)
    sentence = str(caught.value)
    assert sentence.startswith(f"cannot show a token to tcp://{host}:7766 without TLS")
    for right in (f"tls://{host}:7766", "insecure=True"):
        assert right in sentence
    assert "secret" not in sentence


@pings
def test_a_token_may_be_said_where_the_network_is_trusted(
    ping: Ping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says so gets it, and without a token there is nothing to ask for."""

    def find_here(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    with running(tokens={"pump-7": "secret"}) as closed, running() as open_:
        monkeypatch.setattr(socket, "getaddrinfo", find_here)
        ping(f"tcp://telex.example:{closed.address.port}", token="secret", insecure=True)
        ping(f"tcp://localhost:{closed.address.port}", token="secret")
        ping(f"tcp://telex.example:{open_.address.port}")
