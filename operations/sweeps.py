"""Sweeps: what nobody's own way takes care of. Each is safe to run at any time, several at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from operations.parts import OperationParts
from pipeline.batches.batch import BatchState
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.index import DeliveryIndex
from pipeline.deliveries.waiting_records import WaitingRecords
from pipeline.ids import is_id
from pipeline.jobs.index import JobIndex
from pipeline.jobs.kept import sweep_kept
from pipeline.leftovers import Leftovers
from pipeline.protocol import NOTIFIER_GROUP, POSTPROCESS_GROUP

log = logging.getLogger(__name__)

#: An instance that is silent for so long will not come back under this name.
_GONE_MS: Final = 24 * 3600 * 1000

_SHORTEST_RETENTION_MS: Final = 60_000

#: A file of a batch is written a moment before its record, and a large one takes its time.
_UNRECORDED_MS: Final = 6 * 3600 * 1000


async def sweep_batches(parts: OperationParts) -> int:
    """Remove the files of batches that are gone, and collect the results of those that run long."""
    now_unix_ms = parts.clock.unix_ms()
    cleared = await _remove_batch_files(parts, now_unix_ms)
    for tenant in await JobIndex(parts.redis, parts.keys).submitters():
        cleared += await parts.batches.forget_vanished(tenant)
    cleared += await parts.batches.forget_closed()
    await _collect_long_runs(parts, now_unix_ms)
    return cleared


async def sweep_pictures(parts: OperationParts) -> int:
    """Remove kept pictures whose tenant's retention is over."""
    return await sweep_kept(parts.kept, parts.jobs, now_unix_ms=parts.clock.unix_ms())


async def sweep_leftovers(parts: OperationParts) -> int:
    """Remove what instances left that are gone, and what was parked long ago."""
    now_unix_ms = parts.clock.unix_ms()
    leftovers = Leftovers(parts.redis, parts.keys)
    cleared = await leftovers.forget_instances(silent_since_unix_ms=now_unix_ms - _GONE_MS)
    for stream, group in (
        (parts.keys.results, POSTPROCESS_GROUP),
        (parts.keys.deliveries, NOTIFIER_GROUP),
        (parts.keys.retries, NOTIFIER_GROUP),
    ):
        cleared += await leftovers.drop_consumers([stream], group, idle_at_least_ms=_GONE_MS)
    parked_ms = parts.settings.parked_retention_s * 1000
    return cleared + await leftovers.trim_parked(before_unix_ms=now_unix_ms - parked_ms)


async def sweep_deliveries(parts: OperationParts) -> int:
    """Forget the places of deliveries and events that have outlived their records."""
    tenants = set(await JobIndex(parts.redis, parts.keys).submitters())
    tenants |= {each.tenant for each in await EndpointStore(parts.redis, parts.keys).all()}
    index = DeliveryIndex(parts.redis, parts.keys)
    # Nothing is kept for less than a minute, so nothing younger can be gone.
    before_unix_ms = parts.clock.unix_ms() - _SHORTEST_RETENTION_MS
    return sum([await index.trim(each, before_unix_ms=before_unix_ms) for each in sorted(tenants)])


async def sweep_waiting(parts: OperationParts) -> int:
    """Let the records live on of what waits to be told, however long it waits; clears nothing."""
    life_ms = parts.settings.service.job_retention_s * 1000
    renewed = await WaitingRecords(parts.redis, parts.keys).renew(life_ms=life_ms)
    if renewed:
        log.info("records.renewed", extra={"count": renewed})
    return 0


#: By the name that the schedule knows.
SWEEPS: Mapping[str, Callable[[OperationParts], Awaitable[int]]] = {
    "batches": sweep_batches,
    "pictures": sweep_pictures,
    "leftovers": sweep_leftovers,
    "deliveries": sweep_deliveries,
    "waiting": sweep_waiting,
}


async def _remove_batch_files(parts: OperationParts, now_unix_ms: int) -> int:
    before_unix_ms = now_unix_ms - _UNRECORDED_MS
    old = await asyncio.to_thread(lambda: list(parts.files.older_than(before_unix_ms)))
    removed = 0
    for path, batch_id in old:
        batch = await parts.batches.get(batch_id) if is_id(batch_id, "batch") else None
        is_source = path == parts.files.source(batch_id)
        if batch is None or (batch.state.is_terminal and is_source):
            await asyncio.to_thread(path.unlink, missing_ok=True)
            removed += 1
    return removed


async def _collect_long_runs(parts: OperationParts, now_unix_ms: int) -> None:
    """Write down results before the records of the first jobs end their retention."""
    limit_ms = parts.settings.service.job_retention_s * 1000 // 4
    for batch_id in await parts.batches.open():
        batch = await parts.batches.get(batch_id)
        if batch is None or batch.state is not BatchState.RUNNING:
            continue
        path = parts.files.results(batch_id)
        written_unix_ms = path.stat().st_mtime * 1000 if path.exists() else batch.accepted_unix_ms
        if now_unix_ms - written_unix_ms >= limit_ms:
            await parts.finishing().collect(batch)
