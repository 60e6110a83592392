"""Claiming for one model: tenants take turns by their weights, each priority in room of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.claims import Claims
from dispatcher.scheduling.fairness import FairShare
from pipeline.clock import Clock
from pipeline.jobs.infer_queue import NEVER_RUNG, InferQueue, Line
from pipeline.jobs.job import Priority
from pipeline.streams import Entry

#: How long the tenants' weights are believed.
WEIGHTS_TTL_MS = 2000.0

#: No weight is less than this: a share must come to an end.
_WEIGHT_MIN = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedEntry:
    """An entry and its turn: lower ones go first among jobs of the same model and priority."""

    entry: Entry
    turn: float


class Weights:
    """The weights of tenants, read at intervals; 1 for a tenant without a record."""

    def __init__(self, queue: InferQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._known: dict[str, float] = {}
        self._until_ms = 0.0

    async def refresh(self) -> None:
        """Read them anew if it is time; raises Unavailable."""
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._until_ms:
            weights = await self._queue.weights()
            self._known = {name: max(weight, _WEIGHT_MIN) for name, weight in weights.items()}
            self._until_ms = now_ms + WEIGHTS_TTL_MS

    def of(self, tenant: str) -> float:
        """Give one tenant's weight."""
        return self._known.get(tenant, 1.0)


class Claiming:
    """Claims entries of one model. Every method raises Unavailable while Redis is away."""

    def __init__(self, model: str, *, queue: InferQueue, claims: Claims, weights: Weights) -> None:
        self._model = model
        self._queue = queue
        self._claims = claims
        self._weights = weights
        self._lines: Sequence[Line] = ()
        self._bell = NEVER_RUNG
        self._shares = {priority: FairShare() for priority in Priority}

    async def recover(self) -> list[ClaimedEntry]:
        """Find every line of the model anew, and give what this consumer had claimed before."""
        await self._weights.refresh()
        self._lines = await self._queue.find_streams(self._model)
        now = self._now()
        return [
            self._turn(line, entry, now)
            for line, entries in await self._queue.own(self._lines)
            for entry in entries
        ]

    async def claim(self, rooms: Mapping[Priority, int], *, block_ms: int) -> list[ClaimedEntry]:
        """Claim new entries, no more of each priority than *rooms* has, by the tenants' weights.

        Waits up to *block_ms* for the first; 0 does not wait.
        """
        claimed = await self._claim_what_is_there(rooms)
        if not claimed and block_ms:
            self._bell = await self._queue.rung(self._model, since=self._bell, block_ms=block_ms)
            claimed = await self._claim_what_is_there(rooms)
        return claimed

    async def take_over(self, rooms: Mapping[Priority, int]) -> list[ClaimedEntry]:
        """Claim entries whose consumer has not renewed them for a lease, within *rooms*."""
        await self._queue.find_old_streams(self._model)
        self._lines = (await self._queue.claim(self._model, {})).lines
        now, left = self._now(), Counter(dict(rooms))
        claimed = []
        for line in self._lines:
            if left[line.priority] > 0:
                taken = await self._queue.take_over(line, count=left[line.priority])
                left[line.priority] -= len(taken)
                claimed += [self._turn(line, entry, now) for entry in taken]
        return claimed

    async def _claim_what_is_there(self, rooms: Mapping[Priority, int]) -> list[ClaimedEntry]:
        """Claim until the room is used up or every line was asked for more than it had."""
        await self._weights.refresh()
        now, left = self._now(), Counter(dict(rooms))
        exhausted: set[Line] = set()
        claimed: list[ClaimedEntry] = []
        is_first = True
        while True:
            order = self._order(left, exhausted, now)
            if not order and not is_first:
                return claimed
            is_first = False
            wanted = Counter(order)
            answer = await self._queue.claim(self._model, wanted)
            self._lines = answer.lines
            waiting = {line: list(entries) for line, entries in answer.entries.items()}
            for line in order:
                if waiting[line]:
                    claimed.append(self._turn(line, waiting[line].pop(0), now))
                    left[line.priority] -= 1
                else:
                    exhausted.add(line)

    def _order(
        self, left: Mapping[Priority, int], exhausted: set[Line], now: Mapping[Priority, float]
    ) -> list[Line]:
        """Give the lines whose turns it is, one for each place that is *left*."""
        by_priority: dict[Priority, dict[str, float]] = defaultdict(dict)
        for line in self._lines:
            if line not in exhausted:
                by_priority[line.priority][line.tenant] = self._weights.of(line.tenant)
        order = []
        for priority, weights in by_priority.items():
            tenants = self._shares[priority].order(
                weights, room=left.get(priority, 0), now=now[priority]
            )
            order += [Line(model=self._model, priority=priority, tenant=each) for each in tenants]
        return order

    def _turn(self, line: Line, entry: Entry, now: Mapping[Priority, float]) -> ClaimedEntry:
        turn = self._shares[line.priority].take(
            line.tenant, weight=self._weights.of(line.tenant), now=now[line.priority]
        )
        return ClaimedEntry(entry=entry, turn=turn)

    def _now(self) -> dict[Priority, float]:
        """Give the virtual time of each priority, before anything is claimed at it."""
        now = {}
        for priority, share in self._shares.items():
            now[priority] = share.now(self._claims.turns(self._model, priority))
            share.forget_passed(now[priority])
        return now
