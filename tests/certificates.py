"""Certificates for tests: an authority of their own, and whom it vouches for, as PEM files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import trustme


class Pair(NamedTuple):
    """The files of a certificate and of its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates, and puts them into a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._authority = trustme.CA(organization_name=name)
        self._directory = directory
        self.file = directory / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, common_name: str | None = None, file_name: str = "server") -> Pair:
        """Sign a certificate for host names, addresses or e-mail addresses, and write its files.

        What was written under the same file name before is replaced.
        """
        issued = self._authority.issue_cert(*names, common_name=common_name)
        pair = Pair(
            self._directory / f"{file_name}-certificate.pem",
            self._directory / f"{file_name}-key.pem",
        )
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(pair.key))
        return pair
