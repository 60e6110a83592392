"""Jobs of models that no dispatcher offers any more: after a grace they are claimed to be ended."""

from __future__ import annotations

import asyncio
import logging

from dispatcher.intake import Intake
from dispatcher.models.shelf import Shelf
from pipeline.errors import Unavailable
from pipeline.jobs.infer_queue import InferQueue
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.catalogue import Catalogue

log = logging.getLogger(__name__)

_INTERVAL_S = 5.0


class Leftovers:
    """Tells the intake which models have left every shelf for longer than *grace_s*."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        queue: InferQueue,
        shelf: Shelf,
        intake: Intake,
        grace_s: float,
    ) -> None:
        self._catalogue = catalogue
        self._queue = queue
        self._shelf = shelf
        self._intake = intake
        self._grace_s = grace_s

    async def keep_looking(self, stop: asyncio.Event) -> None:
        """Look now and then until *stop* is set."""
        interval_s = min(_INTERVAL_S, max(0.1, self._grace_s / 4))
        while not await sleep_or_stop(stop, interval_s):
            try:
                await self.look()
            except Unavailable as exc:
                log.warning("leftovers.unswept", extra={"reason": str(exc)})

    async def look(self) -> None:
        """Look once; a model of which nothing is left is forgotten."""
        # A shelf whose models may not be offered just now still runs what was accepted.
        unseen = await self._catalogue.unseen(for_ms=int(self._grace_s * 1000))
        leftover = []
        for name in unseen:
            if name in self._shelf.names:
                continue
            if await self._queue.length(name):
                leftover.append(name)
            else:
                await self._catalogue.forget(name)
        for name in set(leftover) - self._intake.leftover:
            log.warning("model.leftover", extra={"model": name})
        self._intake.leftover = frozenset(leftover)
