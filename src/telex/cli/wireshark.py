"""``telex wireshark``: prints where the dissector for Wireshark is, or installs the dissector.

The dissector itself is ``telex/wireshark/telex.lua``.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer

from telex.cli.failure import CommandError
from telex.cli.options import refuse_if
from telex.cli.terminal import standard_output
from telex.printable import printable

_PERSONAL_PLUGINS: Final = Path(".local", "lib", "wireshark", "plugins")
"""In the home directory: Wireshark's User's Guide, "Plugin folders", for Linux and macOS."""


def wireshark(
    install: Annotated[
        bool,
        typer.Option(
            "--install", metavar="", help="Copy the dissector to the plugins of Wireshark."
        ),
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="The folder to copy to, if not ~/.local/lib/wireshark/plugins.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", metavar="", help="Replace a different file."),
    ] = False,
) -> None:
    """Teach Wireshark, and tshark, to read Telex.

    Without options it prints the path of the dissector, a script in Lua. Try it:

    tshark -X lua_script:"$(telex wireshark)" -i lo -f "tcp port 7766"

    --install copies the dissector to your own plugins, and Wireshark loads it at
    its next start. You can then filter for telex.subject == "orders.new"
    """
    refuse_if(directory is not None and not install, "--directory: it needs --install")
    refuse_if(force and not install, "--force: it needs --install")
    lines = standard_output()
    if not install:
        lines.line(str(script()))
        return
    target = (directory or Path.home() / _PERSONAL_PLUGINS) / script().name
    verb = install_at(target, force=force)
    lines.line(f"{verb} {printable(str(target))}")


def script() -> Path:
    """Return the file of the dissector; raises CommandError for a package in an archive."""
    file = resources.files("telex").joinpath("wireshark", "telex.lua")
    if not isinstance(file, Path):
        raise CommandError("the dissector is inside an archive; right would be an installed telex")
    return file


def install_at(target: Path, *, force: bool) -> str:
    """Copy the dissector to ``target``; return a word for what was done, such as "installed".

    Raises CommandError when there is a different file, unless ``force`` replaces it, and OSError.
    """
    verb = "installed"
    if target.exists():
        if target.read_bytes() == script().read_bytes():
            return "already installed:"
        if not force:
            raise CommandError(f"{target} is a different file; --force replaces it")
        verb = "replaced"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(script(), target)
    return verb
