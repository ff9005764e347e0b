"""What tshark shows of a capture with the dissector of this project, read from its XML (PDML)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from telex.cli.wireshark import script

TSHARK: Final = shutil.which("tshark")

_OLDEST: Final = (4, 0)
"""The oldest version whose output is read here."""

_PATIENCE: Final = 60.0

NOT_IN_XML: Final = re.compile("[\ufffe\uffff]")
"""Characters that no XML may hold, and that tshark does not escape; they are shown as spaces."""


def problem_with(tshark: str | None) -> str | None:
    """Say why a program is not the tshark that is needed; None when it is."""
    if tshark is None:
        return "tshark is not installed (Debian: apt-get install tshark)"
    ended = subprocess.run(
        [tshark, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    first_line = ended.stdout.partition("\n")[0]
    version = re.search(r"(\d+)\.(\d+)", first_line)
    if version is None:
        return f"tshark does not say its version: {first_line!r}"
    if (int(version[1]), int(version[2])) < _OLDEST:
        return f"tshark is of version {version[0]}, and must be 4.0 or newer"
    return None


WHY_NOT: Final = problem_with(TSHARK)
"""Why nothing can be shown here, if that is so."""

NEEDS_TSHARK: Final = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "it is here")


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as tshark shows it, or what it shows in the place of one."""

    frame: int
    stream: int
    title: str
    malformed: bool
    incomplete: bool
    fields: dict[str, list[str]] = field(default_factory=dict)
    """What is shown of each field, by its name without ``telex.``, in the order of the tree."""

    def __getitem__(self, name: str) -> str:
        """Return what is shown of a field that is there once."""
        [shown] = self.fields[name]
        return shown


def run_tshark(capture: Path, *options: str) -> str:
    """Return what tshark prints about a capture; fail when it, or the dissector, breaks down."""
    assert TSHARK is not None
    ended = subprocess.run(
        [TSHARK, "-n", "-X", f"lua_script:{script()}", "-r", str(capture), *options],
        # Nobody's own plugins and settings are in the way.
        env={**os.environ, "HOME": str(capture.parent), "XDG_CONFIG_HOME": str(capture.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=_PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Lua" not in ended.stderr
    assert "Lua Error" not in ended.stdout
    return ended.stdout


def messages_in(capture: Path, *options: str) -> list[Shown]:
    """Return what tshark shows of Telex in a capture, in its order."""
    pdml = run_tshark(capture, *options, "-Y", "telex", "-T", "pdml", "-J", "frame tcp telex")
    tree = ElementTree.fromstring(NOT_IN_XML.sub(" ", pdml))  # which tshark does not mind
    return [
        _shown(packet, layer)
        for packet in tree.iter("packet")
        for layer in packet.iterfind("proto[@name='telex']")
    ]


def frames_with(capture: Path, display_filter: str, *options: str) -> list[int]:
    """Return the numbers of the frames that a display filter lets through."""
    printed = run_tshark(
        capture, *options, "-Y", display_filter, "-T", "fields", "-e", "frame.number"
    )
    return [int(line) for line in printed.split()]


def info_of(capture: Path, *options: str) -> list[str]:
    """Return the info column of the packets that hold Telex."""
    return run_tshark(
        capture, *options, "-Y", "telex", "-T", "fields", "-e", "_ws.col.Info"
    ).splitlines()


def _shown(packet: ElementTree.Element, layer: ElementTree.Element) -> Shown:
    fields: dict[str, list[str]] = {}
    for element in layer.iter("field"):
        name = element.get("name", "").removeprefix("telex.")
        # Bytes are shown cut short, and are whole in the value.
        shown = element.get("value" if name == "content" else "show", "")
        fields.setdefault(name, []).append(shown)
    return Shown(
        frame=int(_of(packet, "frame.number")),
        stream=int(_of(packet, "tcp.stream")),
        title=layer.get("showname", ""),
        malformed="malformed" in fields,
        incomplete="incomplete" in fields,
        fields=fields,
    )


def _of(packet: ElementTree.Element, name: str) -> str:
    element = packet.find(f".//field[@name='{name}']")
    assert element is not None
    return element.get("show", "")
