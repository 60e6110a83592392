"""Refusals and RateLimit fields told."""

from __future__ import annotations

import pytest

from pipeline.access.tenants import Tenant
from pipeline.jobs.acceptance import Admission
from pipeline.jobs.quotas import Bucket, BucketLevel, Refusal
from pipeline.jobs.tenant_quotas import quota_of
from pipeline.protocol import Keyspace
from tests.builders import make_job
from webapp.limits import rate_limit_fields, refused
from webapp.outlook import Outlook

KEYS = Keyspace("t")


def test_fields_list_every_policy_and_what_is_left() -> None:
    """Structured fields: a quoted name with parameters for each."""
    levels = [
        BucketLevel(
            bucket=Bucket(name="tenant", key="x", rate_per_s=10, burst=100),
            remaining=42,
            reset_ms=5800,
        ),
        BucketLevel(
            bucket=Bucket(name="key", key="y", rate_per_s=0.5, burst=1), remaining=0, reset_ms=2000
        ),
    ]

    assert rate_limit_fields(levels) == {
        "RateLimit-Policy": '"tenant";q=100;w=10, "key";q=1;w=2',
        "RateLimit": '"tenant";r=42;t=6, "key";r=0;t=2',
    }
    assert rate_limit_fields(()) == {}


@pytest.mark.parametrize(
    ("name", "amount", "code", "retry_after_s"),
    [
        ("tenant", 3200, "rate_limited", 4),
        ("tenant_jobs", 10, "quota_reached", 1),
        # A job of 1,000 bytes leaves twenty times a second; 5,000 bytes are too many.
        ("tenant_bytes", 9_000, "quota_reached", 1),
        ("bytes", 99_000, "overloaded", 5),
    ],
)
def test_a_refusal_says_which_limit_and_when_to_come_again(
    name: str, amount: int, code: str, retry_after_s: int
) -> None:
    """Each limit has its code, and its time from the pace at which it clears."""
    tenant = Tenant(tenant="default", jobs_per_s=1, jobs_waiting_max=10, bytes_max=5_000)
    jobs = [make_job()]
    quota = quota_of(jobs, tenant, keys=KEYS, bytes_max=1_000, ceiling=None)
    admission = Admission(accepted=False, waiting=5, refusal=Refusal(name=name, amount=amount))

    error = refused(
        admission, quota, jobs, outlook=Outlook(per_s=20.0, share=1.0), drained_per_s=0.0
    )

    assert error is not None
    assert (error.code, error.retry_after_s) == (code, retry_after_s)


def test_the_platforms_own_queue_is_not_the_quotas() -> None:
    """Its refusal has words of its own."""
    admission = Admission(accepted=False, waiting=5, refusal=Refusal(name="queue", amount=5))
    quota = quota_of([make_job()], Tenant(tenant="a"), keys=KEYS, bytes_max=0, ceiling=None)

    outlook = Outlook(per_s=1.0, share=1.0)
    assert refused(admission, quota, [make_job()], outlook=outlook, drained_per_s=1.0) is None
