"""A job as a prediction: what Cog and Replicate call the same thing, in answers and in webhooks.

Source: Cog's HTTP API and Replicate's, both as of 2025.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.batches.documents import moment
from pipeline.jobs.job import Job, JobState

#: What a job's record says that was submitted as a prediction.
DIALECT = "cog"

#: Models have one word for a name here; two are asked for there, and the first says nothing.
OWNER = "gw"

_STATUS: Mapping[JobState, str] = {
    JobState.QUEUED: "starting",
    JobState.RUNNING: "processing",
    JobState.INFERRED: "processing",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
    # Clients know three ends; the error says which this was.
    JobState.EXPIRED: "failed",
}


def prediction_id(job: Job) -> str:
    """Give the id that the caller chose for the prediction, else the job's own."""
    return job.reference if job.dialect == DIALECT and job.reference else job.job_id


def prediction_document(job: Job, *, base_url: str) -> dict[str, Any]:
    """Give the prediction that *job* is; its output is the result as it was stored.

    *base_url* is where callers reach the API, "" for links that are paths. The picture is not among
    the inputs: it is not kept.
    """
    path = f"{base_url.rstrip('/')}/v1/predictions/{prediction_id(job)}"
    has_failed = _STATUS[job.state] == "failed"
    return {
        "id": prediction_id(job),
        "model": f"{OWNER}/{job.model}",
        "version": version_id(job.model, job.version),
        "status": _STATUS[job.state],
        "input": dict(job.metadata),
        "output": json.loads(job.result) if job.result else None,
        "error": (job.reason or job.reason_code) if has_failed else None,
        "logs": "",
        "metrics": _metrics(job),
        "created_at": moment(job.accepted_unix_ms),
        "started_at": moment(job.started_unix_ms),
        "completed_at": moment(job.finished_unix_ms),
        "urls": {"get": path, "cancel": f"{path}/cancel"},
    }


def version_id(model: str, version: str) -> str:
    """Give the word for a version; it names its model, for clients send it alone."""
    return f"{model}:{version}"


def _metrics(job: Job) -> dict[str, float]:
    if not job.finished_unix_ms:
        return {}
    metrics = {"total_time": (job.finished_unix_ms - job.accepted_unix_ms) / 1000}
    if job.started_unix_ms:
        metrics["predict_time"] = (job.finished_unix_ms - job.started_unix_ms) / 1000
    return metrics
