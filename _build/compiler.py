"""Whether Telex can be compiled on this machine.

As a script it prints the answer in one line and exits with 0 for yes, 1 for no. Knows what a
compilation needs, and never tries one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path


def compiler() -> str:
    """Return the C compiler's command: ``$CC``, or else the one this Python was built with."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "")
    return command[0] if command else ""


def obstacle() -> str | None:
    """Return what stands in the way of a compilation, or None."""
    if sys.implementation.name != "cpython":
        return f"mypyc compiles for CPython, and this is {sys.implementation.name}"
    if not compiler():
        return "this Python names no C compiler; set CC to one"
    if shutil.which(compiler()) is None:
        return f"no C compiler: {compiler()!r} is not on the path (CC names another one)"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"no Python headers: {header} is missing (Debian's package python3-dev has them)"
    return None


if __name__ == "__main__":
    why_not = obstacle()
    print(why_not or f"compiles with {shutil.which(compiler())}")
    sys.exit(why_not is not None)
