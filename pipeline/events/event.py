"""Events: what happened, for whom, and the store that announces them to the notifier.

The end of a job is announced by the very script that ends it, and its event is made of the job's
record. Any other event (a batch's end, an endpoint that fails) has a record of its own: whoever
announces it gives it an id that is the same if it is announced again.
"""

from __future__ import annotations

import enum
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.deliveries.delivery import Delivery, place_of
from pipeline.errors import MalformedMessage
from pipeline.jobs.job import Job, Subscriber
from pipeline.protocol import JOB_RETENTION_MS, DeliveryDue, EventAnnounced, Keyspace
from pipeline.streams import Entry, entries_of

log = logging.getLogger(__name__)


@enum.verify(enum.UNIQUE)
class EventType(enum.StrEnum):
    """What an endpoint can subscribe to."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    JOB_EXPIRED = "job.expired"
    #: Every job of a batch has ended.
    BATCH_COMPLETED = "batch.completed"
    #: Another endpoint has not answered 2xx for a while.
    ENDPOINT_FAILING = "endpoint.failing"
    #: Another endpoint is called no more.
    ENDPOINT_DISABLED = "endpoint.disabled"
    #: Another endpoint answers again.
    ENDPOINT_RECOVERED = "endpoint.recovered"
    #: A receiver's clock and the box's differ by more than a minute.
    CLOCK_SKEWED = "clock.skewed"
    #: Somebody asked for an example; only the endpoint that it is for gets it.
    ENDPOINT_TEST = "endpoint.test"


#: What can be subscribed to: a type, a family of types, or everything.
SUBSCRIBABLE = (
    "*",
    *sorted({f"{each.partition('.')[0]}.*" for each in EventType}),
    *(each.value for each in EventType if each is not EventType.ENDPOINT_TEST),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. *data* is what is told of it; *subject* names what it is about.

    *job* is the record whose end this is, None for any other event; it is not stored again.
    *subscribers* are told whatever they subscribe to. *about_endpoint* is an endpoint that the
    event speaks of and that is not told itself. *model*, *reference* and *labels* (what was found)
    are there to choose by; *once* asks for a single attempt, past every limit and state.
    """

    event_id: str
    tenant: str
    type: str
    subject: str
    unix_ms: int
    data: Mapping[str, Any] = field(repr=False)
    subscribers: tuple[Subscriber, ...] = field(default=(), repr=False)
    about_endpoint: str = ""
    model: str = ""
    reference: str = ""
    labels: tuple[str, ...] = ()
    once: bool = False
    job: Job | None = field(default=None, repr=False)

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields of the record; the id is the key's, not a field."""
        return {
            "tenant": self.tenant,
            "type": self.type,
            "subject": self.subject,
            "unix_ms": str(self.unix_ms),
            "data": json.dumps(self.data, separators=(",", ":"), ensure_ascii=False),
            "subscribers": json.dumps(
                [[s.delivery_id, s.endpoint_id, s.url, s.secret] for s in self.subscribers],
                separators=(",", ":"),
            ),
            "about_endpoint": self.about_endpoint,
            "model": self.model,
            "reference": self.reference,
            "labels": json.dumps(self.labels, separators=(",", ":"), ensure_ascii=False),
            "once": "1" if self.once else "",
        }

    @classmethod
    def from_fields(cls, event_id: str, fields: Mapping[str, str]) -> Event:
        """Parse a record; unknown fields are ignored, anything else raises MalformedMessage."""
        try:
            return cls(
                event_id=event_id,
                tenant=fields["tenant"],
                type=fields["type"],
                subject=fields["subject"],
                unix_ms=int(fields["unix_ms"]),
                data=json.loads(fields["data"]),
                subscribers=tuple(
                    Subscriber(delivery_id=d, endpoint_id=e, url=u, secret=s)
                    for d, e, u, s in json.loads(fields["subscribers"])
                ),
                about_endpoint=fields["about_endpoint"],
                model=fields["model"],
                reference=fields["reference"],
                labels=tuple(json.loads(fields["labels"])),
                once=bool(fields["once"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"event record {event_id}: {exc!r}") from exc


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
                    _flat_json(event.to_fields()),
                    _flat_json(message.to_fields()),
                    "" if event.once else place_of(event.unix_ms, event.event_id),
                ],
            )
        return bool(announced)

    async def get_many(self, event_ids: Sequence[str]) -> list[Event | None]:
        """Give the records in one round trip; None where retention has ended."""
        if not event_ids:
            return []
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for event_id in event_ids:
                    pipe.hgetall(self._keys.event(event_id))
                records = await pipe.execute()
        return [
            _readable(event_id, fields) for event_id, fields in zip(event_ids, records, strict=True)
        ]

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
                    "record": _flat(each.to_fields()),
                    "message": _flat(DeliveryDue(delivery_id=each.delivery_id).to_fields()),
                }
            )
        with redis_errors():
            made = await self._fan_out(
                keys=names,
                args=[entry.entry_id, self._retention_ms, _to_json(documents)],
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
                args=[entry.entry_id, reason, *_flat(entry.fields)],
            )


def _readable(event_id: str, fields: Mapping[str, str]) -> Event | None:
    """Parse a record; one that nobody can read is as good as none, and must not stop the others."""
    if not fields:
        return None
    try:
        return Event.from_fields(event_id, fields)
    except MalformedMessage as exc:
        log.error("record.unreadable", extra={"event_id": event_id, "reason": str(exc)})
        return None


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [item for pair in fields.items() for item in pair]


def _flat_json(fields: Mapping[str, str]) -> str:
    return _to_json(_flat(fields))


def _to_json(document: Any) -> str:
    # Not as ASCII: Lua's decoder refuses the escape of a lone surrogate.
    return json.dumps(document, ensure_ascii=False)
