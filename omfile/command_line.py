"""What the ATC command line that a model carries tells, where nothing else in it does."""

from __future__ import annotations

import re

from omfile.facts import Gears

#: Real ones have a few hundred characters; lists of free dimensions a few thousand.
MAX_TEXT_BYTES = 1 << 16
_MAX_DIGITS = 9
_MAX_GEARS = 4096


def option(command_line: str, name: str) -> str:
    """Give the value of ``--name=value`` or ``--name value``, without quotes; empty if absent."""
    found = re.search(
        rf"""--{re.escape(name)}(?:=|\s+)("[^"]*"|'[^']*'|[^\s"']\S*)""", command_line
    )
    return found[1].strip("\"'") if found else ""


def gears(command_line: str) -> Gears:
    """Read the gear options; a value that is not numbers gives none."""
    if batch := _numbers(option(command_line, "dynamic_batch_size")):
        return Gears(dynamic_batch=batch)
    if sizes := _lists(option(command_line, "dynamic_image_size")):
        return Gears(dynamic_hw=tuple((s[0], s[1]) for s in sizes if len(s) == 2))
    return Gears(dynamic_dims=_lists(option(command_line, "dynamic_dims")))


def _lists(value: str) -> tuple[tuple[int, ...], ...]:
    found = tuple(_numbers(part) for part in value.split(";", _MAX_GEARS)[:_MAX_GEARS])
    return found if all(found) else ()


def _numbers(value: str) -> tuple[int, ...]:
    parts = [part.strip() for part in value.split(",", _MAX_GEARS)[:_MAX_GEARS]]
    if not all(part.isascii() and part.isdigit() and len(part) <= _MAX_DIGITS for part in parts):
        return ()
    return tuple(int(part) for part in parts)
