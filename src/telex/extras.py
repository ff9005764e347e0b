"""What to say when a part of Telex needs a package that is not installed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def needed_for(module: str, package: str) -> Iterator[None]:
    """Have an import that fails say what to install; raises ModuleNotFoundError.

    ``package`` is the name that is installed, whose modules begin like it.

        with needed_for("telex.metrics", "prometheus-client"):
            import prometheus_client
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        first = (missing.name or "").partition(".")[0]
        if not first or not package.replace("-", "_").startswith(first):
            raise
        raise ModuleNotFoundError(
            f"{module} needs {package}: pip install {package}", name=missing.name
        ) from missing
