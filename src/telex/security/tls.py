"""TLS contexts for both ends, the name in a certificate, and the renewal of certificates.

The only module that knows which TLS settings are safe, and that explains errors in the files of
certificates and keys. It knows no connection; ``tls_layer`` does the handshakes.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from telex.errors import AddressError, CredentialsError
from telex.log import safe_logger
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    File = str | PathLike[str]

_NAMES_IN_ORDER: Final = ("DNS", "email", "URI")
"""The kinds of alternative names that identify the owner, in the order of preference."""

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"

_MISMATCH: Final = "KEY_VALUES_MISMATCH"

logger: Final = safe_logger("telex.server")


class ServerContext(ssl.SSLContext):
    """A server's context that remembers its files; made by ``server_context``."""

    certificate: File
    key: File | None
    client_ca: File | None

    def load_files(self) -> None:
        """Load certificate, key and client authorities; raises CredentialsError."""
        _load_chain(self, self.certificate, self.key)
        if self.client_ca is not None:
            _load_authorities(self, self.client_ca)
            self.verify_mode = ssl.CERT_REQUIRED


def server_context(
    certificate: File, key: File | None = None, client_ca: File | None = None
) -> ssl.SSLContext:
    """Make the TLS context of a server from PEM files.

    ``certificate`` holds the certificate and the intermediate certificates, ``key`` the private
    key, if it is not in the same file. With ``client_ca`` every client must show a certificate
    that one of these authorities has signed (mutual TLS), and the name in this certificate becomes
    the identity of the peer. Without ``client_ca``, clients need no certificate. Raises
    CredentialsError.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.certificate = certificate
    context.key = key
    context.client_ca = client_ca
    context.load_files()
    return context


def client_context(
    ca: File | None = None, certificate: File | None = None, key: File | None = None
) -> ssl.SSLContext:
    """Make the TLS context of a client: it verifies the server's certificate and host name.

    ``ca`` holds the authorities to trust instead of the system's. ``certificate`` and ``key`` are
    for a server that demands a certificate from its clients. Raises CredentialsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, ca)
    if certificate is not None:
        _load_chain(context, certificate, key)
    elif key is not None:
        raise CredentialsError(str(key), "a key is of no use without its certificate")
    return context


def certified_name(host: str) -> str:
    """Return the name that the certificate of a server must have, for the host of its address.

    That is without the dot at the end of a full name (RFC 6066, 3), and without the zone of an IPv6
    address, which other machines do not know. Raises AddressError for what can be no name.

    >>> certified_name("telex.example."), certified_name("fe80::1%eth0")
    ('telex.example', 'fe80::1')
    """
    if ":" in host:
        return host.partition("%")[0]
    name = host.removesuffix(".")
    try:
        name.encode("idna")  # as ssl does, which compares what comes of it
    except UnicodeError as error:
        raise AddressError(f"no certificate can be for the name {host!r}: {error}") from error
    return name


def _harden(context: ssl.SSLContext) -> None:
    """Allow TLS 1.2 and later, and no renegotiation, which TLS 1.3 does not have any more."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION


def reload_certificates(context: ssl.SSLContext) -> bool:
    """Load the files of a server's context again, for new handshakes; return whether this worked.

    If the files cannot be used, the context keeps the old ones, and the log has the reason. Client
    authorities that were added are trusted from then on; authorities that were removed stay trusted
    until the server is restarted.
    """
    if not isinstance(context, ServerContext):
        logger.error("certificates not loaded again: only server_context() knows their files")
        return False
    try:
        # Half of a pair would leave the live context without a key, so try a new context first.
        server_context(context.certificate, context.key, context.client_ca)
        context.load_files()
    except CredentialsError as error:
        logger.error("certificates not loaded again, the old ones stay: %s", error)
        return False
    logger.info("certificates loaded again from %s", context.certificate)
    return True


def identity_of(certificate: Mapping[str, Any] | None) -> str | None:
    """Return the name of a verified peer, from what ``SSLSocket.getpeercert()`` returns.

    The name is the first DNS name of the subject's alternative names, or else the first e-mail
    address, or else the first URI, or else the common name. Returns None without a certificate, and
    for a certificate without any of these names.

    >>> identity_of({"subjectAltName": (("email", "ada@example.com"), ("DNS", "pump-7"))})
    'pump-7'
    """
    if not certificate:
        return None
    return next(_names_in(certificate), None)


def _names_in(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the owner of a certificate, the preferred name first."""
    for wanted in _NAMES_IN_ORDER:
        for kind, name in certificate.get("subjectAltName", ()):
            if kind == wanted and name:
                yield name
    for part in certificate.get("subject", ()):
        for kind, name in part:
            if kind == "commonName" and name:
                yield name


def _load_chain(context: ssl.SSLContext, certificate: File, key: File | None) -> None:
    """Load a certificate and its key; raises CredentialsError that names the wrong file."""
    _check_holds(certificate, _CERTIFICATE, "certificate")
    hint = "; right would be to give the file of its key too: key=, --key PATH"
    _check_holds(key or certificate, _PRIVATE_KEY, "private key", hint if key is None else "")

    def refuse_passphrase() -> NoReturn:
        raise CredentialsError(
            str(key or certificate),
            "the key is protected by a passphrase, which nobody could enter when a server starts; "
            "right would be a key without one, in a file that only the server may read",
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == _MISMATCH:
            raise CredentialsError(
                str(key or certificate), f"the key does not belong to the certificate {certificate}"
            ) from error
        raise CredentialsError(
            str(certificate), f"the certificate or its key cannot be used: {_reason_of(error)}"
        ) from error


def _load_authorities(context: ssl.SSLContext, file: File) -> None:
    """Load the authorities that a context trusts; raises CredentialsError."""
    _check_holds(file, _CERTIFICATE, "certificate")
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        problem = f"the certificates of the authority cannot be used: {_reason_of(error)}"
        raise CredentialsError(str(file), problem) from error


def _check_holds(file: File, beginning: bytes, what: str, hint: str = "") -> None:
    """Raise CredentialsError unless a file can be read and contains ``beginning``."""
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise CredentialsError(str(file), reason_of(error)) from error
    if beginning not in content:
        raise CredentialsError(str(file), f"it holds no {what} in PEM form{hint}")


def _reason_of(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
