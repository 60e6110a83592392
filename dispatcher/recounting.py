"""Counting the loads anew: what an upgrade, or a hand in the job store, left wrong is set right."""

from __future__ import annotations

import asyncio
import logging

from pipeline.clock import Clock
from pipeline.errors import Unavailable
from pipeline.jobs.job import Job
from pipeline.jobs.loads import LOADING_STATES, LoadStore, loads_of
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import sleep_or_stop
from pipeline.pictures.blobs import FileBlobs

log = logging.getLogger(__name__)

INTERVAL_S = 600.0

_ROUND_TRIP_MAX = 128


class Recounter:
    """Counts the jobs before the device by their pictures, of which each of them has one.

    Safe to run in several dispatchers at once: a counter that moves meanwhile is left for the next
    time.
    """

    def __init__(
        self, *, store: JobStore, loads: LoadStore, blobs: FileBlobs, clock: Clock
    ) -> None:
        self._store = store
        self._loads = loads
        self._blobs = blobs
        self._clock = clock

    async def keep_recounting(self, stop: asyncio.Event) -> None:
        """Count at the start, as after an upgrade, and at intervals until *stop* is set."""
        while True:
            try:
                await self.recount()
            except (Unavailable, OSError) as exc:
                log.warning("loads.uncounted", extra={"reason": str(exc)})
            if await sleep_or_stop(stop, INTERVAL_S):
                return

    async def recount(self) -> list[str]:
        """Count, and set what is wrong; give the names of the counters that were set."""
        seen = await self._loads.read()
        # A picture is there before its job, and goes after it.
        future_unix_ms = self._clock.unix_ms() + 3_600_000
        names = await asyncio.to_thread(lambda: list(self._blobs.older_than(future_unix_ms)))
        jobs: list[Job] = []
        for first in range(0, len(names), _ROUND_TRIP_MAX):
            records = await self._store.get_many(names[first : first + _ROUND_TRIP_MAX])
            jobs += [job for job in records if job is not None and job.state in LOADING_STATES]
        corrected = await self._loads.correct(seen, loads_of(jobs))
        if corrected:
            log.info("loads.corrected", extra={"count": len(corrected)})
        return corrected
