"""Listening sockets: opened for every address that a name resolves to, and removed afterwards.

The only module that knows about ports in use, ports that processes share, sockets that systemd
passes, and socket files: those that a dead server left behind, and who may remove them. It accepts
no connections.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from telex.errors import AddressError
from telex.log import safe_logger
from telex.network.os_errors import reason_of
from telex.network.resolver import Endpoint, name_of, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from telex.address import Address

_BACKLOG: Final = 4096
"""Connections that may wait to be accepted; the system may allow fewer."""

_ATTEMPTS_FOR_A_COMMON_PORT: Final = 16
_PROBE_SECONDS: Final = 1.0

_LOCK_SECONDS: Final = 5.0
"""How long to wait while another server opens a socket in the same directory."""

_RETRY_SECONDS: Final = 0.01
"""The time between two attempts to lock the directory."""

_WITHOUT_THIS_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors of an address that this machine cannot have, such as IPv6 without IPv6."""

_FIRST_PASSED: Final = 3
"""The descriptor of the first socket that systemd passes (sd_listen_fds(3))."""

_ALL_INTERFACES: Final = ("0.0.0.0", "::")

logger: Final = safe_logger("telex.server")


class Listener:
    """One listening socket; closing it also removes its socket file, unless systemd made that."""

    __slots__ = ("_file", "_path", "socket")

    def __init__(self, sock: socket.socket, *, owns_file: bool = True) -> None:
        self.socket: socket.socket = sock
        where = sock.getsockname()  # bytes, where it is an abstract name
        self._path = Path(where).absolute() if isinstance(where, str) else None
        self._file = _file_at(self._path) if self._path and owns_file else None

    @property
    def port(self) -> int:
        """The port listened on; 0 for a unix socket."""
        is_unix = self.socket.family == socket.AF_UNIX
        return 0 if is_unix else int(self.socket.getsockname()[1])

    def disown(self) -> None:
        """Leave the socket file to another process that has the same socket."""
        self._file = None

    def close(self) -> None:
        """Stop listening, and remove the socket file unless another server has replaced it."""
        # Remove the file first: while the socket listens, no other server takes the path.
        try:
            if self._path and self._file is not None and _file_at(self._path) == self._file:
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()
        finally:
            self._file = None
            self.socket.close()


class SharedAddress:
    """An address on which several processes listen; ``listen`` returns the listeners of one.

    Make it in the process that forks the others. With ``tcp://`` and ``tls://`` each process has
    sockets of its own on the same port, and the system distributes the connections (SO_REUSEPORT).
    All processes share one Unix socket, and the sockets that systemd passes. The end of the context
    closes the address. Raises AddressError when the address cannot be used.
    """

    def __init__(self, wanted: Address) -> None:
        self._common: list[Listener] = []
        self._reserved: list[Listener] = []
        try:
            endpoints = resolve(wanted)
            self._common = _passed(wanted, endpoints)
            if not self._common and wanted.scheme != "unix":
                self._reserved = _reserve(endpoints, wanted.port)
        except (OSError, UnicodeError) as error:
            raise refusal(wanted, error) from error
        if not self._common and not self._reserved:
            self._common, _ = listen(wanted)
        port = (self._common + self._reserved)[0].port
        self.address: Final = replace(wanted, port=port)
        """The address, with the actual port."""

    def listen(self) -> list[Listener]:
        """Return the listeners of the calling process; each process may call this once."""
        own: list[Listener] = []
        with contextlib.ExitStack() as opened:
            for reserved in self._reserved:
                endpoint = Endpoint(reserved.socket.family, reserved.socket.getsockname())
                try:
                    listener = _open(endpoint, reserved.port, is_shared=True)
                except OSError as error:
                    raise refusal(self.address, error) from error
                opened.callback(listener.close)
                own.append(listener)
            opened.pop_all()
        for reserved in self._reserved:
            reserved.close()
        for common in self._common:
            common.disown()
        return own + self._common

    def close(self) -> None:
        """Release the address; processes that listen there go on."""
        for listener in self._reserved + self._common:
            listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def listen(address: Address) -> tuple[list[Listener], Address]:
    """Listen on all endpoints of ``address``; return the listeners, and the address with its port.

    If systemd has passed sockets for this address, they are the listeners. Raises AddressError with
    the reason.
    """
    try:
        endpoints = resolve(address)
        if passed := _passed(address, endpoints):
            return passed, address
        if address.scheme == "unix":
            listeners = [_open_at_path(address, endpoints[0])]
        else:
            listeners = _open_all(endpoints, address.port)
    except (OSError, UnicodeError) as error:
        raise refusal(address, error) from error
    return listeners, replace(address, port=listeners[0].port)


