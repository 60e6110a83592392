"""Trimming what grows with the jobs: ids whose records are gone, events past their time."""

from __future__ import annotations

import asyncio
import logging

from pipeline.access.tenants import TenantStore
from pipeline.clock import Clock
from pipeline.errors import MalformedMessage, Unavailable
from pipeline.events.log import EventLog
from pipeline.jobs.index import JobIndex
from pipeline.lifecycle import sleep_or_stop
from webapp.settings import EventSettings

log = logging.getLogger(__name__)

INTERVAL_S = 60.0


class Trimmer:
    """One sweep over all tenants, safe to run in several webapps at once."""

    def __init__(
        self,
        *,
        index: JobIndex,
        event_log: EventLog,
        tenants: TenantStore,
        clock: Clock,
        settings: EventSettings,
        job_retention_s: int,
    ) -> None:
        self._index = index
        self._log = event_log
        self._tenants = tenants
        self._clock = clock
        self._settings = settings
        self._job_retention_s = job_retention_s

    async def run(self, stop: asyncio.Event) -> None:
        """Trim now and then until *stop* is set."""
        while not await sleep_or_stop(stop, INTERVAL_S):
            try:
                await self.trim()
            except (Unavailable, MalformedMessage) as exc:
                log.warning("events.untrimmed", extra={"reason": str(exc)})

    async def trim(self) -> tuple[int, int]:
        """Trim once; give how many ids and how many events went."""
        now_unix_ms = self._clock.unix_ms()
        own_s = {each.tenant: each.record_retention_s for each in await self._tenants.all()}
        ids = events = 0
        for tenant in await self._index.submitters():
            retention_s = own_s.get(tenant) or self._job_retention_s
            ids += await self._index.trim(
                tenant, accepted_before_unix_ms=now_unix_ms - retention_s * 1000
            )
            events += await self._log.trim(
                tenant,
                older_than_unix_ms=now_unix_ms - self._settings.events_retention_s * 1000,
                keep_max=self._settings.events_max,
            )
        if ids or events:
            log.debug("events.trimmed", extra={"ids": ids, "events": events})
        return ids, events
