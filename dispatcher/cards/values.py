"""What one value of a model card may be: parsers that name what is allowed when they refuse."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dispatcher.cards.toml_lines import Path


class Refused(Exception):
    """The value is not allowed; *allowed* says what is, *at* where inside the value it stands."""

    def __init__(self, allowed: str, *, value: object, at: Path = ()) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.value = value
        self.at = at


#: Turns a TOML value into the card's value, or raises Refused.
Parser = Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table: how its value is read, and whether it must be there."""

    parse: Parser
    required: bool = False


def whole(low: int, high: int) -> Parser:
    """Take a whole number from *low* to *high*."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Refused(f"a whole number from {low} to {high}", value=value)
        return value

    return parse


def number(low: float, high: float, *, above: bool = False) -> Parser:
    """Take a finite number from *low* to *high*; with *above*, *low* itself is refused."""

    def parse(value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if (
            not is_number
            or not math.isfinite(value)  # type: ignore[arg-type] # a number by the line above
            or not low <= value <= high  # type: ignore[operator] # likewise
            or (above and value == low)
        ):
            bounds = f"above {low:g}, at most {high:g}" if above else f"from {low:g} to {high:g}"
            raise Refused(f"a number {bounds}", value=value)
        return float(value)  # type: ignore[arg-type] # likewise

    return parse


def choice(values: Iterable[Any]) -> Parser:
    """Take one of *values*: enum members by their value, or plain strings."""
    by_word = {v.value if isinstance(v, Enum) else v: v for v in values}

    def parse(value: object) -> Any:
        if not isinstance(value, str) or value not in by_word:
            raise Refused(", ".join(by_word), value=value)
        return by_word[value]

    return parse


def flag(value: object) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise Refused("true or false", value=value)
    return value


def text(low: int, high: int) -> Parser:
    """Take a string of *low* to *high* characters without control characters or outer spaces."""

    def parse(value: object) -> str:
        if (
            not isinstance(value, str)
            or not low <= len(value) <= high
            or value != value.strip()
            or any(ord(c) < 32 and c != "\n" for c in value)
        ):
            allowed = f"a text of {low} to {high} characters, with no space around it"
            raise Refused(allowed, value=value)
        return value

    return parse


def pattern(expression: str) -> Parser:
    """Take a string that matches *expression* whole."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(expression, value):
            raise Refused(f"a text matching {expression}", value=value)
        return value

    return parse


def many(item: Parser, low: int, high: int) -> Parser:
    """Take a list of *low* to *high* values, each as *item* takes it; gives a tuple."""
    count = f"exactly {low}" if low == high else f"{low} to {high}"

    def parse(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise Refused(f"a list of {count} values", value=value)
        return tuple(_parse_part(item, entry, at) for at, entry in enumerate(value))

    return parse


def by_name(item: Parser) -> Parser:
    """Take a table from any name to a value as *item* takes it; gives a dict."""

    def parse(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refused("a table of name = value", value=value)
        return {name: _parse_part(item, entry, name) for name, entry in value.items()}

    return parse


def _parse_part(item: Parser, entry: object, at: str | int) -> Any:
    try:
        return item(entry)
    except Refused as exc:
        raise Refused(exc.allowed, value=exc.value, at=(at, *exc.at)) from exc
