"""Clients that ask as fast as they are answered, and remember what became of every request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from telex import Address, Message, TelexError
from telex.conversation.calls import Call
from tests.behaviour.stage import PATIENCE
from tests.talking import Talker

_IN_FLIGHT = 16


@dataclass
class Experience:
    """What became of one client's requests, and how its connection ended."""

    answered: int = 0
    codes: list[str] = field(default_factory=list)
    farewell: str = ""
    trouble: Exception | None = None


class Load:
    """Clients in threads of their own; each has 16 requests in flight until its server ends.

    As a context manager it waits for all of them at its end.
    """

    def __init__(self, address: Address, count: int, subject: Callable[[int], str]) -> None:
        self.experiences = [Experience() for _ in range(count)]
        self._address = address
        self._subject = subject
        self._threads = [
            threading.Thread(target=self._run, args=(experience,), daemon=True)
            for experience in self.experiences
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for thread in self._threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "a client has not come to an end"

    @property
    def answered(self) -> int:
        """How many requests have been answered so far, of all clients together."""
        return sum(experience.answered for experience in self.experiences)

    def all_are_served(self) -> bool:
        """Say whether every client has had answers."""
        return all(experience.answered > 2 * _IN_FLIGHT for experience in self.experiences)

    def _run(self, experience: Experience) -> None:
        try:
            where = (self._address.host, self._address.port)
            with Talker(socket.create_connection(where, PATIENCE)) as talker:
                self._talk(talker, experience)
        except (OSError, TelexError, AssertionError) as trouble:
            experience.trouble = trouble

    def _talk(self, talker: Talker, experience: Experience) -> None:
        calls: list[Call] = []
        number = 0
        while True:
            while len(calls) < _IN_FLIGHT and talker.conversation.farewell is None:
                number += 1
                message = Message(number, subject=self._subject(number))
                call = talker.conversation.request(message)
                call.keeps_parts = True
                calls.append(call)
            talker.flush()
            data = talker.socket.recv(1 << 18)
            if data:
                talker.conversation.receive_data(data)
            else:
                talker.conversation.receive_eof()
            for call in calls:
                if call.is_done and call.error is None:
                    [part] = call.parts
                    assert part.content == call.id
                    experience.answered += 1
                elif call.is_done:
                    experience.codes.append(getattr(call.error, "code", repr(call.error)))
            calls = [call for call in calls if not call.is_done]
            if talker.conversation.farewell is not None:
                experience.farewell = talker.conversation.farewell.code
            if not data:
                assert not calls
                return
