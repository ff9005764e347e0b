"""Which tshark the dissector is tried with, and what is said where there is another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wireshark.tshark import problem_with


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        ("TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as 4.0.17-0+deb12u3).", None),
        ("TShark (Wireshark) 10.2.0.", None),
        ("TShark (Wireshark) 3.6.2 (Git v3.6.2)", "tshark is of version 3.6, and must be 4.0"),
        ("Hello", "tshark does not say its version: 'Hello'"),
    ],
)
def test_a_tshark_that_is_too_old_is_told(
    tmp_path: Path, printed: str, problem: str | None
) -> None:
    """The tests are skipped with the reason, and do not fail over what it cannot show."""
    program = tmp_path / "tshark"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    program.chmod(0o755)
    said = problem_with(str(program))
    assert (said or "").startswith(problem or "")
    assert (said is None) == (problem is None)


def test_a_tshark_that_is_missing_is_told() -> None:
    """With the way to have it."""
    assert problem_with(None) == "tshark is not installed (Debian: apt-get install tshark)"
