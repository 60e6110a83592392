"""The end of a job in the words of another protocol: a prediction's, or a queue request's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pipeline.deliveries import cog, fal
from pipeline.deliveries.endpoints import Format
from pipeline.errors import ContractBroken
from pipeline.jobs.job import Job


def own_format(job: Job | None) -> Format:
    """Give the format of what a URL of *job*'s own gets: that of the protocol it came by."""
    return {cog.DIALECT: Format.COG, fal.DIALECT: Format.FAL}.get(
        job.dialect if job else "", Format.STANDARD
    )


def dialect_body(job: Job, form: Format, *, is_thin: bool, base_url: str) -> bytes | None:
    """Give the bytes that tell of the end of *job*; None for a format that is no dialect's.

    A thin body is without the result. Raises ContractBroken for what JSON cannot hold.
    """
    told = replace(job, result="") if is_thin else job
    document: dict[str, Any]
    if form is Format.COG:
        document = cog.prediction_document(told, base_url=base_url)
    elif form is Format.FAL:
        document = fal.webhook_document(told)
    else:
        return None
    try:
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as exc:
        raise ContractBroken(f"{job.job_id}: the event cannot be written: {exc}") from exc
