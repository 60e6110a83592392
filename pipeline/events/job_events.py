"""The event that a job's end is: the same facts whoever makes it, and however often."""

from __future__ import annotations

import json
from typing import Any

from pipeline.events.event import Event
from pipeline.ids import event_id_of
from pipeline.jobs.job import Job, JobState


def event_of(job: Job) -> Event:
    """Give the event that the end of *job* is."""
    result = json.loads(job.result) if job.result else None
    facts: dict[str, Any] = {
        "id": job.job_id,
        "state": job.state,
        "model": job.model,
        "version": job.version,
        "reference": job.reference,
        "metadata": job.metadata,
        "accepted_unix_ms": job.accepted_unix_ms,
        "finished_unix_ms": job.finished_unix_ms,
        "sequence": sequence_of(job),
        "terminal": job.state.is_terminal,
    }
    if job.reason_code:
        facts["reason"] = {"code": job.reason_code, "detail": job.reason}
    if result is not None:
        facts["result"] = result
    return Event(
        event_id=event_id_of(job.job_id),
        tenant=job.tenant,
        type=f"job.{job.state}",
        subject=job.job_id,
        unix_ms=job.finished_unix_ms,
        data=facts,
        subscribers=job.subscribers,
        model=job.model,
        reference=job.reference,
        labels=_labels(result),
        job=job,
    )


def sequence_of(job: Job) -> int:
    """Give a number that grows with every step of a job, so that a receiver can drop late news.

    It follows from state and attempt: four numbers for each attempt, in the order of its steps.
    """
    steps = {JobState.RUNNING: -2, JobState.INFERRED: -1, JobState.QUEUED: 1}
    return 4 * job.attempt + steps.get(job.state, 2)


def _labels(result: Any) -> tuple[str, ...]:
    counts = result.get("counts") if isinstance(result, dict) else None
    by_label = counts.get("by_label") if isinstance(counts, dict) else None
    if not isinstance(by_label, dict):
        return ()
    return tuple(sorted(label for label, count in by_label.items() if count))
