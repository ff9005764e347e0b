"""Reads what people give as options, and refuses it with the name of the option."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from telex import AddressError, ContentError, CredentialsError
from telex.cli.failure import UsageError

T = TypeVar("T")

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:7766"


def understood(option: str, read: Callable[[str], T], text: str) -> T:
    """Return ``read(text)``; raises UsageError, naming the option, where that finds it wrong."""
    try:
        return read(text)
    except (ValueError, AddressError, ContentError) as problem:
        raise UsageError(f"{option}: {problem}") from problem


@contextlib.contextmanager
def naming_options(**files: str | None) -> Iterator[None]:
    """Name the option by which a file came that cannot be used; its name is ``token_file``, say."""
    try:
        yield
    except CredentialsError as problem:
        for name, file in files.items():
            if file is not None and problem.source in (file, str(Path(file))):
                option = f"--{name.replace('_', '-')}"
                raise CredentialsError(f"{option}: {problem.source}", problem.problem) from problem
        raise


def refuse_if(wrong: bool, problem: str) -> None:
    """Raise UsageError with this problem if there is one."""
    if wrong:
        raise UsageError(problem)
