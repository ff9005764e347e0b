"""The outbox: pieces in order, never copied, and every byte counted as unsent, sent or lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.connection.output import MOST_PIECES, Output


def test_pieces_are_offered_in_order_and_as_they_are() -> None:
    """A piece is not copied, and stays unsent until it is said to have gone."""
    output = Output()
    first, second = b"one", b"two" * 1_000
    output.add([first])
    output.add([second])
    offered = output.offered()
    assert offered[0] is first
    assert offered[1] is second
    assert (output.size, output.sent, output.lost) == (3_003, 0, 0)
    assert output.offered() == offered


def test_nothing_adds_nothing() -> None:
    """Pieces without bytes are not offered."""
    output = Output()
    output.add([])
    output.add([b"", b""])
    assert output.offered() == []
    assert output.size == 0


def test_a_piece_that_went_in_part_is_offered_from_there_on() -> None:
    """The rest is a view, and the memory of the whole piece stays held."""
    output = Output()
    output.add([b"abc", b"defgh"])
    output.forget(5)
    assert [bytes(piece) for piece in output.offered()] == [b"fgh"]
    assert (output.size, output.sent) == (3, 5)
    assert output.held == 5
    output.forget(1)
    assert [bytes(piece) for piece in output.offered()] == [b"gh"]
    assert output.held == 5
    output.add([b"ij"])
    output.forget(2)
    assert [bytes(piece) for piece in output.offered()] == [b"ij"]
    assert output.held == 2
    output.forget(2)
    assert output.offered() == []
    assert output.held == 0


def test_more_than_there_is_cannot_have_gone() -> None:
    """A driver that counts wrongly is told so, and nothing is counted."""
    output = Output()
    output.add([b"abc"])
    with pytest.raises(ValueError, match=r"^4 bytes cannot have been sent of 3$"):
        output.forget(4)
    assert (output.size, output.sent) == (3, 0)


def test_no_more_pieces_are_offered_than_one_system_call_takes() -> None:
    """The rest of the pieces is offered when those have gone."""
    output = Output()
    output.add([b"x"] * (MOST_PIECES + 2))
    assert len(output.offered()) == MOST_PIECES
    output.forget(MOST_PIECES)
    assert len(output.offered()) == 2


def test_what_is_discarded_is_lost_and_so_is_what_follows() -> None:
    """Bytes that never go are counted, and not kept."""
    output = Output()
    output.add([b"abcd"])
    output.forget(1)
    output.discard()
    assert (output.size, output.sent, output.lost, output.held) == (0, 1, 3, 0)
    output.add([b"ef"])
    assert output.offered() == []
    assert (output.size, output.lost) == (0, 5)


@given(st.lists(st.lists(st.binary(max_size=5), max_size=4) | st.integers(0, 12), max_size=30))
def test_all_bytes_go_once_and_in_order(steps: list[list[bytes] | int]) -> None:
    """Whatever is added and however it goes, what went is what was added, from its beginning."""
    output = Output()
    added = went = b""
    for step in steps:
        if isinstance(step, list):
            output.add(step)
            added += b"".join(step)
        else:
            size = min(step, output.size)
            went += b"".join(output.offered())[:size]
            output.forget(size)
        assert output.size == len(added) - len(went)
        assert output.held >= output.size
    assert went + b"".join(output.offered()) == added
    assert output.sent == len(went)


def test_what_goes_after_the_discard_is_not_lost() -> None:
    """A driver may have bytes on their way when the rest is given up: these count as sent."""
    output = Output()
    output.add([b"abcde"])
    output.discard()
    assert (output.size, output.sent, output.lost) == (0, 0, 5)
    output.forget(2)
    assert (output.size, output.sent, output.lost) == (0, 2, 3)
    with pytest.raises(ValueError, match=r"^4 bytes cannot have been sent of 0$"):
        output.forget(4)


def test_output_is_shortened_to_the_batch_that_is_sent_first() -> None:
    """Wherever the network has come to, and whatever pieces the batches consist of."""
    batches = [[b"abc", b"def"], [b"ghi"], [b"jkl", b"mno"]]
    for sent, left in ((0, "abcdef"), (4, "ef"), (6, "ghi"), (8, "i"), (9, "jklmno"), (14, "o")):
        output = Output()
        for batch in batches:
            output.add(batch)
        output.forget(sent)
        assert not output.shorten(len(left) - 1)
        assert output.size == 15 - sent
        assert output.shorten(len(left))
        assert b"".join(output.offered()) == left.encode()
        assert (output.size, output.lost) == (len(left), 15 - sent - len(left))
        output.add([b"pqr"])
        assert b"".join(output.offered()) == left.encode() + b"pqr"
        output.forget(output.size)
        assert (output.size, output.held) == (0, 0)


def test_what_waits_for_a_layer_is_taken_in_whole_batches() -> None:
    """As many as fit beside what can be sent already; a longer one goes alone."""
    output = Output()
    assert output.take_unwrapped(10) == []
    for batch in ([b"abc", b"def"], [b"ghi"], [b"jklmnopqrst"], [b"u"]):
        output.hold(batch)
    assert (output.size, output.unwrapped, output.offered()) == (21, 21, [])
    taken = output.take_unwrapped(10)
    assert taken == [b"abc", b"def", b"ghi"]
    assert (output.size, output.unwrapped) == (12, 12)
    output.add_wrapped([b"ABCDEFGHI"], 9)
    assert (output.size, output.unwrapped) == (21, 12)
    assert output.take_unwrapped(10) == []
    with pytest.raises(ValueError, match=r"^10 bytes cannot have been sent of 9$"):
        output.forget(10)
    output.forget(9)
    assert output.take_unwrapped(10) == [b"jklmnopqrst"]
    assert output.take_unwrapped(10) == [b"u"]
    assert (output.size, output.unwrapped, output.held) == (0, 0, 0)


def test_what_waits_for_a_layer_can_be_lost_alone() -> None:
    """What is wrapped stays, and every byte is counted."""
    output = Output()
    output.add_wrapped([b"A!"], 1)
    output.hold([b"bcd"])
    output.lose_unwrapped()
    assert (output.size, output.unwrapped, output.lost) == (2, 0, 3)
    output.hold([b"ef"])
    output.discard()
    assert (output.size, output.unwrapped, output.lost) == (0, 0, 7)
    output.hold([b"g"])
    assert (output.size, output.unwrapped, output.lost) == (0, 0, 8)
    assert output.take_unwrapped(10) == []


@given(st.lists(st.text("abc", max_size=9).map(str.encode) | st.integers(0, 12), max_size=30))
def test_a_place_in_the_output_is_reached_when_all_before_it_has_gone(
    steps: list[bytes | int],
) -> None:
    """However many bytes a layer has made of what was handed over."""
    output = Output()
    places: list[tuple[int, int]] = []
    handed_over = went = 0
    for step in steps:
        if isinstance(step, bytes):
            handed_over += len(step)
            output.hold([step])
            places.append((output.progress + output.size, handed_over))
        taken = b"".join(output.take_unwrapped(8))
        if taken:
            output.add_wrapped([b"<", taken, b">"], len(taken))
        if isinstance(step, int):
            size = min(step, output.size - output.unwrapped)
            data = b"".join(output.offered())[:size]
            went += len(data.replace(b"<", b"").replace(b">", b""))
            output.forget(size)
    for place, before in places:
        assert output.progress < place or went >= before
    if not output.size:
        assert all(output.progress >= place for place, _ in places)
