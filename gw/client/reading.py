"""Documents of the API as dataclasses: read once, by the types that the fields declare.

What a document holds besides is passed over, so that an older client reads a newer server.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from gw.client.errors import UnexpectedAnswer

D = TypeVar("D")

#: The field of a dataclass that keeps what it was read from.
DOCUMENT = "document"


def read(kind: type[D], document: Any) -> D:
    """Read a document as *kind*; raises UnexpectedAnswer for what is missing or of another type."""
    return _read_object(kind, document, kind.__name__)


def _read_object(kind: type[D], document: Any, where: str) -> D:
    if not isinstance(document, Mapping):
        raise UnexpectedAnswer(f"{where} is no object")
    values: dict[str, Any] = {}
    declared: Any = kind
    for name, hint, is_required in _fields(declared):
        if name == DOCUMENT:
            values[name] = document
        elif name in document:
            values[name] = _read_value(hint, document[name], f"{where}.{name}")
        elif is_required:
            raise UnexpectedAnswer(f"{where} has no {name}")
    return kind(**values)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            each.name,
            hints[each.name],
            each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
        )
        for each in dataclasses.fields(kind)
    )


def _read_value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (each for each in arguments if each is not type(None))
        return _read_value(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise UnexpectedAnswer(f"{where} is no list")
        return tuple(_read_value(arguments[0], each, where) for each in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _read_object(hint, value, where)
    if hint is datetime:
        return _moment(value, where)
    expected = (int, float) if hint is float else _PLAIN.get(origin or hint)
    if expected is not None and (
        not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool)
    ):
        raise UnexpectedAnswer(f"{where} is {type(value).__name__}")
    return float(value) if hint is float else value


_PLAIN: Mapping[Any, Any] = {str: str, int: int, bool: bool, Mapping: Mapping}


def _moment(value: Any, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise UnexpectedAnswer(f"{where} is no moment") from exc
    if moment.tzinfo is None:
        raise UnexpectedAnswer(f"{where} has no offset")
    return moment
