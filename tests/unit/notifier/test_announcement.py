"""What subscribers are told of a job's end."""

from __future__ import annotations

from notifier.announcement import thin_data
from notifier.events import standard_body
from pipeline.events.event import Event, EventType
from pipeline.events.job_events import event_of
from pipeline.jobs.job import JobState
from tests.builders import make_job, make_subscriber

RESULT = '{"counts":{"total":3,"by_label":{"no_helmet":2,"head":0,"helmet":1}}}'


def body_of(event: Event) -> bytes:
    """Give the bytes that are sent."""
    return standard_body(event_type=event.type, unix_ms=event.unix_ms, data=event.data)


def test_every_attempt_carries_the_same_bytes() -> None:
    """The body depends on the record alone."""
    job = make_job(state=JobState.EXPIRED, metadata={"b": 1, "a": 2})

    assert body_of(event_of(job)) == body_of(event_of(job))


def test_no_secret_is_told() -> None:
    """Neither the signing secret nor the URL is part of the event."""
    job = make_job(state=JobState.SUCCEEDED, result="{}", subscribers=(make_subscriber(),))

    body = body_of(event_of(job)).decode()

    assert job.subscribers[0].secret not in body
    assert job.subscribers[0].url not in body


def test_a_thin_body_has_links_instead_of_the_result() -> None:
    """It says what ended and where the rest is: under the public address, where that is known."""
    job = make_job(state=JobState.SUCCEEDED, result=RESULT, metadata={"a": 1})

    thin = thin_data(event_of(job), base_url="https://gw.example.com/")

    assert thin["id"] == job.job_id
    assert not {"result", "metadata"} & set(thin)
    assert thin["links"]["result"] == f"https://gw.example.com/v1/jobs/{job.job_id}/result"
    assert thin_data(event_of(job), base_url="")["links"]["self"] == f"/v1/jobs/{job.job_id}"


def test_an_event_that_is_no_jobs_is_thin_already() -> None:
    """It has no result to leave out."""
    event = Event(
        event_id="evt_1",
        tenant="t",
        type=EventType.BATCH_COMPLETED,
        subject="batch_1",
        unix_ms=1,
        data={"id": "batch_1", "counts": {"succeeded": 2}},
    )

    assert thin_data(event, base_url="") == event.data
