"""Listening: ports and socket files that are free, taken, left behind, or not to be had."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from telex import Address, AddressError
from telex.network import listener as module
from telex.network.listener import SharedAddress, listen
from telex.network.resolver import Endpoint, resolve
from tests.reader import free_port
from tests.sync.stage import PATIENCE, wait_until


@contextlib.contextmanager
def listening(address: str) -> Iterator[Address]:
    """Listen for the time of the context, and yield where."""
    listeners, actual = listen(Address.parse(address))
    try:
        yield actual
    finally:
        for listener in listeners:
            listener.close()


def reaches(family: socket.AddressFamily, where: Any) -> bool:
    """Say whether somebody listens there."""
    with socket.socket(family) as sock:
        try:
            sock.connect(where)
        except OSError:
            return False
    return True


def test_free_port_is_told() -> None:
    """Port 0 takes a free port, and the address says which."""
    with listening("tcp://127.0.0.1:0") as address:
        assert address.port > 0
        assert reaches(socket.AF_INET, ("127.0.0.1", address.port))
    assert not reaches(socket.AF_INET, ("127.0.0.1", address.port))


def test_port_in_use_is_told() -> None:
    """A port that another server has is one clear error."""
    with listening("tcp://127.0.0.1:0") as address:
        with pytest.raises(AddressError) as caught:
            listen(address)
        assert str(caught.value) == (
            f"cannot listen on {address}: address already in use; "
            "another server listens there, port 0 takes a free port"
        )
        assert isinstance(caught.value.__cause__, OSError)


def test_port_can_be_listened_on_again_at_once() -> None:
    """Connections of the past do not keep a port from its next server."""
    with listening("tcp://127.0.0.1:0") as address:
        sock = socket.create_connection((address.host, address.port))
    with sock, listening(str(address)) as again:
        assert again == address


def test_name_is_listened_on_at_all_its_addresses() -> None:
    """Under a name, one port is served at every address that the name stands for."""
    with listening("tcp://localhost:0") as address:
        assert str(address) == f"tcp://localhost:{address.port}"
        for endpoint in resolve(address):
            assert reaches(endpoint.family, endpoint.address)


def both_families(port: int) -> list[Endpoint]:
    """Return what a name stands for that has an address of either family."""
    four, six = ("127.0.0.1", port), ("::1", port, 0, 0)
    return [Endpoint(socket.AF_INET, four), Endpoint(socket.AF_INET6, six)]


def test_name_gets_a_port_that_is_free_at_all_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the free port of one address is taken at the other, another port is looked for."""
    monkeypatch.setattr("telex.network.listener.resolve", lambda address: both_families(0))
    taken: list[socket.socket] = []
    bind = socket.socket.bind

    def bind_to_a_port_that_is_soon_taken(sock: socket.socket, where: tuple[object, ...]) -> None:
        if sock.family == socket.AF_INET6 and len(taken) < 3:
            taken.append(sock)
            raise OSError(errno.EADDRINUSE, "taken")
        bind(sock, where)

    monkeypatch.setattr(socket.socket, "bind", bind_to_a_port_that_is_soon_taken)
    with listening("tcp://name:0") as address:
        for endpoint in both_families(address.port):
            assert reaches(endpoint.family, endpoint.address)
    assert len(taken) == 3


def test_name_with_no_common_port_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for a port that is free everywhere ends."""
    monkeypatch.setattr("telex.network.listener.resolve", lambda address: both_families(0) * 2)
    with pytest.raises(AddressError, match="already in use"):
        listen(Address.parse("tcp://name:0"))


def test_address_that_this_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may also stand for an address of a family that this machine does not have."""
    foreign = Endpoint(socket.AF_INET6, ("2001:db8::1", 0, 0, 0))
    monkeypatch.setattr(
        "telex.network.listener.resolve", lambda address: [foreign, both_families(0)[0]]
    )
    with listening("tcp://name:0") as address:
        assert reaches(socket.AF_INET, ("127.0.0.1", address.port))
    monkeypatch.setattr("telex.network.listener.resolve", lambda address: [foreign])
    with pytest.raises(AddressError, match="cannot assign requested address"):
        listen(Address.parse("tcp://name:0"))


