"""Waking readers of the event logs: one blocking read for the whole process, however many wait.

A reader that is woken reads its log itself, from where it is: waking is a hint, and one too many
costs a read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pipeline.errors import Unavailable
from pipeline.events.log import EventLog

log = logging.getLogger(__name__)

#: A reader of a tenant that nobody read yet is woken by events at once only after this.
_BLOCK_MS = 250

#: Events that come within this wake their readers once.
_GATHER_S = 0.05

_PAUSE_S = 1.0


class Listener:
    """One reader that waits."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Tell that there is something new."""
        self._news.set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait for something new since the last wait, at most *timeout_s*."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()


@dataclass(slots=True)
class _Tail:
    """The end of one tenant's log, as far as it was seen, and who waits there."""

    place: str
    listeners: set[Listener] = field(default_factory=set)


class Feed:
    """Tells listeners when their tenant's log has grown."""

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._tails: dict[str, _Tail] = {}
        self._wanted = asyncio.Event()

    @property
    def is_listened_to(self) -> bool:
        """Whether anybody waits."""
        return bool(self._tails)

    @asynccontextmanager
    async def listening(self, tenant: str) -> AsyncIterator[Listener]:
        """Listen to a tenant's log; whoever reads it after this began can miss nothing."""
        if tenant not in self._tails:
            place = await self._log.end(tenant)
            self._tails.setdefault(tenant, _Tail(place=place))
        listener = Listener()
        self._tails[tenant].listeners.add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            tail = self._tails[tenant]
            tail.listeners.discard(listener)
            if not tail.listeners:
                del self._tails[tenant]
            if not self._tails:
                self._wanted.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch the logs that somebody listens to until *stop* is set."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(), name="watch-events")
            await stop.wait()
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            await self._wanted.wait()
            places = {tenant: tail.place for tenant, tail in self._tails.items()}
            try:
                grown = await self._log.grown(places, block_ms=_BLOCK_MS)
                ends = {tenant: await self._log.end(tenant) for tenant in grown}
            except Unavailable as exc:
                log.warning("feed.paused", extra={"reason": str(exc)})
                await asyncio.sleep(_PAUSE_S)
                continue
            for tenant, place in ends.items():
                if tenant in self._tails:
                    self._tails[tenant].place = place
                    for listener in self._tails[tenant].listeners:
                        listener.wake()
            if grown:
                await asyncio.sleep(_GATHER_S)
