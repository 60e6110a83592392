"""Deliveries and operations as the API tells of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from gw.asking import Document, ask, ask_pages, path_to
from pipeline.errors import InvalidRequest

COLUMNS: Final = ("delivery", "state", "event", "at", "to", "tries", "")

_POLL_S: Final = 0.5
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def list_deliveries(
    client: httpx.Client, filters: Mapping[str, str], *, limit: int
) -> Iterator[Document]:
    """Give at most *limit* deliveries, those of the newest events first."""
    return ask_pages(client, "/v1/deliveries", "deliveries", filters, limit=limit)


def delivery_path(delivery_id: str) -> str:
    """Give the path of a delivery, whatever was typed for its id."""
    return path_to("deliveries", delivery_id)


def begin(client: httpx.Client, endpoint_id: str, kind: str, fields: Document) -> Document:
    """Begin an operation (recover, replay) of an endpoint; give its document."""
    return ask(client, "POST", f"{path_to('webhooks', endpoint_id)}/{kind}", body=fields)


def follow(client: httpx.Client, operation: Document, *, wait_s: float) -> Document:
    """Wait for an operation's end, *wait_s* at most; give its document as it is then."""
    until_s = time.monotonic() + wait_s
    while operation["state"] == "running" and time.monotonic() < until_s:
        time.sleep(_POLL_S)
        operation = ask(client, "GET", operation["links"]["self"])
    return operation


def moment_of(text: str, *, now: datetime) -> str:
    """Give the moment that *text* names: RFC 3339, or how long ago, such as 90m, 12h or 3d.

    >>> moment_of("2h", now=datetime(2030, 1, 1, 12, tzinfo=UTC))
    '2030-01-01T10:00:00+00:00'

    Raises InvalidRequest.
    """
    number, unit = text[:-1], text[-1:]
    try:
        if unit in _UNITS and number.isascii() and number.isdecimal():
            return (now - timedelta(**{_UNITS[unit]: int(number)})).isoformat()
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise InvalidRequest(f"{text!r} is no moment; write 2030-01-31T12:00:00Z, or 12h") from exc
    # Without an offset it is the clock on this wall.
    return moment.astimezone(UTC).isoformat()


def row_of(delivery: Document) -> tuple[str, ...]:
    """Give the row of a delivery in a table."""
    at = delivery["event_at"]
    shown = f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}" if at else "-"
    subscriber = delivery["subscriber"]
    return (
        delivery["id"],
        delivery["state"],
        delivery["event_type"] or "-",
        shown,
        subscriber["endpoint"] or subscriber["url"] or "-",
        str(delivery["tries"]),
        delivery["reason"] or "",
    )


def attempt_rows(delivery: Document) -> list[tuple[str, ...]]:
    """Give the rows of a delivery's attempts."""
    return [
        (
            str(each["number"]),
            each["at"],
            f"{each['duration_ms']} ms",
            str(each["status"] or each["error"] or "-"),
            (each["answer"] or "").splitlines()[0][:80] if each["answer"] else "",
        )
        for each in delivery["attempts"]
    ]


def operation_line(operation: Document) -> str:
    """Tell in a line how far an operation is."""
    line = (
        f"{operation['id']} ({operation['kind']}): {operation['state']},"
        f" {operation['sent']} sent, {operation['passed_over']} passed over"
    )
    if operation["reason"]:
        return f"{line}: {operation['reason']}"
    return f"{line}, the last is due at {operation['last_due']}" if operation["last_due"] else line
