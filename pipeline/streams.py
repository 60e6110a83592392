"""Reading streams as a consumer: claim, renew, take over, park.

A claim is a lease: the reader renews it while it works, and a reader that stopped renewing loses
it to the next one after *lease_ms*. A restarted reader has the same consumer name and finds its
own claims first, so a crash costs no lease time unless the machine is another.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.protocol import Keyspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One claimed stream entry."""

    stream: str
    entry_id: str
    fields: Mapping[str, str]


class StreamReader:
    """One consumer of one group, on any number of streams.

    Every method raises Unavailable while Redis is away.
    """

    def __init__(
        self, redis: Redis, keys: Keyspace, *, group: str, consumer: str, lease_ms: int
    ) -> None:
        self._redis = redis
        self._keys = keys
        self.group = group
        self.consumer = consumer
        self.lease_ms = lease_ms
        self._make_groups = load_script(redis, "make_groups")
        self._renew_claims = load_script(redis, "renew_claims")
        self._park_entry = load_script(redis, "park_entry")

    async def ensure_groups(self, streams: Sequence[str]) -> None:
        """Make the group on each stream, from its beginning; existing ones stay as they are."""
        with redis_errors():
            await self._make_groups(keys=list(streams), args=[self.group])

    async def claim(self, streams: Sequence[str], *, count: int, block_ms: int) -> list[Entry]:
        """Claim at most *count* new entries of each stream, waiting up to *block_ms* for the first.

        *block_ms* 0 does not wait.
        """
        with redis_errors():
            answer = await self._redis.xreadgroup(
                self.group,
                self.consumer,
                dict.fromkeys(streams, ">"),
                count=count,
                block=block_ms or None,
            )
        return entries_of(answer)

    async def own(self, stream: str) -> list[Entry]:
        """List the entries that this consumer had claimed before it was restarted."""
        with redis_errors():
            answer = await self._redis.xreadgroup(
                self.group, self.consumer, {stream: "0"}, count=10_000
            )
        return entries_of(answer)

    async def take_over(self, stream: str, *, count: int) -> list[Entry]:
        """Claim at most *count* entries whose consumer has not renewed them for a lease."""
        taken: list[Entry] = []
        cursor = "0-0"
        with redis_errors():
            while True:
                # One call looks at ten times its count: overdue entries may stand behind as many
                # that live consumers renew. What was deleted while claimed is only named in a
                # third part of the answer: since Redis 7 it has left the pending list by itself.
                cursor, rows, *_ = await self._redis.xautoclaim(
                    stream,
                    self.group,
                    self.consumer,
                    min_idle_time=self.lease_ms,
                    start_id=cursor,
                    count=count - len(taken),
                )
                taken += [
                    Entry(stream=stream, entry_id=entry_id, fields=fields)
                    for entry_id, fields in rows
                    if fields
                ]
                if cursor == "0-0" or len(taken) >= count:
                    return taken

    async def renew(self, entries: Sequence[Entry]) -> None:
        """Renew the leases of *entries*, but for those that another consumer has taken over."""
        by_stream: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            by_stream[entry.stream].append(entry.entry_id)
        if not by_stream:
            return
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for stream, entry_ids in by_stream.items():
                    await self._renew_claims(
                        keys=[stream], args=[self.group, self.consumer, *entry_ids], client=pipe
                    )
                await pipe.execute()

    async def park(self, entry: Entry, reason: str) -> None:
        """Put an entry that cannot be read into the dead stream."""
        log.error(
            "entry.parked",
            extra={"stream": entry.stream, "entry": entry.entry_id, "reason": reason},
        )
        flat = [item for pair in entry.fields.items() for item in pair]
        with redis_errors():
            await self._park_entry(
                keys=[entry.stream, self._keys.dead],
                args=[self.group, entry.entry_id, reason, *flat],
            )


def entries_of(answer: object) -> list[Entry]:
    """Flatten an answer of XREAD or XREADGROUP, which redis-py gives as a mapping or as pairs."""
    if not answer:
        return []
    pairs = answer.items() if isinstance(answer, Mapping) else answer
    entries = []
    for stream, batch in pairs:  # type: ignore[attr-defined]  # either shape iterates as pairs
        # A mapping (RESP3) wraps each stream's entries in one more list.
        rows = batch[0] if batch and isinstance(batch[0], list) else batch
        entries += [
            Entry(stream=stream, entry_id=entry_id, fields=fields or {})
            for entry_id, fields in rows
        ]
    return entries
