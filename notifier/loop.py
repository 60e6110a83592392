"""Claim due deliveries, attempt them side by side, write down what came of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from egress.targets import parse_target
from notifier.attempt import Due, Sender
from notifier.lanes import Lanes
from notifier.settings import NotifierSettings
from pipeline.clock import Clock
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.errors import GwError, MalformedMessage, Unavailable
from pipeline.following import PAUSE_S, follow
from pipeline.jobs.job import Job
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import sleep_or_stop
from pipeline.protocol import DeliveryDue, Keyspace
from pipeline.streams import Entry, StreamReader

log = logging.getLogger(__name__)

#: So many deliveries are claimed, released or settled in one round trip.
_ROUND_TRIP_MAX = 128

#: Between two looks at the schedule when nothing is known to be due.
_SCHEDULE_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where the notifier reads and writes."""

    jobs: JobStore
    deliveries: DeliveryStore
    endpoints: EndpointStore


class Notifier:
    """The service's loops; *run* them all."""

    def __init__(
        self,
        *,
        settings: NotifierSettings,
        reader: StreamReader,
        stores: Stores,
        sender: Sender,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._stores = stores
        self._sender = sender
        self._clock = clock
        self._lanes = Lanes[Due](
            self._attempt,
            concurrency=settings.endpoint_concurrency,
            queue_max=settings.endpoint_queue,
        )
        # Everything claimed and not yet settled: what the lease renewal speaks for.
        self._held: dict[str, Entry] = {}
        self._outcomes: asyncio.Queue[Settlement] = asyncio.Queue()

    async def run(self, keys: Keyspace, stop: asyncio.Event) -> None:
        """Deliver until *stop* is set; then finish what has begun and hand back the rest."""
        settled = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew(settled), name="renew-leases")
            tasks.create_task(self._release_due(stop), name="release-due")
            settling = tasks.create_task(self._settle(), name="settle")
            async for entries in follow(self._reader, keys.deliveries, stop, room=self._room):
                await self._take(entries)
            for due in self._lanes.withdraw():
                self._postpone(due.entry, due.delivery, delay_s=0.0)
            await self._lanes.idle()
            await self._outcomes.join()
            settling.cancel()
            settled.set()

    def _room(self) -> int:
        return min(self._settings.held_max - len(self._held), _ROUND_TRIP_MAX)

    async def _take(self, entries: Sequence[Entry]) -> None:
        """Put claimed entries into their lanes. While Redis is away they stay claimed."""
        try:
            parsed = await self._parsed(entries)
            ids = [message.delivery_id for _, message in parsed]
            deliveries = await self._stores.deliveries.get_many(ids)
            jobs = await self._stores.jobs.get_many(
                [delivery.job_id if delivery else "" for delivery in deliveries]
            )
            for (entry, message), delivery, job in zip(parsed, deliveries, jobs, strict=True):
                if delivery is None or job is None or delivery.state is not DeliveryState.PENDING:
                    await self._reader.park(entry, f"no pending record of {message.delivery_id}")
                    continue
                await self._enter_lane(entry, delivery, job)
        except Unavailable as exc:
            # Their leases run out and somebody claims them again.
            log.warning("deliveries.untaken", extra={"size": len(entries), "reason": str(exc)})

    async def _parsed(self, entries: Sequence[Entry]) -> list[tuple[Entry, DeliveryDue]]:
        parsed = []
        for entry in entries:
            try:
                parsed.append((entry, DeliveryDue.from_fields(entry.fields)))
            except MalformedMessage as exc:
                await self._reader.park(entry, str(exc))
        return parsed

    async def _enter_lane(self, entry: Entry, delivery: Delivery, job: Job) -> None:
        if entry.entry_id in self._held:
            return
        url, secret = delivery.url, delivery.secret
        if delivery.endpoint_id:
            endpoint = await self._stores.endpoints.get(delivery.endpoint_id)
            if endpoint is None:
                self._give_up(entry, delivery, "endpoint_removed")
                return
            url, secret = endpoint.url, endpoint.secret
        try:
            target = parse_target(url)
        except GwError as exc:
            self._give_up(entry, delivery, exc.code)
            return
        lane = f"{target.scheme}://{target.authority}"
        self._held[entry.entry_id] = entry
        due = Due(entry=entry, delivery=delivery, job=job, url=url, secret=secret)
        if not self._lanes.offer(lane, due):
            self._postpone(entry, delivery, delay_s=self._lanes.put_off_s(lane))

    async def _attempt(self, due: Due) -> None:
        """Make one attempt. The one broad except of this service: a delivery fails alone."""
        try:
            settlement = await self._sender.attempt(due)
        except Exception as exc:
            log.exception("attempt.broken", extra={"delivery_id": due.delivery.delivery_id})
            code = exc.code if isinstance(exc, GwError) else "internal_error"
            self._give_up(due.entry, due.delivery, code)
            return
        attempt = settlement.attempt
        log.debug(
            "delivery.attempted",
            extra={
                "delivery_id": settlement.delivery_id,
                "state": settlement.state,
                "status": attempt.status if attempt else 0,
            },
        )
        self._outcomes.put_nowait(settlement)

    def _postpone(self, entry: Entry, delivery: Delivery, *, delay_s: float) -> None:
        """Put a delivery off without counting an attempt."""
        self._outcomes.put_nowait(
            Settlement(
                delivery_id=delivery.delivery_id,
                job_id=delivery.job_id,
                entry=entry,
                state=DeliveryState.PENDING,
                due_unix_ms=self._clock.unix_ms() + int(delay_s * 1000),
            )
        )

    def _give_up(self, entry: Entry, delivery: Delivery, error: str) -> None:
        """End a delivery that cannot be attempted, with an attempt that says why."""
        attempt = Attempt(
            number=delivery.attempts + 1,
            at_unix_ms=self._clock.unix_ms(),
            duration_ms=0,
            error=error,
        )
        self._outcomes.put_nowait(
            Settlement(
                delivery_id=delivery.delivery_id,
                job_id=delivery.job_id,
                entry=entry,
                state=DeliveryState.EXHAUSTED,
                attempt=attempt,
            )
        )

    async def _settle(self) -> None:
        """Write outcomes as they come, as many as have come, however long Redis is away."""
        while True:
            batch = [await self._outcomes.get()]
            while len(batch) < _ROUND_TRIP_MAX and not self._outcomes.empty():
                batch.append(self._outcomes.get_nowait())
            while True:
                try:
                    await self._stores.deliveries.settle(batch, now_unix_ms=self._clock.unix_ms())
                    break
                except Unavailable as exc:
                    log.warning("outcomes.kept", extra={"size": len(batch), "reason": str(exc)})
                    await asyncio.sleep(PAUSE_S)
            for settlement in batch:
                self._held.pop(settlement.entry.entry_id, None)
                self._outcomes.task_done()

    async def _renew(self, settled: asyncio.Event) -> None:
        """Renew the leases of everything held, until all is settled."""
        while not await sleep_or_stop(settled, self._reader.lease_ms / 3000):
            try:
                await self._reader.renew(list(self._held.values()))
            except Unavailable as exc:
                log.warning("leases.unrenewed", extra={"reason": str(exc)})

    async def _release_due(self, stop: asyncio.Event) -> None:
        """Bring deliveries back into the stream when their moment has come."""
        while not stop.is_set():
            pause_s = _SCHEDULE_PAUSE_S
            try:
                now_unix_ms = self._clock.unix_ms()
                release = await self._stores.deliveries.release_due(
                    now_unix_ms=now_unix_ms, limit=_ROUND_TRIP_MAX
                )
                if release.next_due_unix_ms is not None:
                    next_s = (release.next_due_unix_ms - now_unix_ms) / 1000
                    pause_s = min(pause_s, max(next_s, 0.0))
            except Unavailable as exc:
                log.warning("schedule.unread", extra={"reason": str(exc)})
            await sleep_or_stop(stop, pause_s)
