"""What a subscriber is told of a job's end: the same facts in every attempt."""

from __future__ import annotations

import json
from typing import Any

from notifier.events import event_body
from pipeline.jobs.job import Job


def announcement(job: Job) -> bytes:
    """Give the event's body for an ended *job*."""
    facts: dict[str, Any] = {
        "id": job.job_id,
        "state": job.state,
        "model": job.model,
        "version": job.version,
        "reference": job.reference,
        "metadata": job.metadata,
        "accepted_unix_ms": job.accepted_unix_ms,
        "finished_unix_ms": job.finished_unix_ms,
    }
    if job.reason_code:
        facts["reason"] = {"code": job.reason_code, "detail": job.reason}
    return event_body(
        state=job.state,
        finished_unix_ms=job.finished_unix_ms,
        facts=facts,
        result=json.loads(job.result) if job.result else None,
    )
