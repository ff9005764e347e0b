"""The command line, ``telex``: one module a command, and one for each thing they share.

This module is the entry point. It answers ``--version`` by itself, because that needs neither Typer
nor Rich, and says in one line what to install where they are missing.
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
    except KeyboardInterrupt:  # so early that no command had begun
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
        sys.stderr.write(f"telex: the command line needs {package}: pip install 'telex[cli]'\n")
        return _WRONG_USAGE
