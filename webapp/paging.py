"""Pages of a list: what all lists have in common, whatever they list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 200

#: So many records are looked at for one page at most: a rare match must not hold the server up. A
#: page may therefore be short; the next one goes on where it ended.
LOOKED_AT_MAX: Final = 1000
LOOKED_AT_ONCE: Final = 100


async def read_matching(
    places_before: Callable[[str], Awaitable[Sequence[str]]],
    records_at: Callable[[Sequence[str]], Awaitable[Sequence[Item | None]]],
    matches: Callable[[Item], bool],
    *,
    before: str,
    limit: int,
) -> tuple[list[Item], str]:
    """Give *limit* matching records at most, and the place before which the next page begins.

    That place is "" where there is nothing more. *places_before* gives up to LOOKED_AT_ONCE places
    before another, newest first, of which "" is before none; *records_at* gives what lies there.
    """
    found: list[Item] = []
    looked_at = 0
    while looked_at < LOOKED_AT_MAX:
        places = await places_before(before)
        records = await records_at(places) if places else []
        for position, record in enumerate(records, start=1):
            if record is not None and matches(record):
                found.append(record)
            if len(found) == limit:
                is_last = position == len(places) < LOOKED_AT_ONCE
                return found, "" if is_last else places[position - 1]
        if len(places) < LOOKED_AT_ONCE:
            return found, ""
        looked_at += len(places)
        before = places[-1]
    return found, before
