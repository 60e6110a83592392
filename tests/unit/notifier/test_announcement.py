"""What a subscriber is told."""

from __future__ import annotations

import json

from notifier.announcement import announcement
from pipeline.jobs.job import JobState
from tests.builders import make_job, make_subscriber


def test_a_success_carries_its_result() -> None:
    """The event names the job, the caller's own words, and the whole result."""
    job = make_job(
        state=JobState.SUCCEEDED,
        reference="工位-7",
        metadata={"line": 2},
        finished_unix_ms=1_767_225_600_000,
        result='{"counts":{"total":3}}',
    )

    event = json.loads(announcement(job))

    assert event["type"] == "job.succeeded"
    assert event["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert event["data"]["id"] == job.job_id
    assert event["data"]["reference"] == "工位-7"
    assert event["data"]["metadata"] == {"line": 2}
    assert event["data"]["result"] == {"counts": {"total": 3}}
    assert "reason" not in event["data"]


def test_a_failure_carries_its_reason() -> None:
    """An event without a result says why."""
    job = make_job(state=JobState.FAILED, reason_code="model_failed", reason="it broke")

    event = json.loads(announcement(job))

    assert event["type"] == "job.failed"
    assert event["data"]["reason"] == {"code": "model_failed", "detail": "it broke"}
    assert "result" not in event["data"]


def test_every_attempt_carries_the_same_bytes() -> None:
    """The body depends on the record alone."""
    job = make_job(state=JobState.EXPIRED, metadata={"b": 1, "a": 2})

    assert announcement(job) == announcement(job)


def test_no_secret_is_told() -> None:
    """Neither the signing secret nor the URL is part of the event."""
    job = make_job(state=JobState.SUCCEEDED, result="{}", subscribers=(make_subscriber(),))

    body = announcement(job).decode()

    assert job.subscribers[0].secret not in body
    assert job.subscribers[0].url not in body
