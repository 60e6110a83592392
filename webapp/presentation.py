"""Records as the documents that callers see. Never a secret, never another's URL query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.documents import compact_json
from pipeline.events.log import LoggedEvent, NamedCursor
from pipeline.jobs.job import Job, JobState, PictureFacts, Subscriber
from pipeline.models.tensors import TensorFacts


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
        "picture": None if job.tensor else _picture(job.picture),
        "tensor": _tensor(job.tensor) if job.tensor else None,
        "reason": {"code": job.reason_code, "detail": job.reason} if job.reason_code else None,
        "links": {
            "self": path,
            "result": f"{path}/result",
            "deliveries": f"{path}/deliveries",
            "events": f"{path}/events",
            "picture": f"{path}/picture" if job.keep_picture_s else None,
            "preview": f"{path}/preview" if job.preview else None,
            "outputs": f"{path}/outputs" if job.raw_outputs else None,
        },
    }


def _picture(picture: PictureFacts) -> dict[str, Any]:
    return {
        "format": picture.format,
        "width": picture.width_px,
        "height": picture.height_px,
        "bytes": picture.size_bytes,
    }


def _tensor(tensor: TensorFacts) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "bytes": tensor.size_bytes,
    }


def job_json(job: Job, *, with_result: bool = False) -> str:
    """Give a job's document as JSON text, its stored result spliced in as it is when asked for."""
    text = compact_json(job_document(job))
    if not with_result:
        return text
    result = job.result if job.state is JobState.SUCCEEDED and job.result else "null"
    return f'{text[:-1]},"result":{result}}}'


def jobs_json(jobs: Sequence[Job], *, with_result: bool = False) -> str:
    """Give several jobs as one JSON document, or a single one as itself."""
    texts = [job_json(job, with_result=with_result) for job in jobs]
    return texts[0] if len(texts) == 1 else f'{{"jobs":[{",".join(texts)}]}}'


def page_json(jobs: Sequence[Job], cursor: str) -> str:
    """Give one page of a list, and the cursor of the next one, null for none."""
    texts = ",".join(map(job_json, jobs))
    return f'{{"jobs":[{texts}],"next":{compact_json(cursor or None)}}}'


def event_document(event: LoggedEvent, job: Job | None) -> dict[str, Any]:
    """Give the document of an event; of a job that is gone only the id is left."""
    data = {"id": event.job_id} if job is None else job_document(job)
    return {
        "id": event.cursor,
        "type": f"job.{event.event}",
        "timestamp": moment(event.unix_ms),
        "data": data,
    }


def job_event_document(job: Job, *, now_unix_ms: int) -> dict[str, Any]:
    """Give the document of the state in which *job* was seen."""
    at_unix_ms = job.finished_unix_ms or now_unix_ms
    return {
        "type": f"job.{job.state}",
        "timestamp": moment(at_unix_ms),
        "data": job_document(job),
    }


def subscriber_document(named: NamedCursor) -> dict[str, Any]:
    """Give the document of a named subscriber of the event feed."""
    return {
        "subscriber": named.name,
        "cursor": named.cursor,
        "noted_at": moment(named.noted_unix_ms),
    }


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
        "attempts": [attempt_document(each) for each in attempts],
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    """Give the document of one attempt."""
    return {
        "number": attempt.number,
        "at": moment(attempt.at_unix_ms),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status or None,
        "error": attempt.error or None,
        "answer": attempt.answer or None,
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
