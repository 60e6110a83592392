"""A batch as the document that callers and subscribers see. Never a secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.batches.batch import Batch


def batch_document(batch: Batch) -> dict[str, Any]:
    """Give the document of a batch; every member is always there, null where there is nothing."""
    job, counts, path = batch.template, batch.counts, batch_path(batch.batch_id)
    return {
        "id": batch.batch_id,
        "state": batch.state,
        "kind": batch.kind,
        "model": job.model,
        "version": job.version,
        "priority": job.priority,
        "reference": job.reference or None,
        "metadata": job.metadata,
        "bytes": batch.size_bytes,
        "accepted_at": moment(batch.accepted_unix_ms),
        "finished_at": moment(batch.finished_unix_ms),
        "deadline": moment(job.deadline_unix_ms),
        "items": {
            "total": batch.items_total or None,
            "expanded": counts.items,
            "refused": counts.refused,
        },
        "jobs": {
            "made": counts.jobs,
            "live": counts.live,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
        "reason": (
            {"code": batch.reason_code, "detail": batch.reason} if batch.reason_code else None
        ),
        "links": {"self": path, "items": f"{path}/items", "results": f"{path}/results"},
    }


def batch_path(batch_id: str) -> str:
    """Give the path of a batch."""
    return f"/v1/batches/{batch_id}"


def moment(unix_ms: int) -> str | None:
    """Give a moment as RFC 3339 in UTC with milliseconds, None for 0."""
    if not unix_ms:
        return None
    at = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"