def test_every_interface_means_both_families() -> None:
    """``[::]`` takes IPv4 too, and ``[::1]`` does not."""
    with listening("tcp://[::]:0") as address:
        assert reaches(socket.AF_INET6, ("::1", address.port))
        assert reaches(socket.AF_INET, ("127.0.0.1", address.port))
    with socket.socket() as silent:  # else the port could be somebody else's there
        silent.bind(("127.0.0.1", free_port()))
        port = silent.getsockname()[1]
        with listening(f"tcp://[::1]:{port}"):
            assert reaches(socket.AF_INET6, ("::1", port))
            assert not reaches(socket.AF_INET, ("127.0.0.1", port))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "x"), "permission denied; ports below 1024 are for"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "cannot be resolved"),
        (OSError(errno.EAFNOSUPPORT, "x"), "address family not supported"),
        (UnicodeError("label too long"), "label too long"),
    ],
)
def test_what_the_system_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """Every complaint of the system becomes one clear error with the address in it."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(AddressError, match=words) as caught:
        listen(Address.parse("tcp://name:80"))
    assert str(caught.value).startswith("cannot listen on tcp://name:80: ")
    assert caught.value.__cause__ is error


def test_socket_file_is_there_while_it_is_listened_on(tmp_path: Path) -> None:
    """The file comes and goes with its server."""
    path = tmp_path / "telex.sock"
    with listening(f"unix://{path}") as address:
        assert address == Address("unix", path=str(path))
        assert path.is_socket()
        path.chmod(0o600)
    assert not path.exists()


def test_socket_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    """A file that nobody listens at any more is in nobody's way."""
    path = tmp_path / "telex.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listening(f"unix://{path}"):
        assert reaches(socket.AF_UNIX, str(path))


def test_socket_file_of_a_living_server_is_left_alone(tmp_path: Path) -> None:
    """Two servers cannot have the same path, and the first keeps it."""
    path = tmp_path / "telex.sock"
    with listening(f"unix://{path}") as address:
        with pytest.raises(AddressError, match=r"another server listens there$"):
            listen(address)
        assert reaches(socket.AF_UNIX, str(path))


def test_socket_file_of_a_server_that_is_about_to_listen_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who starts at the same time at the same path waits, and is told that the path is taken."""
    address = Address("unix", path=str(tmp_path / "telex.sock"))
    told: list[AddressError] = []
    waits = threading.Event()
    lock, begin_to_listen = fcntl.flock, socket.socket.listen

    def notice_who_waits(number: int, operation: int) -> None:
        try:
            lock(number, operation)
        except BlockingIOError:
            waits.set()
            raise

    def come_between() -> None:
        try:
            listen(address)
        except AddressError as error:
            told.append(error)

    other = threading.Thread(target=come_between)

    def listen_late(sock: socket.socket, backlog: int) -> None:
        if threading.current_thread() is not other:
            other.start()
            wait_until(lambda: waits.is_set() or not other.is_alive(), "another one has come")
        begin_to_listen(sock, backlog)

    monkeypatch.setattr(fcntl, "flock", notice_who_waits)
    monkeypatch.setattr(socket.socket, "listen", listen_late)
    with listening(str(address)):
        other.join(PATIENCE)
        assert reaches(socket.AF_UNIX, address.path)
    [error] = told
    assert str(error).endswith("another server listens there")
    assert list(tmp_path.iterdir()) == []


def test_directory_that_stays_locked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for another program that keeps the directory for itself."""
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.0)
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with pytest.raises(AddressError, match=r"; another program has locked the directory$"):
            listen(Address("unix", path=str(tmp_path / "telex.sock")))
    finally:
        os.close(directory)


def test_socket_file_goes_before_the_path_looks_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who closes cannot remove the file of a server that takes the path just then."""
    unlink = Path.unlink
    address = Address("unix", path=str(tmp_path / "telex.sock"))
    in_use = pytest.raises(AddressError, match="another server listens there")

    def unlink_late(path: Path, missing_ok: bool = False) -> None:
        with in_use:
            listen(address)
        unlink(path, missing_ok)

    with listening(str(address)):
        monkeypatch.setattr(Path, "unlink", unlink_late)
    assert list(tmp_path.iterdir()) == []


def test_socket_file_at_a_relative_path_is_removed_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may go to another directory while it serves."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with listening("unix://telex.sock"):
        assert (tmp_path / "telex.sock").is_socket()
        monkeypatch.chdir(elsewhere)
    assert list(tmp_path.iterdir()) == [elsewhere]


def test_other_kind_of_living_socket_is_left_alone(tmp_path: Path) -> None:
    """A path at which somebody takes datagrams is in use too."""
    path = tmp_path / "telex.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(AddressError, match="already in use"):
            listen(Address("unix", path=str(path)))
    assert path.is_socket()


def test_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    """Somebody's data is not overwritten, whatever the address says."""
    path = tmp_path / "data"
    path.write_text("precious")
    with pytest.raises(AddressError, match="not a socket; choose another path or remove it"):
        listen(Address("unix", path=str(path)))
    assert path.read_text() == "precious"


