"""A job as a request in the queue."""

from __future__ import annotations

import pytest

from pipeline.deliveries.fal import failure_of, status_document, webhook_document
from pipeline.jobs.job import JobState
from tests.builders import make_job


@pytest.mark.parametrize("state", JobState)
def test_every_state_is_one_of_three(state: JobState) -> None:
    """An end is COMPLETED, whatever came of it; an error goes with all but success."""
    job = make_job(state=state, reason_code="x", reason="why", result="{}")

    document = status_document(job, base_url="http://h/r", queue_position=4, logs=True)

    assert (document["status"] == "COMPLETED") == state.is_terminal
    assert ("queue_position" in document) == (state is JobState.QUEUED)
    assert ("error" in document) == (failure_of(job) is not None)
    assert document["logs"] == []
    assert document["cancel_url"] == "http://h/r/cancel"


def test_a_webhook_tells_the_output_or_the_error() -> None:
    """Both ids are the job's."""
    good = make_job(state=JobState.SUCCEEDED, result='{"a":1}')
    bad = make_job(state=JobState.FAILED, reason_code="model_failed", reason="why")

    assert webhook_document(good) == {
        "request_id": good.job_id,
        "gateway_request_id": good.job_id,
        "status": "OK",
        "error": None,
        "payload": {"a": 1},
    }
    told = webhook_document(bad)
    assert (told["status"], told["error"]) == ("ERROR", "why")
    assert told["payload"] == {"detail": "why", "error_type": "internal_error"}
