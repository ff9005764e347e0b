"""The version of Telex, for the package and for what each end says of itself."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
