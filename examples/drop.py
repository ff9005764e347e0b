"""A place to drop files of any size, over a socket, with a progress bar.

    python examples/drop.py serve --into received
    python examples/drop.py send holiday.mp4 notes.txt

A file travels in parts, each a request that is answered when it is written; eight of them are under
way at a time. It has its name when it is complete and has the checksum that was announced: nobody
ever sees half of it. A name is a name, and never a way to another directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

import telex
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS: Final = "tcp://127.0.0.1:7766"
PART_SIZE: Final = 256 * 1024
UNDER_WAY: Final = 8

MOST: Final = 1024
"""MiB that a file may have, unless the server is told otherwise."""

LONGEST_NAME: Final = 255
"""Bytes that a name may have on most file systems."""


class File(msgspec.Struct):
    """What is said of a file before it comes; ``size`` is in bytes."""

    name: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str


class Upload:
    """A file that is coming in; until it is complete it has a name of its own."""

    def __init__(self, file: File, directory: Path) -> None:
        self._file: Final = file
        self._target: Final = directory / safe_name(file.name)
        self._written = 0
        self._checksum = hashlib.sha256()
        if self._target.exists():
            raise telex.Refusal("exists", f"there is a {file.name} already")
        self._output = tempfile.NamedTemporaryFile(  # noqa: SIM115 - it is open for several calls
            dir=directory, prefix=".", suffix=".part"
        )

    def write(self, part: bytes) -> None:
        """Append what comes next."""
        self._written += len(part)
        if self._written > self._file.size:
            raise telex.Refusal("too-long", f"{self._file.name} is longer than announced")
        self._output.write(part)
        self._checksum.update(part)

    def finish(self) -> None:
        """Give the file its name, if all of it is here, and nobody else took the name meanwhile."""
        if self._checksum.hexdigest() != self._file.sha256:
            raise telex.Refusal("damaged", f"{self._file.name} is not what was announced")
        self._output.flush()
        os.fsync(self._output.fileno())
        try:
            os.link(self._output.name, self._target)
        except FileExistsError:
            raise telex.Refusal("exists", f"there is a {self._file.name} already") from None

    def close(self) -> None:
        """Remove the file as it came in; harmless when repeated."""
        self._output.close()


def safe_name(name: str) -> str:
    """Return a name that stays in its directory and hides nothing; refuse any other."""
    is_plain = name == Path(name).name and "\\" not in name and name.isprintable()
    if not name or name.startswith(".") or not is_plain or len(name.encode()) > LONGEST_NAME:
        raise telex.Refusal("bad-name", f"{name!r} is not the plain name of a file")
    return name


class Drop(telex.Observer):
    """Takes files into a directory: one at a time from each peer, of at most ``most`` MiB.

    Its handlers run in threads, while the server's own thread tells who has gone. What a peer that
    has gone leaves behind is removed there, or by the handler that is at work for it.
    """

    def __init__(self, directory: Path, most: int = MOST) -> None:
        self._directory: Final = directory
        self._most: Final = most
        self._lock: Final = threading.Lock()
        self._present: set[telex.Peer] = set()
        self._at_work: set[telex.Peer] = set()
        self._uploads: dict[telex.Peer, Upload] = {}
        self.app: Final = telex.Application()
        self.app.on("drop.begin", blocking=True)(self.begin)
        self.app.on("drop.part", blocking=True)(self.part)
        self.app.on("drop.end", blocking=True)(self.end)

    def begin(self, message: telex.Message[File], peer: telex.Peer) -> None:
        """Begin a file; one that the peer has not ended is forgotten."""
        if message.content.size > self._most * 1024 * 1024:
            raise telex.Refusal("too-large", f"a file has at most {self._most:,} MiB")
        with self._working_for(peer):
            self._forget(peer)
            self._uploads[peer] = Upload(message.content, self._directory)

    def part(self, message: telex.Message[bytes], peer: telex.Peer) -> int:
        """Append a part, and answer how many bytes it had; after one too many all is forgotten."""
        with self._working_for(peer):
            try:
                self._of(peer).write(message.content)
            except telex.Refusal:
                self._forget(peer)
                raise
        return len(message.content)

    def end(self, _message: telex.Message, peer: telex.Peer) -> None:
        """End a file: from now on it is there, or nothing is left of it."""
        with self._working_for(peer):
            try:
                self._of(peer).finish()
            finally:
                self._forget(peer)

    def connected(self, peer: telex.Peer) -> None:
        """Take note of somebody who may begin a file."""
        with self._lock:
            self._present.add(peer)

    def disconnected(self, peer: telex.Peer, error: telex.TelexError | None) -> None:
        """Remove what came of a file whose rest will not come."""
        with self._lock:
            self._present.discard(peer)
            is_at_work = peer in self._at_work
        if not is_at_work:
            self._forget(peer)

    @contextlib.contextmanager
    def _working_for(self, peer: telex.Peer) -> Iterator[None]:
        """Do something for a peer, and clear up behind it if it goes meanwhile."""
        with self._lock:
            if peer not in self._present:
                raise telex.Refusal("gone", "whoever has sent this has gone")
            self._at_work.add(peer)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.discard(peer)
                has_gone = peer not in self._present
            if has_gone:
                self._forget(peer)

    def _of(self, peer: telex.Peer) -> Upload:
        if peer not in self._uploads:
            raise telex.Refusal("not-begun", "say drop.begin first")
        return self._uploads[peer]

    def _forget(self, peer: telex.Peer) -> None:
        if (upload := self._uploads.pop(peer, None)) is not None:
            upload.close()


def parts_of(path: Path) -> Iterator[telex.Message]:
    """Give a file part by part."""
    with path.open("rb") as file:
        while part := file.read(PART_SIZE):
            yield telex.Message(part, subject="drop.part")


def send_file(connection: telex.sync.Connection, path: Path, progress: Progress) -> None:
    """Send one file; raises RemoteError when the server does not take it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    task = progress.add_task(path.name, total=size)
    connection.request(File(path.name, size, checksum), subject="drop.begin", timeout=10)
    for answer in connection.request_many(parts_of(path), timeout=60, most=UNDER_WAY):
        if isinstance(answer, telex.TelexError):
            raise answer
        progress.advance(task, answer.decode(int))
    connection.request(None, subject="drop.end", timeout=60)


cli = typer.Typer(help="Drop files on another machine.", no_args_is_help=True)


@cli.command()
def serve(
    into: Annotated[Path, typer.Option(file_okay=False)] = Path("received"),
    most: Annotated[int, typer.Option(metavar="MIB", min=1, help="The size of a file.")] = MOST,
    listen: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Take files into a directory."""
    into.mkdir(parents=True, exist_ok=True)
    drop = Drop(into, most)
    with telex.sync.serve(drop.app, listen, observer=drop) as server:
        print(f"listening on {server.address}, files go into {into}", flush=True)
        server.serve_forever()


@cli.command()
def send(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Send files, one after the other."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with (
        telex.sync.connect(to) as connection,
        Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as progress,
    ):
        for file in files:
            send_file(connection, file, progress)
            print(f"{file.name}: sent", flush=True)


if __name__ == "__main__":
    try:
        cli()
    except telex.TelexError as error:
        sys.exit(printable(f"drop: {error}"))
