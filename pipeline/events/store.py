"""The event store: announcing events to the notifier, and fanning them out to endpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.deliveries.delivery import Delivery, place_of
from pipeline.events.event import Event
from pipeline.protocol import JOB_RETENTION_MS, DeliveryDue, EventAnnounced, Keyspace
from pipeline.reading import read_records
from pipeline.script_arguments import flat, to_json
from pipeline.streams import Entry, entries_of

log = logging.getLogger(__name__)


class EventStore:
    """Events in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(
        self, redis: Redis, keys: Keyspace, *, retention_ms: int = JOB_RETENTION_MS
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._retention_ms = retention_ms
        self._announce_event = load_script(redis, "announce_event")
        self._fan_out = load_script(redis, "fan_out")
        self._park_announcement = load_script(redis, "park_announcement")

    async def announce(self, event: Event) -> bool:
        """Announce *event* to its tenant's endpoints; False if that was done, or nobody listens.

        Safe to repeat with the same id: it is announced once.
        """
        message = EventAnnounced(event_id=event.event_id, tenant=event.tenant)
        with redis_errors():
            announced = await self._announce_event(
                keys=[
                    self._keys.event(event.event_id),
                    self._keys.announcements,
                    self._keys.subscribed(event.tenant),
                    self._keys.told_events(event.tenant),
                ],
                args=[
                    self._retention_ms,
                    "1" if event.subscribers else "",
                    to_json(flat(event.to_fields())),
                    to_json(flat(message.to_fields())),
                    "" if event.once else place_of(event.unix_ms, event.event_id),
                ],
            )
        return bool(announced)

    async def get_many(self, event_ids: Sequence[str]) -> list[Event | None]:
        """Give the records in one round trip; None where retention has ended."""
        return await read_records(
            self._redis, self._keys.event, Event.from_fields, event_ids, id_field="event_id"
        )

    async def announcements(self, *, count: int, block_ms: int) -> list[Entry]:
        """Give the oldest announcements that are not fanned out yet, waiting for the first.

        Nobody claims them: several notifiers may read the same, and :meth:`fan_out` has one winner.
        So they are fanned out in the order in which they were announced.
        """
        with redis_errors():
            answer = await self._redis.xread(
                {self._keys.announcements: "0"}, count=count, block=block_ms
            )
        return entries_of(answer)

    async def fan_out(
        self, entry: Entry, message: EventAnnounced, deliveries: Sequence[Delivery]
    ) -> bool:
        """Make *deliveries* and settle the announcement; False if somebody else has done it."""
        about = (
            self._keys.job(message.job_id) if message.job_id else self._keys.event(message.event_id)
        )
        told = self._keys.tenant_deliveries(message.tenant)
        names = [self._keys.announcements, self._keys.deliveries, about, told]
        documents = []
        for each in deliveries:
            record = self._keys.delivery(each.delivery_id)
            order = self._keys.order(each.endpoint_id, each.order) if each.order else record
            names += [record, order]
            documents.append(
                {
                    "id": each.delivery_id,
                    "place": each.place,
                    "ordered": bool(each.order),
                    "record": flat(each.to_fields()),
                    "message": flat(DeliveryDue(delivery_id=each.delivery_id).to_fields()),
                }
            )
        with redis_errors():
            made = await self._fan_out(
                keys=names,
                args=[entry.entry_id, self._retention_ms, to_json(documents)],
            )
        return int(made) >= 0

    async def park(self, entry: Entry, reason: str) -> None:
        """Put an announcement that cannot be read into the dead stream."""
        log.error(
            "entry.parked",
            extra={"stream": entry.stream, "entry": entry.entry_id, "reason": reason},
        )
        with redis_errors():
            await self._park_announcement(
                keys=[self._keys.announcements, self._keys.dead],
                args=[entry.entry_id, reason, *flat(entry.fields)],
            )
