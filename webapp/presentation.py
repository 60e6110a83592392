"""Records as the documents that callers see. Never a secret, never another's URL query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.jobs.job import Job, JobState, Subscriber
from pipeline.models.catalogue import ModelEntry


def job_path(job_id: str) -> str:
    """Give the path of a job."""
    return f"/v1/jobs/{job_id}"


def job_document(job: Job) -> dict[str, Any]:
    """Give the document of a job; every member is always there, null where there is nothing."""
    path = job_path(job.job_id)
    return {
        "id": job.job_id,
        "state": job.state,
        "model": job.model,
        "version": job.version,
        "priority": job.priority,
        "reference": job.reference or None,
        "metadata": job.metadata,
        "accepted_at": moment(job.accepted_unix_ms),
        "started_at": moment(job.started_unix_ms),
        "finished_at": moment(job.finished_unix_ms),
        "deadline": moment(job.deadline_unix_ms),
        "picture": {
            "format": job.picture.format,
            "width": job.picture.width_px,
            "height": job.picture.height_px,
            "bytes": job.picture.size_bytes,
        },
        "reason": {"code": job.reason_code, "detail": job.reason} if job.reason_code else None,
        "links": {"self": path, "result": f"{path}/result", "deliveries": f"{path}/deliveries"},
    }


def job_json(job: Job, *, with_result: bool = False) -> str:
    """Give a job's document as JSON text, its stored result spliced in as it is when asked for."""
    text = to_json(job_document(job))
    if not with_result:
        return text
    result = job.result if job.state is JobState.SUCCEEDED and job.result else "null"
    return f'{text[:-1]},"result":{result}}}'


def jobs_json(jobs: Sequence[Job], *, with_result: bool = False) -> str:
    """Give several jobs as one JSON document, or a single one as itself."""
    texts = [job_json(job, with_result=with_result) for job in jobs]
    return texts[0] if len(texts) == 1 else f'{{"jobs":[{",".join(texts)}]}}'


def delivery_document(
    subscriber: Subscriber, delivery: Delivery | None, attempts: Sequence[Attempt]
) -> dict[str, Any]:
    """Give the document of one delivery; None stands for one that is not due before the job's end.

    *due* is the moment of the next attempt, null for at once and when none will follow.
    """
    state = delivery.state if delivery else DeliveryState.PENDING
    due_unix_ms = delivery.due_unix_ms if delivery and state is DeliveryState.PENDING else 0
    return {
        "id": subscriber.delivery_id,
        "state": state,
        "subscriber": {
            "endpoint": subscriber.endpoint_id or None,
            "url": public_url(subscriber.url) or None,
        },
        "due": moment(due_unix_ms),
        "attempts": [
            {
                "number": attempt.number,
                "at": moment(attempt.at_unix_ms),
                "duration_ms": attempt.duration_ms,
                "status": attempt.status or None,
                "error": attempt.error or None,
                "answer": attempt.answer or None,
            }
            for attempt in attempts
        ],
    }


def model_document(entry: ModelEntry) -> dict[str, Any]:
    """Give the document of a model."""
    return {
        "name": entry.name,
        "task": entry.task,
        "description": entry.description,
        "state": "ready" if entry.is_ready else "refused",
        "reason": entry.reason or None,
        "versions": list(entry.versions),
        "labels": list(entry.labels),
    }


def public_url(url: str) -> str:
    """Give a URL without what may be secret in it: user-info, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def moment(unix_ms: int) -> str | None:
    """Give a moment as RFC 3339 in UTC with milliseconds, None for 0.

    >>> moment(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    if not unix_ms:
        return None
    # From whole seconds: a float of milliseconds would round now and then.
    at = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


def to_json(document: Any) -> str:
    """Give compact JSON text."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
