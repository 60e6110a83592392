"""Spans of time as people write them: ``90s``, ``30m``, ``12h``, ``7d``."""

from __future__ import annotations

import re
from typing import Final

import click

_SPAN: Final = re.compile(r"([0-9]{1,9})([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class SpanType(click.ParamType[int]):
    """A span, converted to seconds."""

    name = "span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Give the seconds."""
        if isinstance(value, int):
            return value
        match = _SPAN.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no span such as 90s, 30m, 12h or 7d", param, ctx)
        return int(match[1]) * _UNIT_S[match[2]]


SPAN: Final = SpanType()
