"""The event that a job's end is."""

from __future__ import annotations

import json

from pipeline.events.job_events import event_of, sequence_of
from pipeline.jobs.job import TRANSITIONS, JobState
from tests.builders import make_job

RESULT = '{"counts":{"total":3,"by_label":{"no_helmet":2,"head":0,"helmet":1}}}'


def test_a_success_carries_its_result() -> None:
    """The event names the job, the caller's own words, and the whole result."""
    job = make_job(
        state=JobState.SUCCEEDED,
        reference="工位-7",
        metadata={"line": 2},
        attempt=1,
        finished_unix_ms=1_767_225_600_000,
        result=RESULT,
    )

    event = event_of(job)

    assert (event.type, event.unix_ms) == ("job.succeeded", 1_767_225_600_000)
    assert event.event_id == f"evt_{job.job_id[4:]}"
    assert event.data["id"] == event.subject == job.job_id
    assert event.data["reference"] == event.reference == "工位-7"
    assert event.data["metadata"] == {"line": 2}
    assert event.data["result"] == json.loads(RESULT)
    assert event.data["terminal"] is True
    assert "reason" not in event.data


def test_what_was_found_can_be_chosen_by() -> None:
    """An event has the labels that were found at least once, and none where nothing was."""
    job = make_job(state=JobState.SUCCEEDED, result=RESULT)

    assert event_of(job).labels == ("helmet", "no_helmet")
    assert event_of(make_job(state=JobState.SUCCEEDED, result="{}")).labels == ()
    assert event_of(make_job(state=JobState.FAILED)).labels == ()


def test_a_failure_carries_its_reason() -> None:
    """An event without a result says why."""
    event = event_of(make_job(state=JobState.FAILED, reason_code="model_failed", reason="broke"))

    assert event.type == "job.failed"
    assert event.data["reason"] == {"code": "model_failed", "detail": "broke"}
    assert "result" not in event.data


def test_a_jobs_numbers_grow_with_every_step() -> None:
    """Whichever way a job goes by its table, over take-overs and hand-backs, numbers only grow."""
    ways = [(make_job(state=JobState.QUEUED, attempt=0), 0)]
    while ways:
        job, depth = ways.pop()
        for to in TRANSITIONS[job.state]:
            starts = to is JobState.RUNNING
            after = make_job(state=to, attempt=job.attempt + starts)
            assert sequence_of(after) > sequence_of(job), (job.state, to)
            if depth < 6:
                ways.append((after, depth + 1))
