"""Turns docstrings into Markdown for the site; an extension of griffe, which reads the sources.

Docstrings are prose with examples. In Markdown an example with ``>>>`` would be three quotations in
each other, and a table of ``====`` a heading: both are fenced here, and so is indented code, which
is Python. Nothing else is changed.
"""

from __future__ import annotations

import re
from itertools import groupby
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK_LINE: Final = "\n\n"
_PARAGRAPH: Final = re.compile(r"\n{2,}")


class FencedExamples(griffe.Extension):
    """Fences the examples and tables of every docstring."""

    def on_object(self, *, obj: griffe.Object, **keywords: Any) -> None:
        """Change the docstring of an object that has one."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """Return a docstring with fences around its examples and tables."""
    return _BLANK_LINE.join(_fenced_paragraphs(docstring))


def _fenced_paragraphs(docstring: str) -> Iterator[str]:
    for is_code, paragraphs in groupby(_PARAGRAPH.split(docstring), _is_indented):
        if is_code:
            yield f"```python\n{dedent(_BLANK_LINE.join(paragraphs))}\n```"
        else:
            yield from map(_fenced, paragraphs)


def _is_indented(paragraph: str) -> bool:
    return all(line.startswith("    ") for line in paragraph.splitlines())


def _fenced(paragraph: str) -> str:
    if paragraph.startswith(">>> "):
        return f"```pycon\n{paragraph}\n```"
    if paragraph.startswith("===="):
        return f"```text\n{paragraph}\n```"
    return paragraph
