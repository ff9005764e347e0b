"""Telex at the same work. Which build of it that is, is decided before this module is imported."""

from __future__ import annotations

from typing import Final

from benchmarks.task import Job, Preparation, Task, Work, hand_over, take_all
from telex import Message, MessageProcessor


def _decoding(task: Task) -> Job:
    return take_all(MessageProcessor().receive_messages, task.pieces())


def _encoding(task: Task) -> Job:
    ready = [
        Message(parts.content, subject=parts.subject, headers=parts.headers, id=parts.id)
        for parts in task.parts()
    ]

    def job() -> int:
        for message in ready:
            message.to_bytes()
        return len(ready)

    return job


def _making(task: Task) -> Job:
    ingredients = task.parts()

    def job() -> int:
        for content, subject, headers, id in ingredients:
            Message(content, subject=subject, headers=headers, id=id).to_bytes()
        return len(ingredients)

    return job


def _handing_bytes_over(task: Task) -> Job:
    return hand_over(MessageProcessor().receive_bytes, task.pieces())


def _handing_over_in_batches(task: Task) -> Job:
    return hand_over(MessageProcessor().receive_messages, task.pieces())


PREPARATIONS: Final[dict[Work, Preparation]] = {
    Work.DECODE: _decoding,
    Work.ENCODE: _encoding,
    Work.MAKE: _making,
    Work.RECEIVE_BYTES: _handing_bytes_over,
    Work.RECEIVE_MESSAGES: _handing_over_in_batches,
}
