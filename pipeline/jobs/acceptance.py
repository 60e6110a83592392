"""Accepting jobs: what ``scripts/accept_jobs.lua`` is called with, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.jobs.job import Job
from pipeline.jobs.loads import loads_of
from pipeline.jobs.promises import Once, Promise
from pipeline.jobs.quotas import BucketLevel, Checked, Quota, Refusal
from pipeline.jobs.waiting_members import waiting_member
from pipeline.protocol import InferRequested, Keyspace
from pipeline.script_arguments import ScriptKeys, flat, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether jobs were accepted, and how many wait now.

    *earlier* is what was promised before under the same idempotency key: nothing was accepted now.
    *refusal* says which limit it was, *levels* what is left in the quota's buckets.
    """

    accepted: bool
    waiting: int
    earlier: Promise | None = None
    refusal: Refusal | None = None
    levels: tuple[BucketLevel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One call of the script, for jobs of one tenant."""

    keys: list[str]
    args: list[str | int]
    promise: Promise | None
    quota: Quota

    @classmethod
    def of(
        cls,
        space: Keyspace,
        jobs: Sequence[Job],
        *,
        waiting_max: int,
        quota: Quota,
        once: Once | None,
    ) -> Acceptance:
        """Put the call together; *once* makes it a repeatable one."""
        (tenant,) = {job.tenant for job in jobs}
        keys = ScriptKeys()
        for name in (
            space.counts,
            space.deadlines,
            space.jobs(tenant),
            space.events(tenant),
            space.loads,
        ):
            keys.index(name)
        documents = [_document(space, keys, job) for job in jobs]
        held_to: dict[str, Any] = {
            "loads": flat(loads_of(jobs)),
            "ceilings": [ceiling.to_document() for ceiling in quota.ceilings],
            "buckets": [
                {
                    "name": bucket.name,
                    "key": keys.index(bucket.key),
                    "rate": bucket.rate_per_s,
                    "burst": bucket.burst,
                }
                for bucket in quota.buckets
            ],
        }
        promise = None
        if once is not None:
            held_to["promise"] = keys.index(space.promise(tenant, once.key_sha256))
            promise = Promise(
                fingerprint=once.fingerprint, job_ids=tuple(job.job_id for job in jobs)
            )
        return cls(
            keys=keys.names,
            args=[
                waiting_max,
                to_json(documents),
                promise.to_text() if promise else "",
                once.keep_ms if once else 0,
                to_json(held_to),
            ],
            promise=promise,
            quota=quota,
        )

    def parse(self, answer: Sequence[Any]) -> Admission:
        """Read the script's answer."""
        verdict, waiting, *rest = answer
        text, *checks = rest or [""]
        found = Promise.from_text(text) if text else None
        if found == self.promise:
            # Its own, of this very call whose answer was lost.
            found = None
        checked = Checked.parse(self.quota, checks)
        return Admission(
            accepted=verdict > 0 and not found,
            waiting=int(waiting),
            earlier=found,
            refusal=checked.refusal,
            levels=checked.levels,
        )


def _document(space: Keyspace, keys: ScriptKeys, job: Job) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "record": keys.index(space.job(job.job_id)),
        "stream": keys.index(space.infer(job.model, job.priority, job.tenant)),
        "waiting": keys.index(space.waiting(job.model)),
        "member": waiting_member(job.priority, job.tenant),
        "bell": keys.index(space.bell(job.model)),
        "deadline": str(job.deadline_unix_ms) if job.deadline_unix_ms else "",
        "fields": flat(job.to_fields()),
        "message": flat(InferRequested(job_id=job.job_id).to_fields()),
    }
