"""Parses the values of options; errors begin with the name of the option."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from telex import AddressError, ContentError, CredentialsError
from telex.cli.failure import UsageError

T = TypeVar("T")

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:7766"


def parse_option(option: str, read: Callable[[str], T], text: str) -> T:
    """Return ``read(text)``; raises UsageError with the option's name if ``read`` fails."""
    try:
        return read(text)
    except (ValueError, AddressError, ContentError) as problem:
        raise UsageError(f"{option}: {problem}") from problem


@contextlib.contextmanager
def naming_options(**files: str | None) -> Iterator[None]:
    """Add the option's name to a CredentialsError; ``token_file=`` is that of ``--token-file``."""
    try:
        yield
    except CredentialsError as problem:
        for name, file in files.items():
            if file is not None and problem.source in (file, str(Path(file))):
                option = f"--{name.replace('_', '-')}"
                raise CredentialsError(f"{option}: {problem.source}", problem.problem) from problem
        raise


def refuse_if(wrong: bool, problem: str) -> None:
    """Raise UsageError with this problem if ``wrong``."""
    if wrong:
        raise UsageError(problem)
