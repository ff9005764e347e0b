"""Several processes that serve one address: kept alive, and ended together.

A supervisor forks them, starts another one when one dies, passes signals on, and ends when all have
ended. Front-ends are not known here: what a worker does is handed in.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from telex.limits import Limits
from telex.log import safe_logger
from telex.network.sockets import NO_SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telex.network.listener import SharedAddress

STORM_SECONDS: Final = 10.0
"""The time in which each worker may die ``STORM_DEATHS`` times before the supervisor gives up."""

STORM_DEATHS: Final = 5

_GRACE_SECONDS: Final = 5.0
"""How long workers without a supervisor may take for what comes after draining, as hooks do."""

_LOOK_SECONDS: Final = 0.01
"""How often to look whether workers have ended, where no signal tells."""

_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_TERMINAL_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP)
_SIGNALS: Final = (*_ENDING_SIGNALS, signal.SIGHUP, signal.SIGCHLD)

_ASKED_BY_WORKER: Final = 0
"""What a worker writes among the numbers of signals, to have all end."""

Work = Callable[[Callable[[], None]], object]
"""What a worker does. It gets what ends all workers, which may be called again and again."""

logger: Final = safe_logger("telex.server")


def run_workers(
    count: int,
    address: SharedAddress,
    work: Work,
    *,
    reload: Callable[[], object] | None = None,
    drain_timeout: float = Limits().drain_timeout,
) -> int:
    """Have ``count`` processes do ``work`` until they are told to end; return an exit code.

    ``work`` serves ``address`` until SIGTERM; what it raises is logged. It gets a function by which
    a worker ends all of them, unless they are ending already. A worker that dies is replaced at
    once, unless that happens again and again. SIGINT and SIGTERM to this process end all workers, a
    second one without waiting for their peers, a third one by force; the address is closed then.
    SIGHUP calls ``reload``, for workers that start later, and is passed on, to be handled when a
    worker serves; without ``reload`` it ends all. When this process dies, the workers end by
    themselves, by force if they have not when ``drain_timeout`` is long over.

    This must be called in the main thread, and no other thread should be there. The exit code is 0
    when everything ended as it was told, 1 otherwise.

        with SharedAddress(Address.parse("tcp://127.0.0.1:7766")) as address:
            sys.exit(run_workers(2, address, lambda _: serve(app, address).serve_forever()))
    """
    if count < 1:
        raise ValueError(f"there must be at least 1 worker, not {count}")
    return _Supervisor(count, address, work, reload, drain_timeout).run()


class _Supervisor:
    """The parent of the workers."""

    def __init__(
        self,
        count: int,
        address: SharedAddress,
        work: Work,
        reload: Callable[[], object] | None,
        drain_timeout: float,
    ) -> None:
        self._count: Final = count
        self._address: Final = address
        self._work: Final = work
        self._reload: Final = reload
        self._drain_timeout: Final = drain_timeout
        self._workers: set[int] = set()
        self._deaths: deque[float] = deque()
        self._times_told_to_end = 0
        self._exit_code = 0
        # Where the numbers of signals arrive, and what workers ask for.
        self._arrivals, self._writer = socket.socketpair()
        # What is readable for a worker when the supervisor is gone.
        try:
            self._lifeline, self._held_end = os.pipe()
        except OSError:
            self._arrivals.close()
            self._writer.close()
            raise

    def run(self) -> int:
        """Keep the workers alive until they are told to end; return the exit code.

        Where that fails, as when the system has no more processes, no worker is left behind.
        """
        with contextlib.ExitStack() as ending:
            ending.callback(os.close, self._lifeline)
            ending.callback(os.close, self._held_end)
            ending.callback(self._address.close)
            ending.callback(self._end_those_left)
            for end in (self._arrivals, self._writer):
                ending.enter_context(end)
            ending.enter_context(self._handling_signals())
            arrivals = select.poll()
            arrivals.register(self._arrivals, select.POLLIN)
            while len(self._workers) < self._count:
                self._start()
            while self._workers:
                arrivals.poll()
                for number in self._arrivals.recv(4096):
                    self._take_signal(number)
                self._replace_the_dead()
        return self._exit_code

    def _end_those_left(self) -> None:
        """End workers that nobody will look after: first as told, in the end by force."""
        for number, patience in (
            (signal.SIGTERM, self._drain_timeout + _GRACE_SECONDS),
            (signal.SIGKILL, math.inf),
        ):
            deadline = time.monotonic() + patience
            self._send(number)
            while self._workers and time.monotonic() < deadline:
                for worker in list(self._workers):
                    if os.waitpid(worker, os.WNOHANG)[0]:
                        self._workers.discard(worker)
                time.sleep(_LOOK_SECONDS)

    @contextlib.contextmanager
    def _handling_signals(self) -> Iterator[None]:
        """Have signals arrive as bytes of a socket, for the time of the context."""
        self._writer.setblocking(False)
        previous = {number: signal.signal(number, _take_note) for number in _SIGNALS}
        previous_wakeup = signal.set_wakeup_fd(self._writer.fileno())
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous_wakeup)
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _start(self) -> None:
        """Fork a worker.

        Signals wait meanwhile: until the worker has handlers of its own, one to it would count as
        one to the supervisor.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            worker = os.fork()
            if worker == 0:
                self._be_a_worker(mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._workers.add(worker)
        logger.debug("worker %d: started", worker)

    def _be_a_worker(self, mask: Iterable[int]) -> None:
        """Work, and end the process: nothing of the supervisor's goes on in it."""
        status = 1
        try:
            _leave_the_supervisor(mask, keeps_hangup=self._reload is not None)
            os.close(self._held_end)
            lifeline = (self._lifeline, self._drain_timeout)
            threading.Thread(target=_end_with, args=lifeline, daemon=True).start()
            self._work(self._ask_for_the_end)
            status = 0
        except SystemExit as leaving:
            status = (
                leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
            )
        except BaseException:
            logger.exception("worker %d: failed", os.getpid())
        finally:
            logging.shutdown()
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _ask_for_the_end(self) -> None:
        """Have the supervisor end all workers; this is called in one of them."""
        with contextlib.suppress(OSError):  # it is gone, or there is no room for one more request
            self._writer.send(bytes([_ASKED_BY_WORKER]), NO_SIGNAL)

    def _take_signal(self, number: int) -> None:
        if number == signal.SIGHUP and self._reload is not None:
            self._reload()
            self._send(signal.SIGHUP)
        elif number == _ASKED_BY_WORKER and self._times_told_to_end:
            pass  # workers do not hurry each other
        elif number != signal.SIGCHLD:
            self._times_told_to_end += 1
            self._end_workers()

    def _end_workers(self) -> None:
        """Tell the workers to end, the more urgently the more often."""
        self._address.close()
        self._send(signal.SIGKILL if self._times_told_to_end > 2 else signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            os.kill(worker, number)

    def _replace_the_dead(self) -> None:
        """Handle workers that have ended; replace those that should have gone on."""
        for worker in list(self._workers):
            ended, status = os.waitpid(worker, os.WNOHANG)
            if not ended:
                continue
            self._workers.discard(worker)
            code = os.waitstatus_to_exitcode(status)
            if not self._times_told_to_end:
                self._mourn(worker, code)
            elif code not in (0, -signal.SIGTERM):
                self._exit_code = 1
                logger.error("worker %d: %s while it was ending", worker, _described(code))
        while not self._times_told_to_end and len(self._workers) < self._count:
            self._start()

    def _mourn(self, worker: int, code: int) -> None:
        """Log a death that nobody ordered; end everything if there are too many of them."""
        logger.error("worker %d: %s; another one takes its place", worker, _described(code))
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - STORM_SECONDS:
            self._deaths.popleft()
        if len(self._deaths) >= STORM_DEATHS * self._count:
            logger.error(
                "giving up: workers died %d times in %g seconds", len(self._deaths), STORM_SECONDS
            )
            self._times_told_to_end = 1
            self._exit_code = 1
            self._end_workers()


def _take_note(number: int, frame: object) -> None:
    """Handle a signal: that it arrives as a byte is all that is needed."""


def _leave_the_supervisor(mask: Iterable[int], *, keeps_hangup: bool) -> None:
    """Have the signals to this new process be its own, and let in those that wait.

    With ``keeps_hangup``, SIGHUP waits until a server handles it, and ends nothing.
    """
    os.setpgid(0, 0)  # Ctrl-C is the supervisor's, who passes it on
    signal.set_wakeup_fd(-1)
    own = set(_SIGNALS)
    if keeps_hangup:
        own.remove(signal.SIGHUP)
        mask = {*mask, signal.SIGHUP}
    for number in own.intersection(_TERMINAL_SIGNALS):
        signal.signal(number, signal.SIG_IGN)  # so is one that came before: this discards it
    for number in own:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end_with(lifeline: int, drain_timeout: float) -> None:
    """Have this process end as soon as the supervisor is gone, whatever it is doing.

    It is told as the supervisor would: to drain, when the time for that is over to end at once, and
    in the end by force.
    """
    os.read(lifeline, 1)
    never = threading.Event()
    for patience in (drain_timeout + _GRACE_SECONDS, _GRACE_SECONDS):
        os.kill(os.getpid(), signal.SIGTERM)
        never.wait(min(patience, threading.TIMEOUT_MAX))
    os._exit(1)


def _described(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
