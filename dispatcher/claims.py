"""What this dispatcher has claimed and not yet settled, and the renewal of its leases."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from dispatcher.scheduling.backlog import HeldJob
from pipeline.errors import Unavailable
from pipeline.lifecycle import sleep_or_stop
from pipeline.streams import Entry, StreamReader

log = logging.getLogger(__name__)

#: The longest wait for a release; a stop that came just before is then noticed.
_PATIENCE_S = 0.5


class Claims:
    """The claimed entries, from the claim to the move that settles them."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._by_stream: Counter[str] = Counter()
        # A new one for every release, so that no waiter can miss one that it waits for.
        self._released = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def holds(self, entry: Entry) -> bool:
        """Whether the entry is claimed here: a restarted read lists it again."""
        return _name(entry) in self._entries

    def count(self, stream: str) -> int:
        """Give how many entries of *stream* are held."""
        return self._by_stream[stream]

    def add(self, held: HeldJob) -> None:
        """Hold this one from now on."""
        self._entries[_name(held.entry)] = held.entry
        self._by_stream[held.entry.stream] += 1

    def release(self, held: HeldJob) -> None:
        """Hold this one no longer."""
        if self._entries.pop(_name(held.entry), None) is not None:
            self._by_stream[held.entry.stream] -= 1
            released, self._released = self._released, asyncio.Event()
            released.set()

    async def released(self) -> None:
        """Wait until something is settled; at most a moment."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._released.wait()
        except TimeoutError:
            pass

    async def keep_renewing(self, reader: StreamReader, settled: asyncio.Event) -> None:
        """Renew the leases of all that is held, at a third of a lease, until *settled*."""
        while not await sleep_or_stop(settled, reader.lease_ms / 3000):
            try:
                await reader.renew(list(self._entries.values()))
            except Unavailable as exc:
                log.warning("leases.unrenewed", extra={"reason": str(exc)})


def _name(entry: Entry) -> str:
    return f"{entry.stream} {entry.entry_id}"
