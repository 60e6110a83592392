"""What is held: claimed deliveries whose leases are renewed until what came of them is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pipeline.clock import Clock
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.errors import Unavailable
from pipeline.following import PAUSE_S
from pipeline.lifecycle import sleep_or_stop
from pipeline.streams import Entry, StreamReader

log = logging.getLogger(__name__)

#: So many outcomes are written in one round trip.
_ROUND_TRIP_MAX = 128


class Settling:
    """Holds claims, and settles them as outcomes come."""

    def __init__(self, *, deliveries: DeliveryStore, reader: StreamReader, clock: Clock) -> None:
        self._deliveries = deliveries
        self._reader = reader
        self._clock = clock
        # Everything claimed and not yet settled: what the lease renewal speaks for.
        self._held: dict[tuple[str, str], Entry] = {}
        self._outcomes: asyncio.Queue[Settlement] = asyncio.Queue()

    def hold(self, entry: Entry) -> bool:
        """Hold a claim; False when it is held already, as after Redis was away."""
        if _key(entry) in self._held:
            return False
        self._held[_key(entry)] = entry
        return True

    def held(self, stream: str | None = None) -> int:
        """Count what is held, in all or of one stream."""
        if stream is None:
            return len(self._held)
        return sum(1 for name, _ in self._held if name == stream)

    def settle(self, settlement: Settlement) -> None:
        """Have an outcome written."""
        self._outcomes.put_nowait(settlement)

    def postpone(
        self, entry: Entry, delivery: Delivery, *, delay_s: float, receiver: str = ""
    ) -> None:
        """Put a delivery off without counting an attempt: into its receiver's backlog, if given."""
        due_unix_ms = self._clock.unix_ms() + int(delay_s * 1000)
        self.settle(
            Settlement.of(
                delivery, entry, DeliveryState.PENDING, due_unix_ms=due_unix_ms, receiver=receiver
            )
        )

    def give_up(self, entry: Entry, delivery: Delivery, error: str) -> None:
        """End a delivery that cannot be attempted, with an attempt that says why."""
        attempt = Attempt(
            number=delivery.attempts + 1,
            at_unix_ms=self._clock.unix_ms(),
            duration_ms=0,
            error=error,
        )
        self.settle(Settlement.of(delivery, entry, DeliveryState.EXHAUSTED, attempt=attempt))

    async def write_outcomes(self) -> None:
        """Write outcomes as they come, as many as have come, however long Redis is away."""
        while True:
            batch = [await self._outcomes.get()]
            while len(batch) < _ROUND_TRIP_MAX and not self._outcomes.empty():
                batch.append(self._outcomes.get_nowait())
            await self._write(batch)
            for settlement in batch:
                self._held.pop(_key(settlement.entry), None)
                self._outcomes.task_done()

    async def written(self) -> None:
        """Wait until every outcome is written."""
        await self._outcomes.join()

    async def renew(self, settled: asyncio.Event) -> None:
        """Renew the leases of everything held, until all is settled."""
        while not await sleep_or_stop(settled, self._reader.lease_ms / 3000):
            try:
                await self._reader.renew(list(self._held.values()))
            except Unavailable as exc:
                log.warning("leases.unrenewed", extra={"reason": str(exc)})

    async def _write(self, batch: Sequence[Settlement]) -> None:
        while True:
            try:
                await self._deliveries.settle(batch, now_unix_ms=self._clock.unix_ms())
                return
            except Unavailable as exc:
                log.warning("outcomes.kept", extra={"size": len(batch), "reason": str(exc)})
                await asyncio.sleep(PAUSE_S)


def _key(entry: Entry) -> tuple[str, str]:
    return entry.stream, entry.entry_id
