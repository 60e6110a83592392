"""What a tenant's settings hold a submission to: ceilings on what waits, and buckets of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from pipeline.access.tenants import Tenant
from pipeline.jobs.job import Job
from pipeline.jobs.loads import BYTES, bytes_field, jobs_field
from pipeline.jobs.quotas import Bucket, Ceiling, Quota
from pipeline.protocol import Keyspace

#: A bucket holds the jobs of so many seconds where the tenant has no burst of its own.
_BURST_S: Final = 2.0

#: The ceilings' names.
TENANT_JOBS: Final = "tenant_jobs"
TENANT_BYTES: Final = "tenant_bytes"
ALL_BYTES: Final = "bytes"

#: The buckets' names, as the RateLimit fields carry them.
TENANT_BUCKET: Final = "tenant"
KEY_BUCKET: Final = "key"


def buckets_of(tenant: Tenant, *, key_id: str, keys: Keyspace) -> tuple[Bucket, ...]:
    """Give the buckets that a job of this key takes a token from."""
    buckets = []
    if tenant.jobs_per_s > 0:
        buckets.append(
            _bucket(TENANT_BUCKET, keys.bucket(tenant.tenant), tenant.jobs_per_s, tenant.burst)
        )
    if tenant.key_jobs_per_s > 0:
        key = keys.bucket(tenant.tenant, key_id)
        buckets.append(_bucket(KEY_BUCKET, key, tenant.key_jobs_per_s, 0))
    return tuple(buckets)


def ceilings_of(jobs: Sequence[Job], tenant: Tenant, *, bytes_max: int) -> tuple[Ceiling, ...]:
    """Give the ceilings of *jobs*; *bytes_max* bounds everybody's pictures, 0 does not."""
    ceilings = []
    if tenant.jobs_waiting_max:
        ceilings.append(
            Ceiling(
                name=TENANT_JOBS,
                fields=(jobs_field(tenant.tenant),),
                by=len(jobs),
                at_most=tenant.jobs_waiting_max,
            )
        )
    size_bytes = sum(job.picture.size_bytes for job in jobs)
    for name, field, at_most in (
        (TENANT_BYTES, bytes_field(tenant.tenant), tenant.bytes_max),
        (ALL_BYTES, BYTES, bytes_max),
    ):
        if at_most:
            ceilings.append(Ceiling(name=name, fields=(field,), by=size_bytes, at_most=at_most))
    return tuple(ceilings)


def quota_of(
    jobs: Sequence[Job], tenant: Tenant, *, keys: Keyspace, bytes_max: int, ceiling: Ceiling | None
) -> Quota:
    """Put together what *jobs* of one submission are held to; *ceiling* is their deadline's."""
    own = ceilings_of(jobs, tenant, bytes_max=bytes_max)
    return Quota(
        ceilings=own if ceiling is None else (ceiling, *own),
        buckets=buckets_of(tenant, key_id=jobs[0].key_id, keys=keys),
    )


def _bucket(name: str, key: str, rate_per_s: float, burst: int) -> Bucket:
    filled = burst or max(1, math.ceil(rate_per_s * _BURST_S))
    return Bucket(name=name, key=key, rate_per_s=rate_per_s, burst=filled)
