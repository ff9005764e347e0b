"""Content as a named type: msgspec checks it, or pydantic, and nothing of the type is left out."""

from __future__ import annotations

import collections
import dataclasses
import sys
import typing
import weakref
from typing import Annotated, Any, Generic, NamedTuple, NewType, TypedDict, TypeVar

import annotated_types
import msgspec
import pydantic
import pydantic.dataclasses
import pytest

from telex import ContentError, Message
from telex.wire import typed_content

T = TypeVar("T")


class Order(pydantic.BaseModel):
    """A model of pydantic, whose field has another name in JSON."""

    number: int = pydantic.Field(alias="orderNumber")
    price: pydantic.PositiveFloat = 1.0


@pydantic.dataclasses.dataclass
class Step:
    """A dataclass of pydantic."""

    length: pydantic.PositiveFloat


@dataclasses.dataclass
class Basket:
    """A plain dataclass that holds models."""

    orders: list[Order]


@dataclasses.dataclass
class Node:
    """A dataclass that holds itself."""

    value: Annotated[int, msgspec.Meta(gt=0)]
    child: Node | None = None


@dataclasses.dataclass
class Box(Generic[T]):
    """A generic dataclass."""

    inside: T


class Opaque:
    """A class that no JSON says."""


@dataclasses.dataclass
class HoldsOpaque:
    """A dataclass that holds such a class."""

    inside: Opaque


class Named(NamedTuple):
    """A tuple with names."""

    inside: Opaque


class Typed(TypedDict):
    """A dictionary with known keys."""

    inside: Opaque


class Packed(msgspec.Struct):
    """A struct that holds a model."""

    order: Order


class Marked(msgspec.Struct):
    """A struct with a field that may be anything."""

    anything: object
    mark: typing.Literal["a", 1]


Number = NewType("Number", int)


def decoded(content: object, type_: Any) -> Any:
    """Return content as it is read from JSON as a type."""
    return Message(content, content_type="application/json").decode(type_)


@pytest.mark.parametrize(
    ("type_", "content", "expected"),
    [
        (Order, {"orderNumber": 7, "price": 2.5}, Order(orderNumber=7, price=2.5)),
        (list[Order], [{"orderNumber": 7}], [Order(orderNumber=7)]),
        (Basket, {"orders": [{"orderNumber": 7}]}, Basket([Order(orderNumber=7)])),
        (Step, {"length": 5.0}, Step(5.0)),
        (Annotated[int, annotated_types.Gt(0)], 5, 5),
        (pydantic.SecretStr | None, None, None),
        (Node, {"value": 1, "child": {"value": 2}}, Node(1, Node(2))),
        (Box[int], {"inside": 5}, Box(5)),
        (Annotated[int, "a word for the reader"], 5, 5),
        (Number, 5, 5),
        (Marked, {"anything": [1], "mark": "a"}, Marked([1], "a")),
        (dict[str, int] | None, {"a": 1}, {"a": 1}),
    ],
)
def test_content_that_fits_is_read(type_: Any, content: object, expected: object) -> None:
    """Types of msgspec, of the standard library and of pydantic become what they say."""
    assert decoded(content, type_) == expected


@pytest.mark.parametrize(
    ("type_", "content", "why"),
    [
        (Order, {"orderNumber": 7, "price": -5.0}, r"fit Order: .* greater than 0 - at `\$.price`"),
        (list[Order], [{"orderNumber": None}], r"valid integer - at `\$\[0\].orderNumber`"),
        (Basket, {"orders": [{}]}, r"fit Basket: .*required - at `\$.orders\[0\].orderNumber`"),
        (Step, {"length": -5.0}, r"fit Step: .* greater than 0 - at `\$.length`"),
        (Annotated[int, annotated_types.Gt(0)], 0, "greater than 0$"),
        (Annotated[int, msgspec.Meta(gt=0)], 0, "int. >= 1"),
        (Node, {"value": 1, "child": {"value": 0}}, r"fit Node: .* - at `\$.child.value`"),
        (Box[int], {"inside": "x"}, r"- at `\$.inside`"),
    ],
)
def test_content_that_does_not_fit_is_named(type_: Any, content: object, why: str) -> None:
    """The error names the first part that does not fit, whoever checks it, and not its value."""
    with pytest.raises(ContentError, match=why) as caught:
        decoded(content, type_)
    assert "-5" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("text", ["NaN", "[1", "1e400", '"\\ud800"'])
