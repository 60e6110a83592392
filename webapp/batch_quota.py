"""What a batch is held to by its tenant's settings: the rate, and the bytes of its source."""

from __future__ import annotations

from pipeline.batches.store import BatchStore
from pipeline.jobs.loads import LoadStore, bytes_field
from pipeline.jobs.quotas import BucketLevel
from pipeline.jobs.tenant_quotas import buckets_of
from pipeline.jobs.token_buckets import TokenBuckets
from pipeline.protocol import Keyspace
from webapp.access import Caller
from webapp.admission import RETRY_AFTER_S
from webapp.limits import rate_limited
from webapp.refusals import QuotaReached
from webapp.tenants import Tenants


class BatchQuota:
    """Checks batches before their source is read. The script that accepts them has the last word.

    A batch takes one token, as a job does; the jobs that it is made into take theirs later.
    """

    def __init__(
        self,
        *,
        tenants: Tenants,
        buckets: TokenBuckets,
        batches: BatchStore,
        loads: LoadStore,
        keys: Keyspace,
    ) -> None:
        self._tenants = tenants
        self._buckets = buckets
        self._batches = batches
        self._loads = loads
        self._keys = keys

    async def bytes_max(self, tenant: str) -> int:
        """Give what a tenant's sources and waiting pictures may take together; 0 for any."""
        return (await self._tenants.get(tenant)).bytes_max

    async def check_bytes(self, tenant: str, size_bytes: int) -> None:
        """Raise QuotaReached if a source of *size_bytes* is too much beside what is stored."""
        at_most = await self.bytes_max(tenant)
        if at_most:
            pictures_bytes = (await self._loads.read()).of(bytes_field(tenant))
            stored_bytes = pictures_bytes + await self._batches.stored_bytes(tenant)
            if stored_bytes + size_bytes > at_most:
                raise too_many_bytes(stored_bytes, at_most)

    async def take_token(self, caller: Caller) -> tuple[BucketLevel, ...]:
        """Take a token from each of the caller's buckets; raises RateLimited."""
        tenant = await self._tenants.get(caller.tenant)
        buckets = buckets_of(tenant, key_id=caller.key_id, keys=self._keys)
        tokens = await self._buckets.take(buckets, at_most=1)
        refusal = tokens.refusal
        if refusal and (limited := rate_limited(refusal, buckets, tokens.levels)):
            raise limited
        return tokens.levels


def too_many_bytes(stored_bytes: int, at_most: int) -> QuotaReached:
    """Say that a source has no room beside what its tenant has stored."""
    return QuotaReached(
        f"Of this tenant's {at_most} bytes for sources and waiting pictures {stored_bytes} are"
        " taken.",
        # How long a batch takes is anybody's guess.
        retry_after_s=RETRY_AFTER_S[1],
    )
