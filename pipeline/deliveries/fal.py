"""A job as a request in fal's queue: its status, its end, and the webhook about it.

Source: fal's queue and webhook documentation as of 2025, and the client of PyPI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import DeadlinePassed, UndecodablePicture
from pipeline.jobs.job import Job, JobState

#: What a job's record says that was submitted to the queue.
DIALECT = "fal"

TIMED_OUT = "request_timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a request has no output, with the HTTP status that its answer has."""

    status: int
    error_type: str
    detail: str

    def to_document(self) -> dict[str, Any]:
        """Give the body of the answer."""
        return {"detail": self.detail, "error_type": self.error_type}


_FAILURES: Mapping[str, tuple[int, str]] = {
    UndecodablePicture.code: (422, "bad_request"),
    DeadlinePassed.code: (504, TIMED_OUT),
}


def failure_of(job: Job) -> Failure | None:
    """Give why *job* ended without a result; None for one that succeeded, or has not ended."""
    if not job.state.is_terminal or job.state is JobState.SUCCEEDED:
        return None
    status, error_type = _FAILURES.get(job.reason_code, (500, "internal_error"))
    if job.state is JobState.CANCELED:
        status, error_type = 499, "client_cancelled"
    elif job.state is JobState.EXPIRED:
        status, error_type = 504, TIMED_OUT
    return Failure(status=status, error_type=error_type, detail=job.reason or job.reason_code)


def status_document(job: Job, *, base_url: str, queue_position: int, logs: bool) -> dict[str, Any]:
    """Give where the request stands. *base_url* is the request's own URL, without a slash."""
    document: dict[str, Any] = {
        "status": "IN_PROGRESS",
        "request_id": job.job_id,
        "logs": [] if logs else None,
        **urls(base_url),
    }
    if job.state is JobState.QUEUED:
        return document | {"status": "IN_QUEUE", "queue_position": queue_position}
    if not job.state.is_terminal:
        return document
    document |= {"status": "COMPLETED", "metrics": _metrics(job)}
    if failure := failure_of(job):
        document |= {"error": failure.detail, "error_type": failure.error_type}
    return document


def urls(base_url: str) -> dict[str, str]:
    """Give where the rest of a request is to be found."""
    return {
        "response_url": base_url,
        "status_url": f"{base_url}/status",
        "cancel_url": f"{base_url}/cancel",
    }


def webhook_document(job: Job) -> dict[str, Any]:
    """Give what a webhook says of the end of *job*."""
    head = {"request_id": job.job_id, "gateway_request_id": job.job_id}
    if failure := failure_of(job):
        return head | {
            "status": "ERROR",
            "error": failure.detail,
            "payload": failure.to_document(),
        }
    payload = json.loads(job.result) if job.result else None
    return head | {"status": "OK", "error": None, "payload": payload}


def _metrics(job: Job) -> dict[str, float]:
    if not job.started_unix_ms:
        return {}
    return {"inference_time": (job.finished_unix_ms - job.started_unix_ms) / 1000}
