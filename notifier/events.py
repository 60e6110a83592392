"""The event that tells of a job's end, as the bytes that are signed and sent.

``{"type":"job.succeeded","timestamp":"2026-01-01T00:00:00.000Z","data":{...}}`` (Standard Webhooks
1.0.0). The same facts give the same bytes, so every attempt carries the same body: it is built
anew from the job's record each time, and stored nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.errors import ContractBroken

CONTENT_TYPE = "application/json"
_TYPE = re.compile(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_body(
    *,
    state: str,
    finished_unix_ms: int,
    facts: Mapping[str, Any],
    result: Mapping[str, Any] | None = None,
) -> bytes:
    """Give the body of event ``job.<state>``, whose time is the job's end.

    ``data`` is *facts*, with *result* as its member ``result`` where there is one. Raises
    ContractBroken for what JSON or the event's type cannot hold.
    """
    event_type = f"job.{state}"
    if not _TYPE.fullmatch(event_type):
        raise ContractBroken(f"{event_type!r} is not an event type")
    data = dict(facts)
    if result is not None:
        data["result"] = dict(result)
    try:
        timestamp = utc_timestamp(finished_unix_ms)
        # Members sorted: the record does not promise an order. NaN is not JSON.
        text = json.dumps(
            data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return f'{{"type":"{event_type}","timestamp":"{timestamp}","data":{text}}}'.encode()
    except (TypeError, ValueError, OverflowError) as exc:
        raise ContractBroken(f"{event_type}: the event cannot be written: {exc}") from exc


def utc_timestamp(unix_ms: int) -> str:
    """Give the moment as ISO 8601 in UTC with milliseconds, such as 2026-01-01T00:00:00.000Z."""
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{unix_ms % 1000:03d}Z"
