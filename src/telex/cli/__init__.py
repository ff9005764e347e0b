"""The command line, ``telex``: one module for each command, and modules that commands share.

This module is the entry point. It answers ``--version`` itself, without loading Typer and Rich. If
these are not installed, it prints one line that says what to install.
"""

from __future__ import annotations

import sys

import telex

__all__ = ["main"]

_WRONG_USAGE = 2
_INTERRUPTED = 130


def main() -> None:
    """Run ``telex`` with the arguments of this process, and end the process with its exit code."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:  # before a command has begun
        code = _INTERRUPTED
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        sys.stdout.write(f"telex {telex.__version__}\n")
        return 0
    try:
        from telex.cli.program import run

        return run(arguments)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("typer", "rich", "prompt_toolkit"):
            raise
        sys.stderr.write(f"telex: the command line needs {package}: pip install {package}\n")
        return _WRONG_USAGE
