"""Content as a type that a user names: msgspec checks it, or pydantic where the type is pydantic's.

Whether the type can be checked in full is found out once for each type. A part of the type that
nobody would check is an error, and is never left out.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from typing import Any, Final

from telex.errors import ContentError
from telex.wire import lazy_msgspec as msgspec

_BYTES_ARE_BYTES: Final = (bytes,)
"""Has msgspec take no text for bytes in base64, which is how JSON says them."""

_JSON_VALUES: Final = (dict, list, str, int, float, bool, type(None))
_CONSTRAINTS: Final = ("annotated_types", "pydantic", "pydantic_core", "pydantic_extra_types")
"""The packages whose constraints, inside ``Annotated``, msgspec passes over."""

_FORMS: Final = (typing.Annotated, typing.Union, types.UnionType)
"""What puts types together, and is itself no type of content."""

_MOST_KEPT: Final = 256
_kept: Final[dict[Any, MsgspecReader | PydanticReader]] = {}


class MsgspecReader:
    """Reads content as a type that msgspec checks; raises ContentError naming what does not fit."""

    def __init__(self, type_: Any) -> None:
        self._name = name_of(type_)
        self._type = type_
        self._decode = msgspec.json.Decoder(type_).decode

    def from_json(self, text: str | bytes) -> Any:
        """Read JSON."""
        try:
            return self._decode(text)
        except msgspec.ValidationError as problem:
            raise because(f"content does not fit {self._name}: {problem}", problem)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
            raise because(f"content is not valid JSON: {problem}", problem)

    def from_plain(self, content: object) -> Any:
        """Check text or bytes that did not travel as JSON."""
        try:
            return msgspec.convert(content, self._type, builtin_types=_BYTES_ARE_BYTES)
        except msgspec.ValidationError as problem:
            raise because(f"content does not fit {self._name}: {problem}", problem)


class PydanticReader:
    """Reads content as a type that pydantic checks; raises what ``MsgspecReader`` does."""

    def __init__(self, type_: Any) -> None:
        from pydantic import TypeAdapter, ValidationError

        self._name = name_of(type_)
        self._adapter = TypeAdapter(type_)
        self._error = ValidationError

    def from_json(self, text: str | bytes) -> Any:
        """Read JSON."""
        reader_of(Any).from_json(text)  # pydantic takes NaN, and numbers too large, for JSON
        try:
            return self._adapter.validate_json(text)
        except self._error as problem:
            raise self._unfit(problem)

    def from_plain(self, content: object) -> Any:
        """Check text or bytes that did not travel as JSON."""
        try:
            return self._adapter.validate_python(content)
        except self._error as problem:
            raise self._unfit(problem)

    def _unfit(self, problem: Any) -> ContentError:
        """Name the first part that does not fit, as msgspec does, and never its value."""
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]]
        where = f" - at `${''.join(steps)}`" if steps else ""
        return because(f"content does not fit {self._name}: {first['msg']}{where}", problem)


def reader_of(type_: Any) -> MsgspecReader | PydanticReader:
    """Return what reads content as ``type_``.

    Raises TypeError for a type that can be checked by neither msgspec nor pydantic.
    """
    try:
        reader = _kept.get(type_)
    except TypeError:  # it cannot be hashed, as where a dict stands in Annotated
        return _new_reader(type_)
    if reader is None:
        reader = _new_reader(type_)
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[type_] = reader
    return reader


def plain_of(content: object) -> object:
    """Return content that holds pydantic models with dictionaries in their place.

    Raises TypeError when the content holds an object that is no pydantic model, and that JSON
    cannot say.
    """
    return msgspec.to_builtins(content, enc_hook=_plain_model)


def name_of(type_: Any) -> str:
    """Return the name of a type for a sentence."""
    return getattr(type_, "__qualname__", None) or str(type_)


def because(message: str, cause: BaseException) -> ContentError:
    """Make an error that keeps its cause: ``raise … from`` loses it when compiled with mypyc."""
    error = ContentError(message)
    error.__cause__ = cause
    return error


def _plain_model(value: Any) -> object:
    if hasattr(type(value), "__pydantic_validator__"):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"Encoding objects of type {name_of(type(value))} is unsupported")


def _new_reader(type_: Any) -> MsgspecReader | PydanticReader:
    parts = _Parts()
    parts.add(type_)
    if not parts.is_pydantic:
        if parts.unchecked is not None:
            raise _cannot_check(type_, f"nothing reads {parts.unchecked} from JSON")
        try:
            return MsgspecReader(type_)
        except TypeError as problem:
            raise _cannot_check(type_, str(problem))
    try:
        return PydanticReader(type_)
    except ImportError as problem:
        raise _cannot_check(type_, f"its constraints need pydantic, version 2 ({problem})")
    except RuntimeError as problem:  # what pydantic derives its errors from
        raise _cannot_check(type_, str(problem).partition(". ")[0])


def _cannot_check(type_: Any, why: str) -> TypeError:
    return TypeError(f"content cannot be checked as {name_of(type_)}: {why}")


class _Parts:
    """The types that a type is made of, as far as they decide what can check it."""

    def __init__(self) -> None:
        self.is_pydantic = False
        self.unchecked: str | None = None
        """The name of a class that msgspec would take no content for."""
        # By identity: not all types can be hashed. Kept, so that none is made where one was.
        self._seen: dict[int, object] = {}

    def add(self, type_: Any) -> None:
        """Look at a type and at everything inside it."""
        if id(type_) in self._seen:
            return
        self._seen[id(type_)] = type_
        origin = typing.get_origin(type_)
        if origin is typing.Literal:
            return
        if origin is typing.Annotated:
            self._add_constraints(type_.__metadata__)
        for part in typing.get_args(type_):
            self.add(part)
        for name in ("__supertype__", "__value__"):  # of NewType, and of a type alias
            if hasattr(type_, name):
                self.add(getattr(type_, name))
        class_ = type_ if origin is None else origin
        if isinstance(class_, type) and class_ not in _FORMS:
            self._add_class(class_)

    def _add_constraints(self, constraints: tuple[object, ...]) -> None:
        for constraint in constraints:
            package = type(constraint).__module__.partition(".")[0]
            if package in _CONSTRAINTS or hasattr(constraint, "__get_pydantic_core_schema__"):
                self.is_pydantic = True

    def _add_class(self, class_: type) -> None:
        if _is_of_pydantic(class_):
            self.is_pydantic = True
        elif _has_fields(class_):
            for part in typing.get_type_hints(class_, include_extras=True).values():
                self.add(part)
        elif not _is_read_by_msgspec(class_):
            self.unchecked = name_of(class_)


def _is_of_pydantic(class_: type) -> bool:
    if "pydantic" not in sys.modules:
        return False
    return hasattr(class_, "__pydantic_validator__") or hasattr(
        class_, "__get_pydantic_core_schema__"
    )


def _has_fields(class_: type) -> bool:
    return (
        dataclasses.is_dataclass(class_)
        or typing.is_typeddict(class_)
        or issubclass(class_, msgspec.Struct)
        or hasattr(class_, "__attrs_attrs__")
        or (issubclass(class_, tuple) and hasattr(class_, "_fields"))
    )


def _is_read_by_msgspec(class_: type) -> bool:
    from msgspec import inspect

    if not isinstance(inspect.type_info(class_), inspect.CustomType):
        return True
    return any(issubclass(value, class_) for value in _JSON_VALUES)  # such as ``object``