def _open_at_path(address: Address, endpoint: Endpoint) -> Listener:
    """Listen at a path; first remove the socket file of a dead server.

    An abstract name ends with its socket, so that nothing is left behind there.
    """
    if address.path.startswith("@"):
        return _open(endpoint, 0)
    # Between bind and listen a new socket looks dead, so another server would remove its file.
    with _locked(Path(address.path).parent):
        _remove_dead_socket(address)
        return _open(endpoint, 0)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other servers from opening sockets in a directory during the context.

    The lock is on the directory itself (flock(2)), so that no lock file remains. Raises OSError
    when the directory cannot be opened or locked.
    """
    with contextlib.ExitStack() as ending:
        number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        ending.callback(os.close, number)
        _lock(number)
        # Closing is not enough: a process that another thread forks now inherits the descriptor.
        ending.callback(fcntl.flock, number, fcntl.LOCK_UN)
        yield


def _lock(number: int) -> None:
    """Lock an open directory; raises BlockingIOError when another program keeps its lock."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _open_all(endpoints: list[Endpoint], port: int) -> list[Listener]:
    """Open every endpoint, all with the same port, even if the system chooses the port."""
    return _with_common_port(port, lambda: _open_with_common_port(endpoints, port))


def _with_common_port(port: int, opened: Callable[[], list[Listener]]) -> list[Listener]:
    """Open listeners; try again if the port that the system chose is in use at another endpoint."""
    for attempt in range(_ATTEMPTS_FOR_A_COMMON_PORT):
        try:
            return opened()
        except OSError as error:
            is_last = attempt == _ATTEMPTS_FOR_A_COMMON_PORT - 1
            if error.errno != errno.EADDRINUSE or port != 0 or is_last:
                raise
    raise AssertionError("the last attempt returns or raises")


def _open_with_common_port(
    endpoints: list[Endpoint], port: int, *, listens: bool = True, is_shared: bool = False
) -> list[Listener]:
    listeners: list[Listener] = []
    missing: OSError | None = None
    with contextlib.ExitStack() as opened:
        for endpoint in endpoints:
            try:
                listener = _open(endpoint, port, listens=listens, is_shared=is_shared)
            except OSError as error:
                if error.errno not in _WITHOUT_THIS_FAMILY:
                    raise
                missing = error
                continue
            opened.callback(listener.close)
            listeners.append(listener)
            port = listener.port
        if not listeners and missing is not None:
            raise missing
        opened.pop_all()
    return listeners


def _reserve(endpoints: list[Endpoint], port: int) -> list[Listener]:
    """Bind a port that nobody else has, without listening, for sockets that share the port."""
    return _with_common_port(port, lambda: _reserve_with_common_port(endpoints, port))


def _reserve_with_common_port(endpoints: list[Endpoint], port: int) -> list[Listener]:
    # SO_REUSEPORT would silently share a port with other servers, so first bind the port alone.
    alone = _open_with_common_port(endpoints, port, listens=False)
    port = alone[0].port
    for listener in alone:
        listener.close()
    return _open_with_common_port(endpoints, port, listens=False, is_shared=True)


