"""Tables for people, and what stands in their cells."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence


def render_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set *rows* under *columns*, each column as wide as its widest cell."""
    lines = [[name.upper() for name in columns], *([*map(_visible, row)] for row in rows)]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def day_of(unix_ms: int) -> str:
    """Give the local date and minute of a moment."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_ms / 1000))


def _visible(text: str) -> str:
    """Replace control characters: a cell may hold what a stranger wrote."""
    return "".join(each if each.isprintable() else "�" for each in text)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
