"""``python -m telex`` is ``telex``."""

from __future__ import annotations

from telex.cli import main

main()
