"""Following one stream while a service runs: the loop that postprocess and notifier share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from time import monotonic

from pipeline.errors import Unavailable
from pipeline.lifecycle import sleep_or_stop
from pipeline.streams import Entry, StreamReader

log = logging.getLogger(__name__)

#: How long one read waits for work, and so how long a stop may go unnoticed.
BLOCK_MS = 500

#: Between two looks at a service that has no room, and the first between two at an absent Redis.
PAUSE_S = 0.2

#: An absent Redis is looked for at growing intervals up to this.
PAUSE_MAX_S = 2.0


async def follow(
    reader: StreamReader, stream: str, stop: asyncio.Event, *, room: Callable[[], int]
) -> AsyncIterator[list[Entry]]:
    """Yield claimed entries until *stop* is set: what an earlier life had claimed, then new ones.

    At most *room()* new entries come at once, but all of an earlier life's; with no room nothing is
    claimed. Every third of a lease the overdue entries of dead consumers are taken over. An absent
    Redis is waited out; afterwards entries that were yielded and are not settled come once more.
    """
    take_over_at = 0.0
    recovered = False
    pause_s = PAUSE_S
    while not stop.is_set():
        count = room()
        if count <= 0:
            await sleep_or_stop(stop, PAUSE_S)
            continue
        try:
            if not recovered:
                await reader.ensure_groups([stream])
                entries = await reader.own(stream)
                recovered = True
            elif monotonic() >= take_over_at:
                entries = await reader.take_over(stream, count=count)
                # As many as asked for: there may be more.
                pause_ms = 0.0 if len(entries) >= count else reader.lease_ms / 3
                take_over_at = monotonic() + pause_ms / 1000
            else:
                entries = await reader.claim([stream], count=count, block_ms=BLOCK_MS)
        except Unavailable as exc:
            log.warning("stream.unavailable", extra={"stream": stream, "reason": str(exc)})
            recovered = False
            await sleep_or_stop(stop, pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
        else:
            pause_s = PAUSE_S
            if entries:
                yield entries
