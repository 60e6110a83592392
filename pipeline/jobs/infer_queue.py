"""The infer streams of one model: one per tenant and priority, and which of them hold work.

Which streams hold work is a set that the same scripts keep that add and claim entries, so no crash
comes between. Should somebody delete it, :meth:`InferQueue.find_streams` finds every stream again.
A model's bell is a stream of at most one entry, added with every job: a dispatcher that found
nothing to claim waits at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.access.tenants import TenantStore
from pipeline.connection import load_script, redis_errors
from pipeline.jobs.job import Priority
from pipeline.jobs.waiting_members import parse_waiting_member, waiting_member
from pipeline.protocol import Keyspace
from pipeline.streams import Entry, StreamReader

#: The bell before anybody rang it.
NEVER_RUNG = "0-0"

_SCAN_COUNT = 1000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Line:
    """The jobs of one tenant for one model at one priority; "" is the tenant of an older webapp."""

    model: str
    priority: Priority
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a claim brought, by line; and the lines that hold entries, claimed or not, after it."""

    entries: Mapping[Line, Sequence[Entry]]
    lines: Sequence[Line]


class InferQueue:
    """The lines of models, for one consumer.

    Every method raises Unavailable while Redis is away.
    """

    def __init__(self, redis: Redis, keys: Keyspace, reader: StreamReader) -> None:
        self._redis = redis
        self._keys = keys
        self._reader = reader
        self._tenants = TenantStore(redis, keys)
        self._claim_jobs = load_script(redis, "claim_jobs")

    @property
    def lease_ms(self) -> int:
        """Give after how long an entry that is not renewed may be taken over."""
        return self._reader.lease_ms

    async def weights(self) -> dict[str, float]:
        """Give the weights of the tenants that have one set."""
        return {each.tenant: each.weight for each in await self._tenants.all()}

    async def find_streams(self, model: str) -> list[Line]:
        """Give the lines that hold entries, found in the keyspace; and put them into the set."""
        prefix = f"{self._keys.prefix}:infer:{model}:"
        members: set[str] = set()
        with redis_errors():
            async for key in self._redis.scan_iter(
                _literally(prefix) + "*", count=_SCAN_COUNT, _type="STREAM"
            ):
                member = key.removeprefix(prefix)
                member = member if ":" in member else f"{member}:"
                if _is_line(member) and await self._redis.xlen(key):
                    members.add(member)
            if members:
                await self._redis.sadd(self._keys.waiting(model), *members)
        return _lines(model, members)

    async def length(self, model: str) -> int:
        """Give how many jobs of *model* are accepted and not through, claimed or not."""
        with redis_errors():
            members = cast(set[str], await self._redis.smembers(self._keys.waiting(model)))
            async with self._redis.pipeline(transaction=False) as pipe:
                for line in _lines(model, members):
                    pipe.xlen(self._stream(line))
                lengths = await pipe.execute()
        return sum(lengths)

    async def find_old_streams(self, model: str) -> None:
        """Put the streams that an older webapp writes to into the set, where they hold entries."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for priority in Priority:
                    pipe.xlen(self._keys.infer(model, priority))
                lengths = await pipe.execute()
            members = [
                waiting_member(priority, "")
                for priority, length in zip(Priority, lengths, strict=True)
                if length
            ]
            if members:
                await self._redis.sadd(self._keys.waiting(model), *members)

    async def claim(self, model: str, shares: Mapping[Line, int]) -> Claimed:
        """Claim at most so many new entries of each line of *model*."""
        names = [self._keys.waiting(model), *map(self._stream, shares)]
        args: list[Any] = [self._reader.group, self._reader.consumer]
        for line, count in shares.items():
            args += [waiting_member(line.priority, line.tenant), count]
        with redis_errors():
            members, *answers = await self._claim_jobs(keys=names, args=args)
        entries = {
            line: [
                Entry(
                    stream=self._stream(line),
                    entry_id=entry_id,
                    fields=dict(zip(fields[::2], fields[1::2], strict=True)),
                )
                for entry_id, fields in rows
            ]
            for line, rows in zip(shares, answers, strict=True)
        }
        return Claimed(entries=entries, lines=_lines(model, members))

    async def own(self, lines: Sequence[Line]) -> list[tuple[Line, list[Entry]]]:
        """List the entries that this consumer had claimed before it was restarted, by line."""
        await self._reader.ensure_groups([self._stream(line) for line in lines])
        return [(line, await self._reader.own(self._stream(line))) for line in lines]

    async def take_over(self, line: Line, *, count: int) -> list[Entry]:
        """Claim at most *count* entries of a line that nobody has renewed for a lease."""
        await self._reader.ensure_groups([self._stream(line)])
        return await self._reader.take_over(self._stream(line), count=count)

    async def park(self, entry: Entry, reason: str) -> None:
        """Put an entry that cannot be read into the dead stream."""
        await self._reader.park(entry, reason)

    async def rung(self, model: str, *, since: str, block_ms: int) -> str:
        """Wait up to *block_ms* until the bell is rung after *since*; give its newest ringing."""
        with redis_errors():
            answer = cast(
                Any, await self._redis.xread({self._keys.bell(model): since}, block=block_ms)
            )
        if not answer:
            return since
        ((_, rows),) = answer.items() if isinstance(answer, Mapping) else answer
        rows = rows[0] if rows and isinstance(rows[0], list) else rows
        return cast(str, rows[-1][0])

    def _stream(self, line: Line) -> str:
        return self._keys.infer(line.model, line.priority, line.tenant)


def _lines(model: str, members: Iterable[str]) -> list[Line]:
    named = [parse_waiting_member(member) for member in members if _is_line(member)]
    return sorted(
        (Line(model=model, priority=priority, tenant=tenant) for priority, tenant in named),
        key=lambda line: (line.priority.rank, line.tenant),
    )


def _is_line(member: str) -> bool:
    return member.partition(":")[0] in set(Priority)


def _literally(text: str) -> str:
    """Give a glob pattern that stands for *text* itself."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