def test_pydantic_reads_no_other_json_than_msgspec(text: str) -> None:
    """Of two parsers, the stricter decides."""
    reader = typed_content.reader_of(pydantic.FiniteFloat | Order)
    with pytest.raises(ContentError):
        reader.from_json(text.encode())


def test_text_is_checked_by_pydantic_as_text() -> None:
    """Content that is no JSON is checked as the Python object that it is."""
    assert (
        typed_content.reader_of(Annotated[str, annotated_types.MaxLen(2)]).from_plain("ab") == "ab"
    )
    with pytest.raises(ContentError, match="at most 2 characters"):
        typed_content.reader_of(Annotated[str, annotated_types.MaxLen(2)]).from_plain("abc")


@pytest.mark.parametrize(
    "type_",
    [
        Opaque,
        list[Opaque],
        HoldsOpaque,
        Named,
        Typed,
        Box[Opaque],
        collections.deque[int],
        typing.Callable[[], int],
        Node | Box[int],
        Packed,
        pydantic.SecretStr | Opaque,
    ],
)
def test_type_that_cannot_be_checked_in_full_is_refused(type_: Any) -> None:
    """Content is never refused, or let through, because a part of the type means nothing."""
    with pytest.raises(TypeError, match="content cannot be checked as"):
        decoded({}, type_)


def test_constraints_without_pydantic_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only pydantic checks is not passed over where pydantic is not installed."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(TypeError, match="its constraints need pydantic"):
        decoded(5, Annotated[int, annotated_types.Gt(3)])


def test_type_is_found_without_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing looks for pydantic where it was never imported."""
    monkeypatch.delitem(sys.modules, "pydantic")
    assert decoded([1, None], list[float | None]) == [1.0, None]


def test_a_type_is_kept_while_others_are_looked_at() -> None:
    """Another one in the same place of memory would be taken for it, and its constraints missed."""
    parts = typed_content._Parts()
    made: Any = list[int]
    parts.add(made)
    kept = weakref.ref(made)
    del made
    assert kept() is not None


def test_types_that_cannot_be_hashed_are_checked_too() -> None:
    """Anything may stand in Annotated, and means nothing there unless somebody reads it."""
    assert decoded(5, Annotated[int, {"unit": "s"}]) == 5
    with pytest.raises(ContentError, match="Expected `int`"):
        decoded("five", Annotated[int, {"unit": "s"}])


def test_what_was_found_is_kept_within_bounds() -> None:
    """Types that a program makes as it goes do not fill the memory."""
    for number in range(600):
        assert typed_content.reader_of(typing.Literal["a", number]).from_plain("a") == "a"
    assert len(typed_content._kept) <= 256


def test_models_are_written_as_they_are_read() -> None:
    """A model travels as JSON, with the names that its own validation reads."""
    order = Order(orderNumber=7, price=2.5)
    assert Message(order).body == b'{"orderNumber":7,"price":2.5}'
    assert Message({"orders": [order]}).body == b'{"orders":[{"orderNumber":7,"price":2.5}]}'
    assert Message(order).decode(Order) == order


class Free(pydantic.BaseModel):
    """A model that takes what JSON cannot say."""

    value: float


def test_model_that_json_cannot_say_is_named() -> None:
    """An infinity inside a model is refused as it is elsewhere, and so is what is no model."""
    with pytest.raises(ContentError, match=r"type Free .*infinity at \$.value"):
        _ = Message(Free(value=float("inf"))).body
    with pytest.raises(ContentError, match=r"Opaque at \$\[1\]"):
        _ = Message([Free(value=1.0), Opaque()]).body
