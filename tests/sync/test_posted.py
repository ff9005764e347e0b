"""Posts: what threads hand over comes in order, is bounded, and never waits for ever."""

from __future__ import annotations

import threading

import pytest

from telex import ConnectionClosedError, WaitTimeoutError
from telex.sync import posted as module
from telex.sync.posted import Post, Posted
from tests.sync.stage import PATIENCE, wait_until


def post(size: int) -> Post:
    """Return a post of so many bytes."""
    return Post(print, (), size)


def test_posts_come_in_their_order_and_the_first_wakes() -> None:
    """Only the first post since the last time has to wake the loop."""
    posted = Posted()
    assert posted.take() == []
    assert [posted.put(post(size)) for size in (1, 2, 3)] == [True, False, False]
    assert [taken.size for taken in posted.take()] == [1, 2, 3]
    assert posted.take() == []
    assert posted.put(post(4))


def test_thread_waits_while_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a thread waits until the loop has taken what is there; nothing is lost."""
    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    posted = Posted()
    thread = threading.Thread(target=lambda: [posted.put(post(100)) for _ in range(500)])
    thread.start()
    taken = 0
    while taken < 500:
        wait_until(lambda: posted._posts, "something is posted")
        posts = posted.take()
        assert len(posts) <= 10
        taken += len(posts)
    thread.join(PATIENCE)
    assert posted.take() == []


def test_large_post_needs_no_more_room_than_there_is() -> None:
    """A single post may be larger than the bound."""
    posted = Posted()
    posted.put(post(10 * module.MOST_BYTES))
    assert len(posted.take()) == 1


def test_thread_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the loop does not go on, perhaps because it waits for this thread, that is told."""
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    monkeypatch.setattr(module, "POST_SECONDS", 0.05)
    posted = Posted()
    posted.put(post(1))
    with pytest.raises(WaitTimeoutError, match="waiting for the server to send"):
        posted.put(post(1))


def test_closing_tells_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not taken is returned; who waits, and who comes later, is told of the end."""
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    posted = Posted()
    posted.put(post(1))
    failures: list[ConnectionClosedError] = []

    def wait() -> None:
        try:
            posted.put(post(1))
        except ConnectionClosedError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert posted.close() == [post(1)]
    thread.join(PATIENCE)
    assert "the server was shut down" in str(failures[0])
    with pytest.raises(ConnectionClosedError, match="the server was shut down"):
        posted.put(post(1))


def test_post_that_brings_nothing_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no size, as the outcome of a handler, is handed over at once in any case."""
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    made: list[str] = []
    posted = Posted()
    posted.put(post(1))
    posted.put(Post(made.append, ("outcome",)))
    for taken in posted.take()[1:]:
        taken.make()
    assert made == ["outcome"]
