"""An event as the bytes that are signed and sent, in the form that its receiver asked for.

``{"type":"job.succeeded","timestamp":"2026-01-01T00:00:00.000Z","data":{...}}`` (Standard Webhooks
1.0.0), or a CloudEvent 1.0 in structured mode: Standard Webhooks signs the body alone, so in binary
mode the ``ce-`` headers would be anybody's. The same facts give the same bytes, so every attempt
carries the same body: it is built anew each time, and stored nowhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from pipeline.deliveries.endpoints import Format
from pipeline.documents import compact_json
from pipeline.errors import ContractBroken

CONTENT_TYPES: Mapping[str, str] = {
    Format.STANDARD: "application/json",
    Format.CLOUDEVENTS: "application/cloudevents+json; charset=UTF-8",
    Format.COG: "application/json",
    Format.FAL: "application/json",
}
_TYPE = re.compile(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def standard_body(*, event_type: str, unix_ms: int, data: Mapping[str, Any]) -> bytes:
    """Give the body of an event by Standard Webhooks; *unix_ms* is when it happened.

    Raises ContractBroken for what JSON or the event's type cannot hold.
    """
    head = {"type": _checked(event_type), "timestamp": _moment(event_type, unix_ms)}
    return _written(event_type, head, data)


def cloud_event_body(
    *, message_id: str, event_type: str, unix_ms: int, tenant: str, subject: str, data: Any
) -> bytes:
    """Give the body of an event by CloudEvents 1.0, whose id is the ``webhook-id``.

    Raises ContractBroken as :func:`standard_body` does.
    """
    head = {
        "specversion": "1.0",
        "id": message_id,
        "source": f"/gw/{quote(tenant, safe='')}",
        "type": _checked(event_type),
        "subject": subject,
        "time": _moment(event_type, unix_ms),
        "datacontenttype": "application/json",
    }
    return _written(event_type, head, data)


def utc_timestamp(unix_ms: int) -> str:
    """Give the moment as ISO 8601 in UTC with milliseconds, such as 2026-01-01T00:00:00.000Z."""
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{unix_ms % 1000:03d}Z"


def _checked(event_type: str) -> str:
    if not _TYPE.fullmatch(event_type):
        raise ContractBroken(f"{event_type!r} is not an event type")
    return event_type


def _moment(event_type: str, unix_ms: int) -> str:
    try:
        return utc_timestamp(unix_ms)
    except (ValueError, OverflowError) as exc:
        raise ContractBroken(f"{event_type}: the event cannot be written: {exc}") from exc


def _written(event_type: str, head: Mapping[str, str], data: Mapping[str, Any]) -> bytes:
    try:
        first = compact_json(head)
        # Members sorted: the record does not promise an order. NaN is not JSON.
        text = json.dumps(
            data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return f'{first[:-1]},"data":{text}}}'.encode()
    except (TypeError, ValueError, OverflowError) as exc:
        raise ContractBroken(f"{event_type}: the event cannot be written: {exc}") from exc
