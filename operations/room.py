"""Room: how many of a batch's items may become jobs now, by the queue and the tenant's limits.

A batch is in no hurry. It leaves half of each of its tenant's limits to what the tenant submits
beside it, and half of the bucket; it waits where there is no room, and gives way to other batches
where it is the tenant that has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from operations import stopping
from operations.stopping import HandedBack
from pipeline.access.tenants import Tenant, TenantStore
from pipeline.batches.batch import Batch, BatchState
from pipeline.batches.store import BatchStore
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.loads import Loads, LoadStore, bytes_field, jobs_field
from pipeline.jobs.quotas import Quota
from pipeline.jobs.store import JobStore
from pipeline.jobs.tenant_quotas import buckets_of, ceilings_of
from pipeline.jobs.token_buckets import TokenBuckets
from pipeline.protocol import Keyspace

_PAUSE_S: Final = (0.1, 2.0)

_SPARE_PERCENT: Final = 50

#: After so long a wait for its tenant's limits a batch gives way: to others that are open, and
#: otherwise to be looked at afresh.
_PATIENCE_S: Final = 10.0
_PATIENCE_ALONE_S: Final = 300.0


def fitting(sizes_bytes: Sequence[int], tenant: Tenant, loads: Loads) -> int:
    """Give how many of these pictures, from the first on, a batch of *tenant* may add."""
    count = len(sizes_bytes)
    if tenant.jobs_waiting_max:
        for_batches = tenant.jobs_waiting_max - tenant.jobs_waiting_max // 2
        count = min(count, max(0, for_batches - loads.of(jobs_field(tenant.tenant))))
    if tenant.bytes_max and count:
        # One that is larger than the half may have the whole.
        for_batches = max(tenant.bytes_max - tenant.bytes_max // 2, sizes_bytes[0])
        left_bytes = for_batches - loads.of(bytes_field(tenant.tenant))
        for index, size_bytes in enumerate(sizes_bytes[:count]):
            left_bytes -= size_bytes
            if left_bytes < 0:
                return index
    return count


class Room:
    """Says how many jobs of a batch may be accepted; made for one expansion."""

    def __init__(  # noqa: PLR0913  # the composition root's parts, by name
        self,
        *,
        batches: BatchStore,
        jobs: JobStore,
        loads: LoadStore,
        tenants: TenantStore,
        buckets: TokenBuckets,
        keys: Keyspace,
        waiting_max: int,
    ) -> None:
        self._batches = batches
        self._jobs = jobs
        self._loads = loads
        self._tenants = tenants
        self._buckets = buckets
        self._keys = keys
        self._waiting_max = waiting_max
        # Tokens that were taken and not yet used.
        self._tokens = 0
        self._waited_s = 0.0

    async def bytes_max(self, tenant: str) -> int:
        """Give what the pictures of *tenant* may take; 0 for any."""
        return (await self._tenant(tenant)).bytes_max

    async def quota(self, jobs: Sequence[Job]) -> Quota:
        """Give what *jobs* are held to when they are accepted; their tokens are taken before."""
        tenant = await self._tenant(jobs[0].tenant)
        return Quota(ceilings=ceilings_of(jobs, tenant, bytes_max=0))

    async def wait(self, batch: Batch, sizes_bytes: Sequence[int]) -> int:
        """Wait until some of these pictures may become jobs; give how many.

        0 when the batch was withdrawn. Raises HandedBack when told to stop, and when the tenant's
        limits have been waited for long enough.
        """
        pause_s, longest_s = _PAUSE_S
        while True:
            stopping.check()
            current = await self._batches.get(batch.batch_id)
            if current is None or current.state is not BatchState.EXPANDING:
                return 0
            room = self._waiting_max - (await self._jobs.counts())[JobState.QUEUED]
            if room > 0:
                count = await self._within_limits(batch, sizes_bytes[:room])
                if count:
                    return count
                await self._give_way(batch)
                self._waited_s += pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    def use(self, count: int) -> None:
        """Note that *count* jobs were accepted."""
        self._tokens = max(0, self._tokens - count)

    async def pause(self) -> None:
        """Wait a moment: others took the room that there was."""
        await asyncio.sleep(_PAUSE_S[0])

    async def _within_limits(self, batch: Batch, sizes_bytes: Sequence[int]) -> int:
        tenant = await self._tenant(batch.tenant)
        count = fitting(sizes_bytes, tenant, await self._loads.read())
        if count and not self._tokens:
            buckets = buckets_of(tenant, key_id=batch.template.key_id, keys=self._keys)
            taken = await self._buckets.take(buckets, at_most=count, spare_percent=_SPARE_PERCENT)
            self._tokens = taken.count
        return min(count, self._tokens)

    async def _give_way(self, batch: Batch) -> None:
        if self._waited_s < _PATIENCE_S:
            return
        is_alone = len(await self._batches.open()) < 2
        if self._waited_s >= (_PATIENCE_ALONE_S if is_alone else _PATIENCE_S):
            await self._batches.forget_attempts(batch.batch_id)
            raise HandedBack("the tenant's limits leave no room")

    async def _tenant(self, name: str) -> Tenant:
        return await self._tenants.get(name) or Tenant(tenant=name)
