"""Telex: Python programs exchange messages over sockets instead of bytes.

Every public name is here, except the front-ends: ``telex.sync`` and ``telex.asyncio`` are loaded
when they are first used, so that the protocol alone brings neither sockets nor an event loop. So
are ``telex.tls``, ``telex.tokens`` and ``telex.testing``, the tools for users' tests, which raise
their errors themselves, and leave pytest no assertion to explain (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import importlib
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from telex.address import Address
from telex.application.application import Application
from telex.application.observer import Observer
from telex.application.peer import Peer
from telex.errors import (
    AddressError,
    ConnectError,
    ConnectionClosedError,
    ContentError,
    CredentialsError,
    IncompleteMessageError,
    ProtocolError,
    Refusal,
    RemoteError,
    RequestTimeoutError,
    TelexError,
    TooLargeError,
    WaitTimeoutError,
)
from telex.limits import Limits
from telex.version import __version__
from telex.wire.factory import MessageFactory
from telex.wire.message import Message
from telex.wire.processor import MessageProcessor, State

__all__ = [
    "Address",
    "AddressError",
    "Application",
    "ConnectError",
    "ConnectionClosedError",
    "ContentError",
    "CredentialsError",
    "IncompleteMessageError",
    "Limits",
    "Message",
    "MessageFactory",
    "MessageProcessor",
    "Observer",
    "Peer",
    "ProtocolError",
    "Refusal",
    "RemoteError",
    "RequestTimeoutError",
    "State",
    "TelexError",
    "TooLargeError",
    "WaitTimeoutError",
    "__version__",
    "is_compiled",
]

_LOADED_LATER = ("asyncio", "sync", "testing", "tls", "tokens")


def is_compiled() -> bool:
    """Return whether Telex is compiled to machine code; in pure Python it is a few times slower."""
    return not isinstance(MessageProcessor.receive_bytes, FunctionType)


def __dir__() -> list[str]:
    """Name what may be used, loaded or not."""
    return sorted([*__all__, *_LOADED_LATER])


if TYPE_CHECKING:
    from telex import asyncio as asyncio
    from telex import sync as sync
    from telex import testing as testing
    from telex import tls as tls
    from telex import tokens as tokens
else:  # a type checker that saw this function would believe in any name

    def __getattr__(name: str) -> ModuleType:
        """Load a part of Telex at its first use."""
        if name in _LOADED_LATER:
            return importlib.import_module(f"telex.{name}")
        raise AttributeError(f"module 'telex' has no attribute {name!r}")
