"""Tokens: the secrets by which a server knows its clients, each with the name of its owner."""

from __future__ import annotations

from telex.security.tokens import Tokens

__all__ = ["Tokens"]