def test_file_of_the_next_server_is_not_removed(tmp_path: Path) -> None:
    """Who closes removes its own file only, not one that another has put there since."""
    path = tmp_path / "telex.sock"
    with listening(f"unix://{path}"):
        path.rename(tmp_path / "moved.sock")
        path.write_text("the next one's")
    assert path.read_text() == "the next one's"


def test_file_that_is_gone_already_is_no_matter(tmp_path: Path) -> None:
    """Somebody may have removed the file."""
    path = tmp_path / "telex.sock"
    with listening(f"unix://{path}"):
        path.unlink()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{tmp_path}/missing/telex.sock", "no such file or directory"),
        ("{tmp_path}/" + "x" * 200, "too long"),
    ],
)
def test_path_that_cannot_be_is_told(tmp_path: Path, path: str, words: str) -> None:
    """A path that the system does not take is one clear error."""
    with pytest.raises(AddressError, match=words):
        listen(Address("unix", path=path.format(tmp_path=tmp_path)))


def test_socket_file_that_may_not_be_touched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that belongs to somebody else is neither dead nor ours."""
    path = tmp_path / "telex.sock"
    with socket.socket(socket.AF_UNIX) as somebodys:
        somebodys.bind(str(path))

    def deny(sock: socket.socket, where: object) -> None:
        raise PermissionError(errno.EACCES, "x")

    monkeypatch.setattr(socket.socket, "connect", deny)
    with pytest.raises(AddressError, match=r"permission denied$"):
        listen(Address("unix", path=str(path)))
    assert path.is_socket()


SHARED = ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0"]


@pytest.mark.parametrize("text", SHARED)
def test_port_is_shared_by_those_who_get_it(text: str) -> None:
    """Each gets listeners of its own, all on one port; reserving it is not listening."""
    with SharedAddress(Address.parse(text)) as first:
        endpoints = resolve(first.address)
        assert first.address.port > 0
        assert not any(reaches(*endpoint) for endpoint in endpoints)
        # What happens in another process: its copy of what the supervisor has.
        second = SharedAddress.__new__(SharedAddress)
        second.address = first.address  # type: ignore[misc]
        second._common = []
        second._reserved = [
            module._open(endpoint, first.address.port, listens=False, is_shared=True)
            for endpoint in endpoints
        ]
        listeners = [*first.listen(), *second.listen()]
        assert len(listeners) == 2 * len(endpoints)
        assert {listener.port for listener in listeners} == {first.address.port}
        assert all(reaches(*endpoint) for endpoint in endpoints)
        for listener in listeners:
            listener.close()


def test_shared_port_that_is_taken_meanwhile_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody takes the free port before it can be shared, another one is got."""
    bind = socket.socket.bind
    taken: list[socket.socket] = []

    def bind_too_late(sock: socket.socket, where: Any) -> None:
        if where[1] and len(taken) < 3:
            taken.append(socket.socket())
            bind(taken[-1], where)
        bind(sock, where)

    monkeypatch.setattr(socket.socket, "bind", bind_too_late)
    with contextlib.ExitStack() as others, SharedAddress(Address.parse("tcp://127.0.0.1:0")) as it:
        for other in taken:
            others.enter_context(other)
        assert it.address.port not in {other.getsockname()[1] for other in taken}
    assert len(taken) == 3


def test_shared_port_must_be_free() -> None:
    """Neither somebody's own port nor one that others share is joined without a word."""
    in_use = pytest.raises(AddressError, match="address already in use")
    with listening("tcp://127.0.0.1:0") as address, in_use:
        SharedAddress(address)
    with SharedAddress(Address.parse("tcp://127.0.0.1:0")) as shared:
        listeners = shared.listen()
        with pytest.raises(AddressError, match="address already in use"):
            SharedAddress(shared.address)
        for listener in listeners:
            listener.close()


def test_shared_unix_socket_is_left_by_those_who_get_it(tmp_path: Path) -> None:
    """Whoever made the file removes it; a process that only listens there does not."""
    path = tmp_path / "telex.sock"
    address = Address("unix", path=str(path))
    with SharedAddress(address):
        assert reaches(socket.AF_UNIX, str(path))
    assert not path.exists()
    shared = SharedAddress(address)
    [listener] = shared.listen()
    listener.close()
    shared.close()
    assert path.exists()


