"""A job as a prediction."""

from __future__ import annotations

import pytest

from pipeline.deliveries.cog import DIALECT, prediction_document
from pipeline.jobs.job import JobState
from tests.builders import make_job


@pytest.mark.parametrize("state", JobState)
def test_every_state_is_one_of_the_five(state: JobState) -> None:
    """An end there is an end here, and nothing else is."""
    status = prediction_document(make_job(state=state), base_url="")["status"]

    assert (status in {"succeeded", "failed", "canceled"}) == state.is_terminal
    assert status in {"starting", "processing", "succeeded", "failed", "canceled"}


def test_the_id_is_the_callers_own_where_it_chose_one() -> None:
    """A reference that did not come as an id is none."""
    mine = make_job(dialect=DIALECT, reference="a-1")
    other = make_job(reference="a-1")

    document = prediction_document(mine, base_url="https://gw.example.com/")

    assert document["id"] == "a-1"
    assert document["urls"]["get"] == "https://gw.example.com/v1/predictions/a-1"
    assert prediction_document(other, base_url="")["id"] == other.job_id


def test_times_become_metrics() -> None:
    """In seconds; before the end there are none."""
    job = make_job(
        state=JobState.SUCCEEDED,
        result="{}",
        accepted_unix_ms=1000,
        started_unix_ms=1500,
        finished_unix_ms=3000,
    )

    assert prediction_document(job, base_url="")["metrics"] == {
        "total_time": 2.0,
        "predict_time": 1.5,
    }
    assert prediction_document(make_job(), base_url="")["metrics"] == {}
