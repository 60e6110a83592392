"""What this dispatcher has claimed and not yet settled, and the renewal of its leases."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from dispatcher.scheduling.backlog import HeldJob
from pipeline.errors import Unavailable
from pipeline.jobs.job import Priority
from pipeline.lifecycle import sleep_or_stop
from pipeline.streams import Entry, StreamReader

log = logging.getLogger(__name__)

#: The longest wait for a release; a stop that came just before is then noticed.
_PATIENCE_S = 0.5


class Claims:
    """The claimed entries, from the claim to the move that settles them."""

    def __init__(self) -> None:
        self._held: dict[str, HeldJob] = {}
        self._by_line: dict[tuple[str, Priority], set[str]] = defaultdict(set)
        # A new one for every release, so that no waiter can miss one that it waits for.
        self._released = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, entry: Entry) -> bool:
        """Whether the entry is claimed here: a restarted read lists it again."""
        return _name(entry) in self._held

    def count(self, model: str, priority: Priority) -> int:
        """Give how many jobs of *model* at *priority* are held."""
        return len(self._by_line[model, priority])

    def turns(self, model: str, priority: Priority) -> list[float]:
        """Give the turns of the jobs of *model* at *priority* that are held."""
        return [self._held[name].turn for name in self._by_line[model, priority]]

    def add(self, held: HeldJob) -> None:
        """Hold this one from now on."""
        name = _name(held.entry)
        self._held[name] = held
        self._by_line[held.job.model, held.job.priority].add(name)

    def release(self, held: HeldJob) -> None:
        """Hold this one no longer."""
        name = _name(held.entry)
        if self._held.pop(name, None) is not None:
            self._by_line[held.job.model, held.job.priority].discard(name)
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
                await reader.renew([held.entry for held in self._held.values()])
            except Unavailable as exc:
                log.warning("leases.unrenewed", extra={"reason": str(exc)})


def _name(entry: Entry) -> str:
    return f"{entry.stream} {entry.entry_id}"
