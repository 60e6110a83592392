"""Requests for predictions: how long to wait, when to expire, what a webhook is told."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.dialects.cog import parse_asked, parse_cancel_after, wait_of
from webapp.refusals import InvalidField

BODY: dict[str, Any] = {"input": {"image": "https://example.com/a.jpg"}}


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("", 7),
        ("respond-async", 0),
        ("respond-async, wait=5", 0),
        ("wait=5", 5),
        ("wait", 60),
        ("Wait", 60),
        ("return=minimal", 7),
    ],
)
def test_a_preference_says_how_long_to_wait(prefer: str, wait_s: int) -> None:
    """What says nothing of it leaves the protocol's own habit."""
    assert wait_of(prefer, default_s=7) == wait_s


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1m", 60), ("1m30s", 90), ("1h", 3600), (" 90 ", 90)]
)
def test_a_time_to_expire_is_read(text: str, seconds: int) -> None:
    """Hours, minutes and seconds; a bare number is seconds."""
    assert parse_cancel_after(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "4s", "25h", "-1m", "1.5m", "soon", "30s1m"])
def test_a_time_that_makes_no_sense_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidField):
        parse_cancel_after(text)


@pytest.mark.parametrize(
    "webhook",
    [
        {"webhook": "https://example.com/h"},
        {"webhook_completed": "https://example.com/h"},
        {"webhook": "https://example.com/h", "webhook_events_filter": []},
        {"webhook": "https://example.com/h", "webhook_events_filter": ["start", "completed"]},
    ],
)
def test_a_webhook_is_told_of_the_end(webhook: dict[str, Any]) -> None:
    """Under its older name too, and whatever else is asked for."""
    assert parse_asked(BODY | webhook, max_bytes=9).webhook_url == "https://example.com/h"


def test_an_id_stands_in_the_path_or_in_the_body() -> None:
    """In both it must be the same."""
    assert parse_asked(BODY | {"id": "a"}, path_id="a", max_bytes=9).prediction_id == "a"
    assert parse_asked(BODY | {"id": "a"}, max_bytes=9).prediction_id == "a"
    with pytest.raises(InvalidField):
        parse_asked(BODY | {"id": "b"}, path_id="a", max_bytes=9)
