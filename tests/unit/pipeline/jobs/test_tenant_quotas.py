"""Quotas put together from a tenant's settings."""

from __future__ import annotations

from pipeline.access.tenants import Tenant
from pipeline.jobs.tenant_quotas import buckets_of, quota_of
from pipeline.protocol import Keyspace
from tests.builders import make_job

KEYS = Keyspace("t")


def test_a_tenant_without_limits_is_held_to_nothing() -> None:
    """The script has nothing to check, and makes no call more than without quotas."""
    quota = quota_of([make_job()], Tenant(tenant="default"), keys=KEYS, bytes_max=0, ceiling=None)

    assert (quota.ceilings, quota.buckets) == ((), ())


def test_a_burst_is_two_seconds_unless_it_is_set() -> None:
    """And never less than one job, or nothing would ever pass."""

    def burst(rate: float, set_to: int = 0) -> int:
        tenant = Tenant(tenant="a", jobs_per_s=rate, burst=set_to)
        (bucket,) = buckets_of(tenant, key_id="k", keys=KEYS)
        return bucket.burst

    assert [burst(0.01), burst(0.5), burst(10), burst(10, 3)] == [1, 1, 20, 3]


def test_a_key_and_its_tenant_have_buckets_apart() -> None:
    """Two keys of one tenant share the tenant's and nothing else."""
    tenant = Tenant(tenant="a", jobs_per_s=5, key_jobs_per_s=1)

    one = {bucket.key for bucket in buckets_of(tenant, key_id="1", keys=KEYS)}
    two = {bucket.key for bucket in buckets_of(tenant, key_id="2", keys=KEYS)}

    assert len(one & two) == 1
    assert len(one | two) == 3
