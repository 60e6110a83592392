"""Moments as people write them, and deliveries in a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gw.deliveries_remote import attempt_rows, moment_of, operation_line, row_of
from pipeline.errors import InvalidRequest

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", "2030-01-02T10:30:00+00:00"),
        ("12h", "2030-01-02T00:00:00+00:00"),
        ("1d", "2030-01-01T12:00:00+00:00"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00+00:00"),
        ("2030-01-01T00:00:00+08:00", "2029-12-31T16:00:00+00:00"),
    ],
)
def test_a_moment_is_written_or_ago(text: str, moment: str) -> None:
    """RFC 3339, or how long ago."""
    assert moment_of(text, now=NOW) == moment


def test_a_moment_without_an_offset_is_local() -> None:
    """It is what the clock on the wall says."""
    moment = datetime.fromisoformat(moment_of("2030-01-01T00:00:00", now=NOW))

    assert moment.tzinfo is not None
    assert moment.astimezone().replace(tzinfo=None) == datetime(2030, 1, 1)
    assert moment.utcoffset() == UTC.utcoffset(None) == timedelta(0)


@pytest.mark.parametrize("text", ["", "yesterday", "h", "-3h", "٣h", f"{'9' * 20}d"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """With what can be written."""
    with pytest.raises(InvalidRequest, match="12h"):
        moment_of(text, now=NOW)


def test_a_delivery_is_a_row() -> None:
    """Its endpoint or its URL, and why it was given up."""
    delivery = {
        "id": "msg_1",
        "state": "exhausted",
        "event_type": None,
        "event_at": None,
        "subscriber": {"endpoint": None, "url": "https://example.com/hook"},
        "tries": 8,
        "reason": "timeout",
        "attempts": [
            {
                "number": 1,
                "at": "2030-01-01T00:00:00.000Z",
                "duration_ms": 5,
                "status": 500,
                "error": None,
                "answer": "oops\nmore",
            }
        ],
    }

    assert row_of(delivery) == (
        *("msg_1", "exhausted", "-", "-"),
        *("https://example.com/hook", "8", "timeout"),
    )
    assert attempt_rows(delivery) == [("1", "2030-01-01T00:00:00.000Z", "5 ms", "500", "oops")]


@pytest.mark.parametrize(
    ("state", "reason", "last_due", "end"),
    [
        ("completed", None, "2030-01-01T00:00:00Z", "the last is due at 2030-01-01T00:00:00Z"),
        ("completed", None, None, "7 passed over"),
        ("failed", "endpoint_removed", None, "endpoint_removed"),
    ],
)
def test_an_operation_is_a_line(
    state: str, reason: str | None, last_due: str | None, end: str
) -> None:
    """How far it is, and why it failed."""
    line = operation_line(
        {
            "id": "op_1",
            "kind": "replay",
            "state": state,
            "sent": 3,
            "passed_over": 7,
            "last_due": last_due,
            "reason": reason,
        }
    )

    assert line.startswith(f"op_1 (replay): {state}, 3 sent")
    assert line.endswith(end)
