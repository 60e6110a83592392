"""The delivery store: reading deliveries, recording attempts, releasing what is due."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.protocol import JOB_RETENTION_MS, NOTIFIER_GROUP, DeliveryDue, Keyspace
from pipeline.reading import read_records
from pipeline.streams import Entry

log = logging.getLogger(__name__)

#: How many retries may wait in their stream: some seconds of work.
_RETRIES_MAX = 2000

#: No attempt is planned so far ahead: the longest delay of a schedule is a week, and a fifth of it.
_AHEAD_MAX_MS = 9 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What came of one claimed delivery.

    *attempt* None is a postponement: nothing was tried. *due_unix_ms* is when to try again, for
    ``pending``; with *receiver* it waits in that receiver's backlog instead of the schedule, and
    the moment is when the backlog is looked at, if nothing else waits in it.
    """

    delivery_id: str
    job_id: str
    entry: Entry
    state: DeliveryState
    attempt: Attempt | None = None
    due_unix_ms: int | None = None
    event_id: str = ""
    endpoint_id: str = ""
    order: str = ""
    receiver: str = ""
    tenant: str = ""
    #: Its place among its tenant's exhausted deliveries, "" where it is not to be found there.
    place: str = ""

    @property
    def reason(self) -> str:
        """Give why it is exhausted, "" where it is not."""
        if self.state is not DeliveryState.EXHAUSTED or self.attempt is None:
            return ""
        return self.attempt.error or str(self.attempt.status)

    @classmethod
    def of(
        cls,
        delivery: Delivery,
        entry: Entry,
        state: DeliveryState,
        *,
        attempt: Attempt | None = None,
        due_unix_ms: int | None = None,
        receiver: str = "",
    ) -> Settlement:
        """Give what came of *delivery*, claimed by *entry*."""
        return cls(
            delivery_id=delivery.delivery_id,
            job_id=delivery.job_id,
            event_id=delivery.event_id,
            endpoint_id=delivery.endpoint_id,
            order=delivery.order,
            entry=entry,
            state=state,
            attempt=attempt,
            due_unix_ms=due_unix_ms,
            receiver=receiver,
            tenant=delivery.tenant,
            # An example is seen by whoever asked for it, and a record of before has no tenant.
            place="" if delivery.once or not delivery.tenant else delivery.place,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """How many deliveries were released, and when the next one is due (Unix ms, None for none)."""

    released: int
    next_due_unix_ms: int | None


class DeliveryStore:
    """Deliveries in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(
        self, redis: Redis, keys: Keyspace, *, retention_ms: int = JOB_RETENTION_MS
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._retention_ms = retention_ms
        self._record_attempt = load_script(redis, "record_attempt")
        self._release_due = load_script(redis, "release_due")

    async def get_many(self, delivery_ids: Sequence[str]) -> list[Delivery | None]:
        """Give the records in one round trip; None where retention has ended."""
        return await read_records(
            self._redis,
            self._keys.delivery,
            Delivery.from_fields,
            delivery_ids,
            id_field="delivery_id",
        )

    async def attempts(self, delivery_id: str) -> list[Attempt]:
        """Give the attempts of a delivery, oldest first."""
        with redis_errors():
            texts = cast(
                list[str], await self._redis.lrange(self._keys.attempts(delivery_id), 0, -1)
            )
        return [Attempt.from_json_text(text) for text in texts]

    async def settle(self, settlements: Sequence[Settlement], *, now_unix_ms: int) -> list[bool]:
        """Write what came of claimed deliveries and settle their entries, in one round trip.

        The records of what is to be tried again live on past that attempt.
        False means that another notifier had settled the entry first.
        """
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for each in settlements:
                    await self._record_attempt(
                        keys=self._keys_of(each),
                        args=[
                            NOTIFIER_GROUP,
                            each.entry.entry_id,
                            each.delivery_id,
                            each.state,
                            "" if each.due_unix_ms is None else each.due_unix_ms,
                            each.attempt.to_json_text() if each.attempt else "",
                            self._keep_ms(each, now_unix_ms),
                            each.receiver,
                            self._retention_ms,
                            "1" if each.order else "",
                            DeliveryDue.KIND,
                            each.place,
                            each.reason,
                        ],
                        client=pipe,
                    )
                answers = await pipe.execute()
        return [answer == 1 for answer in answers]

    def _keys_of(self, settlement: Settlement) -> list[str]:
        keys, record = self._keys, self._keys.delivery(settlement.delivery_id)
        return [
            record,
            keys.attempts(settlement.delivery_id),
            settlement.entry.stream,
            keys.backlog(settlement.receiver) if settlement.receiver else keys.delivery_schedule,
            keys.job(settlement.job_id) if settlement.job_id else keys.event(settlement.event_id),
            keys.backlogs,
            keys.deliveries,
            keys.order(settlement.endpoint_id, settlement.order) if settlement.order else record,
            keys.exhausted(settlement.tenant),
        ]

    def _keep_ms(self, settlement: Settlement, now_unix_ms: int) -> int:
        if settlement.due_unix_ms is None:
            return 0
        return max(settlement.due_unix_ms - now_unix_ms, 0) + self._retention_ms

    async def release_due(self, *, now_unix_ms: int, limit: int) -> Release:
        """Put at most *limit* due deliveries into the stream of those to be tried again.

        What has no room in it waits on: a mountain of old retries is worked off piece by piece.
        What lies further ahead than anything is planned is due as well: the clock was set back.
        """
        with redis_errors():
            released, next_due = await self._release_due(
                keys=[self._keys.delivery_schedule, self._keys.retries],
                args=[
                    now_unix_ms,
                    limit,
                    DeliveryDue.KIND,
                    _RETRIES_MAX,
                    now_unix_ms + _AHEAD_MAX_MS,
                ],
            )
        return Release(
            released=int(released),
            next_due_unix_ms=int(float(next_due)) if next_due else None,
        )
