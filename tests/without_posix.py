"""A plugin of pytest that takes away what Python has on POSIX systems only.

    python -m pytest -p tests.without_posix --basetemp DIRECTORY tests/behaviour

What is left is what Telex finds on Windows, as far as that can be had here: names that are missing,
modules that cannot be imported, ``select`` alone to wait with, and an event loop that handles no
signals. Sockets and their errors stay those of this system.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import select
import selectors
import signal
import socket
import sys
from typing import Any, NoReturn

import pytest

MISSING = {
    os: (
        "O_DIRECTORY fork forkpty getegid geteuid getgid getpgid getpwuid getuid killpg "
        "posix_spawn register_at_fork sendfile set_blocking setpgid setsid writev"
    ),
    select: "POLLERR POLLHUP POLLIN POLLOUT epoll kqueue poll",
    selectors: "DevpollSelector EpollSelector KqueueSelector PollSelector",
    signal: "SIGCHLD SIGHUP SIGPIPE SIGUSR1 pthread_kill pthread_sigmask",
    socket: "AF_UNIX MSG_NOSIGNAL SO_PEERCRED SO_REUSEPORT send_fds",
}
"""Names of modules, as far as they have them."""

LEFT_OUT = ("unix", "AF_UNIX", "connect_a_thousand", "test_forks.py")
"""What tests mention that need Unix sockets, forks, or more sockets than ``select`` can take."""

MODULES = ("fcntl", "grp", "pwd", "pty", "resource", "termios", "tty", "uvloop")
"""Modules that Windows has not."""


def joined_sockets(*arguments: object) -> tuple[socket.socket, socket.socket]:
    """Connect two sockets by TCP, as ``socket.socketpair`` does on Windows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.socket()
        near.connect(listener.getsockname())
        far, _address = listener.accept()
    return near, far


def not_implemented(*arguments: object) -> NoReturn:
    """Refuse, as the event loops of Windows do."""
    raise NotImplementedError


class Missing:
    """An attribute that is not there, neither in the class nor in its objects."""

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError("it is missing")


def take_away() -> None:
    """Take away whatever Windows has not; what was imported before keeps what it has."""
    for module, names in MISSING.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    replacements: tuple[tuple[Any, str, object], ...] = (
        (selectors, "DefaultSelector", selectors.SelectSelector),
        (socket, "socketpair", joined_sockets),
        (socket.socket, "sendmsg", Missing()),
        (asyncio.SelectorEventLoop, "add_signal_handler", not_implemented),
        (asyncio.SelectorEventLoop, "remove_signal_handler", not_implemented),
    )
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Take it away when pytest has loaded all plugins, and nothing of this project yet."""
    assert "telex" not in sys.modules, "telex was imported with all that this system has"
    take_away()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be tested like this."""
    left_out = [item for item in items if any(word in what_it_says(item) for word in LEFT_OUT)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def what_it_says(item: pytest.Item) -> str:
    """Return the name of a test, with its file and its parameters, and its source."""
    assert isinstance(item, pytest.Function)
    return f"{item.nodeid}\n{inspect.getsource(item.function)}"
