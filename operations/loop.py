"""The planner: whatever our records say is to be done, RQ is asked for, as often as it takes.

It is also the one scheduler. Sweeps are asked for under the id of their slot of time, so that
several planners, or one that was restarted, ask for each once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from operations.planning import Act
from operations.queueing import SEND_AGAIN, OperationQueue
from operations.schedule import due_sweeps
from pipeline.batches.batch import OperationsQueue, next_step, queue_of
from pipeline.batches.store import BatchStore
from pipeline.clock import Clock
from pipeline.deliveries.operation_store import OperationStore
from pipeline.errors import Unavailable
from pipeline.lifecycle import sleep_or_stop

log = logging.getLogger(__name__)

_PAUSE_S: Final = 0.5


class Planner:
    """The loop of one queue. *worker* gives the name of this process's worker."""

    def __init__(
        self,
        *,
        queue: OperationsQueue,
        batches: BatchStore,
        operations: OperationQueue,
        asked_for: OperationStore,
        clock: Clock,
        worker: Callable[[], str],
    ) -> None:
        self._queue = queue
        self._batches = batches
        self._operations = operations
        self._asked_for = asked_for
        self._clock = clock
        self._worker = worker
        self._asked_sweeps: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Plan until *stop* is set. Redis being away is waited out."""
        while not await sleep_or_stop(stop, _PAUSE_S):
            try:
                await self.plan()
                if self._queue is OperationsQueue.DEFAULT:
                    await self.schedule()
            except Unavailable as exc:
                log.warning("plan.postponed", extra={"reason": str(exc)})

    async def plan(self) -> int:
        """Ask for what is open and needs this queue; give how often that was new."""
        asked = 0
        needed = set()
        for batch_id in await self._batches.open():
            batch = await self._batches.get(batch_id)
            if batch is None or queue_of(batch.kind) is not self._queue or not next_step(batch):
                continue
            needed.add(batch_id)
            act = await asyncio.to_thread(
                self._operations.ensure, batch_id, batch_id, worker=self._worker()
            )
            asked += act is not Act.NOTHING
        if self._queue is OperationsQueue.DEFAULT:
            for operation_id in await self._asked_for.open():
                needed.add(operation_id)
                act = await asyncio.to_thread(
                    self._operations.ensure,
                    operation_id,
                    operation_id,
                    worker=self._worker(),
                    function=SEND_AGAIN,
                )
                asked += act is not Act.NOTHING
        self._operations.forget_others(needed)
        return asked

    async def schedule(self) -> None:
        """Ask for the sweeps whose slot of time has begun."""
        due = due_sweeps(self._clock.unix_ms() // 1000)
        for sweep in due:
            if sweep.operation_id not in self._asked_sweeps:
                await asyncio.to_thread(
                    self._operations.sweep,
                    sweep.operation_id,
                    sweep.name,
                    remember_s=2 * sweep.interval_s,
                )
        self._asked_sweeps = {sweep.operation_id for sweep in due}
