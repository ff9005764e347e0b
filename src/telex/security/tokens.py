"""Tokens: the secrets that prove the names of a server's clients.

This module reads the tokens and finds the owner of a token, in the same time for every wrong token.
The application decides what an owner may do.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from telex.arguments import check_type
from telex.errors import CredentialsError
from telex.log import safe_logger
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import Self

logger: Final = safe_logger("telex.server")


class Tokens:
    """Names and the tokens that prove them.

    >>> tokens = Tokens({"pump-7": "5f2b…"})
    >>> tokens.owner_of("5f2b…"), tokens.owner_of("guessed")
    ('pump-7', None)
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._owners: list[tuple[bytes, str]] = []
        check_type(tokens, Mapping, "tokens", "a mapping of names to tokens")
        for name, token in tokens.items():
            check_type(name, str, "the name of a token", "text")
            check_type(token, str, f"the token of {name!r}", "text")
            if not name or not token:
                raise CredentialsError("tokens", f"the name or the token of {name!r} is empty")
            self._add(name, token, "tokens", f"the token of {name!r}")
        self._check_any("tokens")

    @classmethod
    def read(cls, file: str | PathLike[str]) -> Self:
        """Read a file: a name and a token on each line; a line that begins with ``#`` is a comment.

        A name may have several tokens, so that an old token can be replaced by a new one. Raises
        CredentialsError that names the wrong line, and never contains the token.
        """
        tokens = cls.__new__(cls)
        tokens._owners = []
        try:
            with Path(file).open(encoding="utf-8-sig") as lines:
                _warn_if_open_to_others(lines.fileno(), file)
                tokens._read_lines(lines, str(file))
        except OSError as error:
            raise CredentialsError(str(file), reason_of(error)) from error
        except UnicodeDecodeError as error:
            raise CredentialsError(str(file), "it is not text in UTF-8") from error
        tokens._check_any(str(file))
        return tokens

    def owner_of(self, token: str) -> str | None:
        """Return the name that a token proves, or None for an unknown token."""
        digest = _digest(token)
        owner = None
        for known, name in self._owners:
            if hmac.compare_digest(known, digest):
                owner = name
        return owner

    def __len__(self) -> int:
        return len(self._owners)

    def __repr__(self) -> str:
        return f"<Tokens of {', '.join(sorted({name for _, name in self._owners}))}>"

    def _read_lines(self, lines: Iterable[str], source: str) -> None:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2:
                count = "one word" if len(words) == 1 else f"{len(words)} words"
                raise CredentialsError(
                    f"{source}, line {number}",
                    f"it has {count}; right would be a name, a space, and a token without spaces",
                )
            name, token = words
            self._add(name, token, f"{source}, line {number}", f"the token of {name!r}")

    def _add(self, name: str, token: str, source: str, what: str) -> None:
        owner = self.owner_of(token)
        if owner is not None:
            raise CredentialsError(source, f"{what} is that of {owner!r} too")
        self._owners.append((_digest(token), name))

    def _check_any(self, source: str) -> None:
        if not self._owners:
            raise CredentialsError(source, "there is no token, so that no client could connect")


def _digest(token: str) -> bytes:
    """Return a digest: all have one length, so that comparing does not reveal a token's length."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _warn_if_open_to_others(file_number: int, file: str | PathLike[str]) -> None:
    if os.name == "posix" and os.fstat(file_number).st_mode & stat.S_IROTH:
        logger.warning("%s: every user of this machine can read it; right would be chmod o-r", file)
