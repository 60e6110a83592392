"""The batch store: accepting, expanding, ending and reading batches, each step in one script."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.batches.batch import BATCH_RETENTION_MS, Batch, BatchState, Item
from pipeline.connection import load_script, redis_errors
from pipeline.jobs.loads import bytes_field
from pipeline.jobs.promises import Once, Promise
from pipeline.protocol import Keyspace
from pipeline.reading import read_records

log = logging.getLogger(__name__)

_UNENDED = (BatchState.RUNNING, BatchState.CANCELING)


class Counted(IntEnum):
    """What became of counting items."""

    #: Nothing was written: the batch is gone or through, or somebody else has counted them.
    REFUSED = 0
    COUNTED = 1
    #: They count, but the batch has been withdrawn: nothing more is to become a job.
    WITHDRAWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAdmission:
    """Whether a batch was accepted.

    *earlier* is what was promised before under the same idempotency key. *stored_bytes* is what the
    tenant has stored where that left no room; otherwise too many batches are open.
    """

    accepted: bool
    earlier: Promise | None = None
    stored_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of batches, the newest first; the next one is before *last_id*, "" for none."""

    batches: Sequence[Batch]
    last_id: str = ""


class BatchStore:
    """Batches in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(
        self, redis: Redis, keys: Keyspace, *, retention_ms: int = BATCH_RETENTION_MS
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._retention_ms = retention_ms
        self._accept_batch = load_script(redis, "accept_batch")
        self._add_items = load_script(redis, "add_items")
        self._change_batch = load_script(redis, "change_batch")
        self._end_batch = load_script(redis, "end_batch")

    async def accept(
        self, batch: Batch, *, open_max: int, bytes_max: int = 0, once: Once | None = None
    ) -> BatchAdmission:
        """Store *batch* and that it is open, unless *open_max* are open already.

        *bytes_max* bounds what the tenant's sources and waiting pictures take together; 0 does not.
        Where *once* was promised before, nothing is stored.
        """
        keys = [
            self._keys.batch(batch.batch_id),
            self._keys.open_batches,
            self._keys.batches(batch.tenant),
            self._keys.batch_sources(batch.tenant),
            self._keys.loads,
        ]
        promise = ""
        if once is not None:
            keys.append(self._keys.promise(batch.tenant, once.key_sha256))
            promise = Promise(fingerprint=once.fingerprint, job_ids=(batch.batch_id,)).to_text()
        args: list[str | int] = [
            batch.batch_id,
            batch.accepted_unix_ms,
            open_max,
            batch.size_bytes,
            bytes_max,
            bytes_field(batch.tenant),
            promise,
            once.keep_ms if once else 0,
            *(item for pair in batch.to_fields().items() for item in pair),
        ]
        with redis_errors():
            verdict, *why = await self._accept_batch(keys=keys, args=args)
        if verdict == 2:
            return BatchAdmission(accepted=False, earlier=Promise.from_text(why[0]))
        return BatchAdmission(
            accepted=verdict == 1, stored_bytes=int(why[1]) if why and why[0] == "bytes" else None
        )

    async def stored_bytes(self, tenant: str) -> int:
        """Give what the sources of a tenant's open batches take."""
        with redis_errors():
            sizes = cast(list[str], await self._redis.hvals(self._keys.batch_sources(tenant)))
        return sum(map(int, sizes))

    async def get(self, batch_id: str) -> Batch | None:
        """Give the record, or None when there is no such batch."""
        return (await self.get_many([batch_id]))[0]

    async def get_many(self, batch_ids: Sequence[str]) -> list[Batch | None]:
        """Give the records in one round trip."""
        return await read_records(
            self._redis, self._keys.batch, Batch.from_fields, batch_ids, id_field="batch_id"
        )

    async def open(self) -> list[str]:
        """List the batches that have not ended, the oldest first."""
        with redis_errors():
            ids = await self._redis.zrange(self._keys.open_batches, 0, -1)
        return cast(list[str], ids)

    async def page(self, tenant: str, *, before_id: str, limit: int) -> Page:
        """List a tenant's batches, the newest first, those before *before_id* if it is not ""."""
        upper = f"({before_id}" if before_id else "+"
        with redis_errors():
            ids = cast(
                list[str],
                await self._redis.zrange(
                    self._keys.batches(tenant),
                    cast(Any, upper),
                    cast(Any, "-"),
                    desc=True,
                    bylex=True,
                    offset=0,
                    num=limit + 1,
                ),
            )
        batches = await self.get_many(ids[:limit]) if ids else []
        return Page(
            batches=[batch for batch in batches if batch is not None],
            last_id=ids[limit - 1] if len(ids) > limit else "",
        )

    async def forget_vanished(self, tenant: str) -> int:
        """Drop from a tenant's list what has outlived its retention; give how many."""
        key = self._keys.batches(tenant)
        with redis_errors():
            ids = cast(list[str], await self._redis.zrange(key, 0, -1))
            async with self._redis.pipeline(transaction=False) as pipe:
                for batch_id in ids:
                    pipe.exists(self._keys.batch(batch_id))
                found = await pipe.execute()
            gone = [batch_id for batch_id, there in zip(ids, found, strict=True) if not there]
            if gone:
                await self._redis.zrem(key, *gone)
                await self._redis.hdel(self._keys.batch_sources(tenant), *gone)
        return len(gone)

    async def forget_closed(self) -> int:
        """Drop from the open batches those that are gone without their end; give how many."""
        ids = await self.open()
        batches = await self.get_many(ids) if ids else []
        gone = [batch_id for batch_id, batch in zip(ids, batches, strict=True) if batch is None]
        closed = 0
        with redis_errors():
            for batch_id in gone:
                if not await self._redis.exists(self._keys.batch(batch_id)):
                    closed += int(await self._redis.zrem(self._keys.open_batches, batch_id))
        return closed

    async def items(self, batch_id: str, *, first: int, limit: int) -> list[Item]:
        """Give at most *limit* items from index *first* on."""
        with redis_errors():
            texts = await self._redis.lrange(
                self._keys.batch_items(batch_id), first, first + limit - 1
            )
        return [Item.from_json_text(text) for text in cast(list[str], texts)]

    async def add_items(self, batch_id: str, items: Sequence[Item], *, first: int) -> Counted:
        """Count *items*, of which *first* is the first one's index."""
        jobs = sum(not item.error_code for item in items)
        with redis_errors():
            answer = await self._add_items(
                keys=[self._keys.batch(batch_id), self._keys.batch_items(batch_id)],
                args=[first, jobs, *(item.to_json_text() for item in items)],
            )
        return Counted(answer)

    async def begin_attempt(self, batch: Batch) -> bool:
        """Note that an expansion begins; False when there is nothing to expand any more."""
        return await self._change(
            batch.batch_id, [BatchState.EXPANDING], {"attempts": str(batch.attempts + 1)}
        )

    async def forget_attempts(self, batch_id: str) -> bool:
        """Note that an expansion which stops here has not broken off."""
        return await self._change(batch_id, [BatchState.EXPANDING], {"attempts": "0"})

    async def close(
        self, batch_id: str, *, items_total: int, reason_code: str = "", reason: str = ""
    ) -> bool:
        """Note that the source holds nothing more, or *reason* why it gave nothing."""
        return await self._change(
            batch_id,
            [BatchState.EXPANDING],
            {
                "state": BatchState.RUNNING,
                "items_total": str(items_total),
                "reason_code": reason_code,
                "reason": reason,
            },
        )

    async def withdraw(self, batch_id: str) -> bool:
        """Withdraw a batch; False when it has ended or is withdrawn already."""
        return await self._change(
            batch_id,
            [BatchState.EXPANDING, BatchState.RUNNING],
            {"state": BatchState.CANCELING},
        )

    async def set_withdrawn(self, batch_id: str) -> bool:
        """Note that what waited of a withdrawn batch has been canceled."""
        return await self._change(batch_id, [BatchState.CANCELING], {"withdrawn": "1"})

    async def end(self, batch: Batch, *, now_unix_ms: int) -> bool:
        """End *batch*; False when it has ended already, or jobs of it have not."""
        with redis_errors():
            ended = await self._end_batch(
                keys=[
                    self._keys.batch(batch.batch_id),
                    self._keys.batch_items(batch.batch_id),
                    self._keys.open_batches,
                    self._keys.batch_sources(batch.tenant),
                ],
                args=[
                    batch.batch_id,
                    batch.final_state,
                    now_unix_ms,
                    self._retention_ms,
                    json.dumps(dict.fromkeys(_UNENDED, True)),
                ],
            )
        return bool(ended)

    async def _change(
        self, batch_id: str, expected: Collection[BatchState], fields: Mapping[str, str]
    ) -> bool:
        with redis_errors():
            changed = await self._change_batch(
                keys=[self._keys.batch(batch_id)],
                args=[
                    json.dumps(dict.fromkeys(expected, True)),
                    *(item for pair in fields.items() for item in pair),
                ],
            )
        return bool(changed)
