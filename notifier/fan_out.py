"""From announcements to deliveries: who is told of each event, decided once and written once.

Announcements are read from the oldest on and claimed by nobody. Whoever removes one makes its
deliveries in the same script, under ids that follow from the event: a crash at any point leaves the
announcement, and nothing is made twice. Being worked off in their order, they give ordered
endpoints their order too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.deliveries.delivery import Delivery
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.errors import GwError, MalformedMessage, Unavailable
from pipeline.events.event import Event
from pipeline.events.job_events import event_of
from pipeline.events.matching import deliveries_of
from pipeline.events.store import EventStore
from pipeline.following import BLOCK_MS, PAUSE_S
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import sleep_or_stop
from pipeline.protocol import EventAnnounced
from pipeline.streams import Entry

log = logging.getLogger(__name__)

_ROUND_TRIP_MAX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class _Announced:
    entry: Entry
    message: EventAnnounced


class FanOut:
    """Makes deliveries of announced events."""

    def __init__(
        self,
        *,
        events: EventStore,
        jobs: JobStore,
        endpoints: EndpointStore,
        receivers: ReceiverStore,
    ) -> None:
        self._events = events
        self._jobs = jobs
        self._endpoints = endpoints
        self._receivers = receivers

    async def run(self, stop: asyncio.Event) -> None:
        """Fan out whatever is announced until *stop* is set; an absent Redis is waited out."""
        while not stop.is_set():
            try:
                entries = await self._events.announcements(count=_ROUND_TRIP_MAX, block_ms=BLOCK_MS)
                if entries:
                    await self._fan_out(entries)
            except Unavailable as exc:
                log.warning("announcements.unread", extra={"reason": str(exc)})
                await sleep_or_stop(stop, PAUSE_S)

    async def _fan_out(self, entries: Sequence[Entry]) -> None:
        announced = [each for entry in entries if (each := await self._parsed(entry)) is not None]
        events = await self._event_of_each(announced)
        endpoints: dict[str, list[Endpoint]] = {}
        for each, event in zip(announced, events, strict=True):
            if event is None:
                await self._events.park(each.entry, "no record of what was announced")
                continue
            tenant = each.message.tenant
            if tenant not in endpoints:
                endpoints[tenant] = await self._open_endpoints(tenant)
            deliveries = await self._deliveries(each, event, endpoints[tenant])
            if await self._events.fan_out(each.entry, each.message, deliveries):
                log.debug(
                    "event.fanned_out",
                    extra={"event_id": event.event_id, "deliveries": len(deliveries)},
                )

    async def _parsed(self, entry: Entry) -> _Announced | None:
        try:
            return _Announced(entry=entry, message=EventAnnounced.from_fields(entry.fields))
        except MalformedMessage as exc:
            await self._events.park(entry, str(exc))
            return None

    async def _event_of_each(self, announced: Sequence[_Announced]) -> list[Event | None]:
        jobs = await self._jobs.get_many([each.message.job_id for each in announced])
        others = iter(
            await self._events.get_many(
                [each.message.event_id for each in announced if not each.message.job_id]
            )
        )
        events: list[Event | None] = []
        for each, job in zip(announced, jobs, strict=True):
            if not each.message.job_id:
                events.append(next(others))
                continue
            try:
                events.append(event_of(job) if job is not None else None)
            except (GwError, ValueError) as exc:
                log.error(
                    "record.unreadable",
                    extra={"job_id": each.message.job_id, "reason": str(exc)},
                )
                events.append(None)
        return events

    async def _open_endpoints(self, tenant: str) -> list[Endpoint]:
        """List the endpoints of *tenant* that subscribe and are not disabled."""
        endpoints = await self._endpoints.subscribed(tenant)
        healths = await self._receivers.get_many([each.endpoint_id for each in endpoints])
        return [
            endpoint
            for endpoint, health in zip(endpoints, healths, strict=True)
            if endpoint.enabled and not health.disabled_reason
        ]

    async def _deliveries(
        self, announced: _Announced, event: Event, endpoints: Sequence[Endpoint]
    ) -> list[Delivery]:
        named_ids = [each.endpoint_id for each in event.subscribers if each.endpoint_id]
        named = [each for each in await self._endpoints.get_many(named_ids) if each is not None]
        # An example is for the endpoint that it names alone.
        told = () if event.once else endpoints
        return deliveries_of(event, told, named, job_id=announced.message.job_id)