@contextlib.contextmanager
def passed_by_systemd(
    monkeypatch: pytest.MonkeyPatch, *sockets: socket.socket, process: int | None = None
) -> Iterator[None]:
    """Have it look as if systemd had passed these sockets, for the time of the context."""
    numbers = [sock.fileno() for sock in sockets]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_FIRST_PASSED", numbers[0])
        patch.setenv("LISTEN_PID", str(process or os.getpid()))
        patch.setenv("LISTEN_FDS", str(len(numbers)))
        yield


def bound(where: Any = ("127.0.0.1", 0), family: int = socket.AF_INET) -> socket.socket:
    """Return a socket that listens, as systemd makes them."""
    sock = socket.socket(family)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(where)
    sock.listen()
    return sock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")
def test_an_abstract_socket_of_systemd_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unit says ``ListenStream=@NAME``, as the address does."""
    name = f"telex-test-{os.getpid()}"
    with (
        bound(f"\0{name}", socket.AF_UNIX) as sock,
        passed_by_systemd(monkeypatch, sock),
    ):
        [listener], _ = listen(Address.parse(f"unix://@{name}"))
        assert listener.socket.getsockname() == sock.getsockname()
        assert listener.port == 0
        listener.close()


def test_socket_of_systemd_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used instead of a new one, and outlives the server: systemd keeps it."""
    with bound() as sock:
        address = Address("tcp", *sock.getsockname())
        for _ in range(2):
            with passed_by_systemd(monkeypatch, sock):
                [listener], actual = listen(address)
            assert actual == address
            assert listener.socket.getsockname() == sock.getsockname()
            assert not listener.socket.getblocking()
            with socket.create_connection(sock.getsockname()):
                listener.socket.setblocking(True)
                listener.socket.accept()[0].close()
            listener.close()
        assert reaches(socket.AF_INET, sock.getsockname())


def test_unix_socket_of_systemd_keeps_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is systemd's as well."""
    path = tmp_path / "telex.sock"
    with bound(str(path), socket.AF_UNIX) as sock:
        with passed_by_systemd(monkeypatch, sock):
            [listener], _ = listen(Address("unix", path=str(path)))
        listener.close()
        assert path.exists()
        assert reaches(socket.AF_UNIX, str(path))


def test_socket_of_systemd_for_every_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd listens on both families together, whoever wants either gets it."""
    with bound(("::", 0), socket.AF_INET6) as sock:
        port = sock.getsockname()[1]
        for host in ("::", "0.0.0.0"):
            with passed_by_systemd(monkeypatch, sock):
                [listener], _ = listen(Address("tcp", host, port))
            assert listener.port == port
            listener.close()


def test_sockets_of_systemd_can_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers all get the same one; it is found before they are forked."""
    with bound() as sock:
        address = Address("tcp", *sock.getsockname())
        with passed_by_systemd(monkeypatch, sock):
            shared = SharedAddress(address)
        assert shared.address == address
        [listener] = shared.listen()
        assert listener.socket.getsockname() == sock.getsockname()
        shared.close()


def test_socket_of_systemd_somewhere_else_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A unit and a command line that do not fit are noticed: there is a line in the log."""
    with bound() as sock, passed_by_systemd(monkeypatch, sock):
        with listening("tcp://127.0.0.1:0") as address:
            assert address.port != sock.getsockname()[1]
        name = "127.0.0.1:" + str(sock.getsockname()[1])
    assert f"systemd listens on {name}, and not where it is wanted" in caplog.text


@pytest.mark.parametrize("opened", [listen, SharedAddress])
def test_connection_of_systemd_is_refused(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[[Address], object]
) -> None:
    """A socket unit that starts a program for each connection does not fit a server."""
    with bound() as sock, socket.create_connection(sock.getsockname()):
        connection, _ = sock.accept()
        with connection, passed_by_systemd(monkeypatch, connection):
            address = Address("tcp", *connection.getsockname())
            with pytest.raises(AddressError) as caught:
                opened(address)
    assert str(caught.value) == (
        f"cannot listen on {address}: systemd has passed a socket that does not listen; "
        f"right would be Accept=no in the socket unit"
    )


def test_sockets_that_systemd_passed_to_another_process_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables are inherited; they mean the process that they name."""
    with bound() as sock:
        address = Address("tcp", *sock.getsockname())
        in_use = pytest.raises(AddressError, match="address already in use")
        with passed_by_systemd(monkeypatch, sock, process=1), in_use:
            listen(address)


def test_a_socket_file_that_cannot_be_removed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That is logged, and what is closed after it is closed all the same."""
    [listener], _ = listen(Address("unix", path=f"{tmp_path}/socket"))

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        listener.close()
    assert listener.socket.fileno() == -1
    assert f"{tmp_path}/socket was not removed: permission denied" in caplog.text
