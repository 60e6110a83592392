"""A query string of a reading route, checked: which parameters there are, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from pipeline.errors import InvalidRequest
from webapp.refusals import InvalidField

_FIELDS_MAX = 32
_TEXT_MAX_CHARACTERS = 200

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The parameters of one request, each given once."""

    values: Mapping[str, str]

    @classmethod
    def parse(cls, query: bytes, *, known: Sequence[str]) -> Query:
        """Parse a query string; raises InvalidField for a parameter that is unknown or repeated."""
        try:
            pairs = parse_qsl(
                query.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(query),
                errors="strict",
                max_num_fields=_FIELDS_MAX,
            )
        except ValueError as exc:
            raise InvalidRequest("The query string cannot be parsed.") from exc
        values: dict[str, str] = {}
        for name, text in pairs:
            if name not in known:
                raise InvalidField(
                    f"There is no parameter {name!r}.", field=name, allowed=tuple(known)
                )
            if name in values:
                raise InvalidField("The parameter is given twice.", field=name)
            values[name] = text
        return cls(values=values)

    def text(self, name: str) -> str:
        """Give a text, "" without one."""
        text = self.values.get(name, "")
        if len(text) > _TEXT_MAX_CHARACTERS:
            raise InvalidField(f"It is longer than {_TEXT_MAX_CHARACTERS} characters.", field=name)
        return text

    def number(self, name: str, *, default: int, low: int, high: int) -> int:
        """Give a whole number within bounds."""
        text = self.values.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and low <= int(text[:10]) <= high):
            raise InvalidField(f"It must be a whole number from {low} to {high}.", field=name)
        return int(text)

    def words(self, name: str, kind: type[Word]) -> frozenset[Word]:
        """Give words that are separated by commas; none stands for no choice."""
        text = self.values.get(name, "")
        try:
            return frozenset(kind(word) for word in text.split(",") if word)
        except ValueError as exc:
            raise InvalidField(
                "It must be one or more words, separated by commas.",
                field=name,
                allowed=tuple(each.value for each in kind),
            ) from exc

    def unix_ms(self, name: str) -> int:
        """Give a moment (RFC 3339, with its offset) as Unix ms, 0 without one."""
        text = self.values.get(name)
        if text is None:
            return 0
        try:
            # A plus sign that nobody escaped is a space by now.
            moment = datetime.fromisoformat(text.replace(" ", "+"))
            if moment.tzinfo is None:
                raise ValueError(text)
            unix_ms = round(moment.timestamp() * 1000)
        except (ValueError, OverflowError) as exc:
            raise InvalidField(
                "It must be a moment with its offset, such as 2030-01-31T12:00:00Z.", field=name
            ) from exc
        if not 0 < unix_ms < 1 << 48:
            raise InvalidField("The moment is out of range.", field=name)
        return unix_ms
