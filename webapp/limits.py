"""What a submission is held to by its tenant's settings, and how refusals and the rest are told."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.errors import Overloaded
from pipeline.jobs.acceptance import Admission
from pipeline.jobs.job import Job
from pipeline.jobs.quotas import Bucket, BucketLevel, Ceiling, Quota, Refusal
from pipeline.jobs.tenant_quotas import TENANT_BYTES, TENANT_JOBS
from webapp.admission import RETRY_AFTER_S, retry_after_s
from webapp.outlook import DEADLINE, Outlook
from webapp.refusals import DeadlineUnreachable, QuotaReached, RateLimited


def refused(
    admission: Admission,
    quota: Quota,
    jobs: Sequence[Job],
    *,
    outlook: Outlook,
    drained_per_s: float,
) -> Overloaded | None:
    """Say why the quota refused *jobs*; None where it was not the quota."""
    refusal = admission.refusal
    if refusal is None:
        return None
    if limited := rate_limited(refusal, quota.buckets, admission.levels):
        return limited
    for ceiling in quota.ceilings:
        if refusal.name == DEADLINE == ceiling.name:
            excess = refusal.amount + ceiling.by - ceiling.at_most
            return _too_late(jobs, outlook, excess)
        if refusal.name == ceiling.name:
            return _too_much(ceiling, refusal.amount, jobs, outlook, drained_per_s)
    return None


def rate_limited(
    refusal: Refusal, buckets: Sequence[Bucket], levels: Sequence[BucketLevel]
) -> RateLimited | None:
    """Say which of *buckets* had too few tokens; None where it was none of them."""
    for bucket in buckets:
        if refusal.name == bucket.name:
            return RateLimited(
                f"This {bucket.name} may submit {bucket.rate_per_s:g} jobs a second.",
                retry_after_s=max(1, math.ceil(refusal.amount / 1000)),
                headers=rate_limit_fields(levels),
            )
    return None


def rate_limit_fields(levels: Sequence[BucketLevel]) -> dict[str, str]:
    """Give the RateLimit and RateLimit-Policy fields; none without a limit.

    Source: draft-ietf-httpapi-ratelimit-headers-10, structured fields (RFC 9651).
    """
    if not levels:
        return {}
    policies, states = [], []
    for level in levels:
        bucket = level.bucket
        window_s = max(1, round(bucket.burst / bucket.rate_per_s))
        policies.append(f'"{bucket.name}";q={bucket.burst};w={window_s}')
        states.append(
            f'"{bucket.name}";r={level.remaining};t={math.ceil(max(0, level.reset_ms) / 1000)}'
        )
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def _too_late(jobs: Sequence[Job], outlook: Outlook, excess: int) -> DeadlineUnreachable:
    low, high = RETRY_AFTER_S
    wait_s = outlook.wait_s(jobs[0], count=len(jobs))
    return DeadlineUnreachable(
        f"The result would be there in about {wait_s:.1f} seconds, after the deadline.",
        retry_after_s=min(high, max(low, math.ceil(excess / max(outlook.per_s, 1e-6)))),
        estimate_s=round(wait_s, 3),
    )


def _too_much(
    ceiling: Ceiling, amount: int, jobs: Sequence[Job], outlook: Outlook, drained_per_s: float
) -> Overloaded:
    excess = amount + ceiling.by - ceiling.at_most
    if ceiling.name == TENANT_JOBS:
        rate = outlook.per_s * outlook.share or drained_per_s
        return QuotaReached(
            f"This tenant may have {ceiling.at_most} jobs waiting, and has {amount}.",
            retry_after_s=retry_after_s(excess, rate),
        )
    mean_bytes = max(1.0, ceiling.by / len(jobs))
    wait_s = retry_after_s(math.ceil(excess / mean_bytes), outlook.per_s or drained_per_s)
    text = f"{ceiling.at_most} bytes for waiting pictures {amount} are taken."
    if ceiling.name == TENANT_BYTES:
        return QuotaReached(f"Of this tenant's {text}", retry_after_s=wait_s)
    return Overloaded(f"Of all {text}", retry_after_s=wait_s)
