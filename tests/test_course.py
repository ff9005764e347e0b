"""The course: how messages become bytes, and bytes become messages.

Read it from top to bottom. A message factory makes messages; a message says itself as bytes; a
message processor takes bytes, however the network cut them up, and hands back equal messages.
"""

from __future__ import annotations

import telex

factory = telex.MessageFactory()


def test_text_in_one_piece() -> None:
    """All bytes of a text message at once: out comes a message equal to the one that was sent."""
    sent = factory.text("Grüße, 世界! 👋")

    processor = telex.MessageProcessor()
    received = processor.receive_bytes(sent.to_bytes())

    assert received == sent
    assert received is not None
    assert received.content == "Grüße, 世界! 👋"
    assert received.content_type == "text/plain"
    assert received.encoding == "utf-8"


def test_text_byte_by_byte() -> None:
    """One byte at a time: nothing until the last byte, then a message equal to the one sent."""
    sent = factory.text("Grüße, 世界! 👋")
    *all_but_the_last, last = (bytes([byte]) for byte in sent.to_bytes())

    processor = telex.MessageProcessor()
    for byte in all_but_the_last:
        assert processor.receive_bytes(byte) is None

    assert processor.receive_bytes(last) == sent


def test_binary_in_one_piece() -> None:
    """All bytes of a binary message at once: the content comes out as the bytes that went in."""
    sent = factory.binary(bytes(range(256)))

    processor = telex.MessageProcessor()
    received = processor.receive_bytes(sent.to_bytes())

    assert received == sent
    assert received is not None
    assert received.content == bytes(range(256))
    assert received.content_type == "application/octet-stream"
    assert received.encoding == "binary"


def test_binary_byte_by_byte() -> None:
    """One byte at a time, binary: nothing until the last byte, then an equal message."""
    sent = factory.binary(bytes(range(256)))
    *all_but_the_last, last = (bytes([byte]) for byte in sent.to_bytes())

    processor = telex.MessageProcessor()
    for byte in all_but_the_last:
        assert processor.receive_bytes(byte) is None

    assert processor.receive_bytes(last) == sent


def test_one_processor_for_a_whole_conversation() -> None:
    """Text, then binary, cut where no message ends: each is handed out when it is complete."""
    text = factory.text("first")
    binary = factory.binary(b"second")
    stream = text.to_bytes() + binary.to_bytes()

    processor = telex.MessageProcessor()
    assert processor.receive_bytes(stream[:50]) is None
    assert processor.receive_bytes(stream[50:-3]) == text
    assert processor.receive_bytes(stream[-3:]) == binary


def test_many_messages_in_one_piece() -> None:
    """A piece that holds several messages: all at once as a list, or one after the other."""
    text = factory.text("first")
    binary = factory.binary(b"second")
    stream = text.to_bytes() + binary.to_bytes()

    assert telex.MessageProcessor().receive_messages(stream) == [text, binary]

    processor = telex.MessageProcessor()
    assert processor.receive_bytes(stream) == text
    assert processor.next_message() == binary
    assert processor.next_message() is None