def _open(
    endpoint: Endpoint, port: int, *, listens: bool = True, is_shared: bool = False
) -> Listener:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        where = endpoint.address
        if endpoint.family != socket.AF_UNIX:
            where = (where[0], port, *where[2:])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if endpoint.family == socket.AF_INET6:
            # "::" means every interface, IPv4 too; any other address means itself.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        sock.bind(where)
        if listens:
            sock.listen(_BACKLOG)
        sock.setblocking(False)
        return Listener(sock)
    except BaseException:
        sock.close()
        raise


def _passed(address: Address, endpoints: list[Endpoint]) -> list[Listener]:
    """Return listeners for those sockets of systemd that are bound to one of ``endpoints``.

    Environment variables say how many sockets systemd has passed, and to which process
    (sd_listen_fds(3)). Its descriptors stay open, so that the process can start another server
    there. Raises AddressError for an accepted connection, which is what Accept=yes passes.
    """
    taken: list[Listener] = []
    others: list[str] = []
    with contextlib.ExitStack() as opened:
        for number in _descriptors_passed():
            sock = socket.socket(fileno=os.dup(number))
            opened.callback(sock.close)
            if _is_connection(sock):
                raise AddressError(
                    f"cannot listen on {address}: systemd has passed a socket that does not "
                    f"listen; right would be Accept=no in the socket unit"
                )
            if sock.type == socket.SOCK_STREAM and _is_one_of(sock, endpoints):
                sock.setblocking(False)
                taken.append(Listener(sock, owns_file=False))
            else:
                others.append(name_of(sock.getsockname()))
                sock.close()
        opened.pop_all()
    if others and not taken:
        logger.warning("systemd listens on %s, and not where it is wanted", ", ".join(others))
    return taken


def _descriptors_passed() -> range:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    count = os.environ.get("LISTEN_FDS", "")
    return range(_FIRST_PASSED, _FIRST_PASSED + (int(count) if count.isdecimal() else 0))


def _is_connection(sock: socket.socket) -> bool:
    """Say whether a socket of systemd is an accepted connection."""
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return sock.type == socket.SOCK_STREAM and not listens


def _is_one_of(sock: socket.socket, endpoints: list[Endpoint]) -> bool:
    """Say whether a socket is bound to one of these endpoints."""
    where = sock.getsockname()
    places = [endpoint.address for endpoint in endpoints if endpoint.address]
    if sock.family == socket.AF_UNIX:
        return os.fsdecode(where) in places
    ends = {place[:2] for place in places if isinstance(place, tuple)}
    if where[0] in _ALL_INTERFACES:
        return any((host, where[1]) in ends for host in _ALL_INTERFACES)
    return where[:2] in ends


def _remove_dead_socket(address: Address) -> None:
    """Remove the socket file of a dead server; raises AddressError for any other file."""
    path = Path(address.path)
    file = _file_at(path)
    if file is None:
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise AddressError(
            f"cannot listen on {address}: there is a file that is not a socket; "
            f"choose another path or remove it"
        )
    if _is_alive(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    if _file_at(path) == file:
        path.unlink()


def _is_alive(path: Path) -> bool:
    """Say whether a server listens at a socket file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise
    return True


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what identifies the file at a path: its device and inode; None without a file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def refusal(address: Address, error: Exception) -> AddressError:
    """Return the error for an address that cannot be listened on, with advice if there is any."""
    number = error.errno if isinstance(error, OSError) else None
    advice = ""
    if number == errno.EADDRINUSE:
        advice = "; another server listens there"
        if address.scheme == "tcp":
            advice += ", port 0 takes a free port"
    elif number == errno.EWOULDBLOCK:
        advice = "; another program has locked the directory"
    elif number in (errno.EACCES, errno.EPERM) and address.scheme == "tcp":
        advice = "; ports below 1024 are for privileged users, 7766 is for everyone"
    return AddressError(f"cannot listen on {address}: {reason_of(error)}{advice}")
