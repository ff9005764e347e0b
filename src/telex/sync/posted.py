"""Calls on their way from other threads to the loop's thread, which alone may touch connections.

What they bring is bounded: a thread that hands over more than the loop takes has to wait, but never
for ever, as the loop may be waiting for that thread. This module knows no socket.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.errors import ConnectionClosedError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BYTES: Final = 1024 * 1024
"""Bytes that may be on their way before the next thread has to wait."""

POST_SECONDS: Final = 10.0
"""How long a thread waits for its turn before it is told that the server does not go on."""


class Post(NamedTuple):
    """A call to be made in the loop's thread; ``size`` is in bytes, of what it brings."""

    function: Callable[..., object]
    arguments: tuple[Any, ...]
    size: int = 0

    def make(self) -> None:
        """Make the call."""
        self.function(*self.arguments)


class Posted:
    """Posts of all threads, in the order in which they came."""

    def __init__(self) -> None:
        self._posts: list[Post] = []
        self._size = 0
        self._has_room = threading.Condition()
        self._is_closed = False

    def put(self, post: Post) -> bool:
        """Hand over a post; say whether it is the first, so that the loop has to be woken.

        One that has a size waits for room. Raises WaitTimeoutError when there is none for a long
        time, and ConnectionClosedError when the server has ended.
        """
        with self._has_room:
            if post.size and not self._has_room.wait_for(self._can_go_on, POST_SECONDS):
                raise WaitTimeoutError("the server to send what waits already", POST_SECONDS)
            if self._is_closed:
                raise ConnectionClosedError("us", "the server was shut down", code="shutting-down")
            self._posts.append(post)
            self._size += post.size
            return len(self._posts) == 1

    def take(self) -> list[Post]:
        """Return all that was handed over, and make room for more."""
        if not self._posts:
            return []
        with self._has_room:
            posts, self._posts, self._size = self._posts, [], 0
            self._has_room.notify_all()
            return posts

    def __len__(self) -> int:
        return len(self._posts)

    def close(self) -> list[Post]:
        """Take no more, and return what nobody has taken."""
        with self._has_room:
            self._is_closed = True
            self._has_room.notify_all()
        return self.take()

    def _can_go_on(self) -> bool:
        return self._is_closed or self._size < MOST_BYTES
