"""The job's state machine and record."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from pipeline.errors import IllegalTransition, MalformedMessage
from pipeline.jobs.job import LIVE_STATES, TRANSITIONS, Job, JobState, Priority
from tests.builders import make_job, make_subscriber


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobState, repeat=2)))
def test_every_pair_of_states_either_moves_or_raises(old: JobState, new: JobState) -> None:
    """A move happens exactly where the table has an arrow, and changes only the state."""
    job = make_job(state=old)

    if new in TRANSITIONS[old]:
        assert job.moved_to(new) == replace(job, state=new)
    else:
        with pytest.raises(IllegalTransition, match=f"{old} to {new}"):
            job.moved_to(new)


def test_every_live_state_can_be_given_up() -> None:
    """Wherever a live job is, it can fail, be canceled, and expire."""
    for state in LIVE_STATES:
        assert TRANSITIONS[state] >= {JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}


def test_the_ends_are_the_four_announced_states() -> None:
    """Terminal means that nothing can follow."""
    ends = {state for state in JobState if state.is_terminal}

    assert ends == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}


def test_a_record_survives_its_fields() -> None:
    """Every field comes back as it was written."""
    job = make_job(
        state=JobState.RUNNING,
        priority=Priority.HIGH,
        reference="工位-7",
        metadata={"camera": {"id": 3}, "tags": ["a"]},
        subscribers=(make_subscriber(), make_subscriber(url="", secret="", endpoint_id="ep_1")),
        deadline_unix_ms=12,
        attempt=3,
        alone=True,
        started_unix_ms=4,
        finished_unix_ms=5,
        result="{}",
        reason_code="model_failed",
        reason="why",
    )

    assert Job.from_fields(job.job_id, job.to_fields()) == job


def test_unknown_fields_are_ignored() -> None:
    """A record written by a newer version is still readable."""
    job = make_job()

    assert Job.from_fields(job.job_id, job.to_fields() | {"colour": "red"}) == job


#: Fields that records from before they came to be do not have, and how such records are read.
ADDED = {"key_id": "", "batch_id": "", "pinned": "1"}


@pytest.mark.parametrize("field", sorted(make_job().to_fields().keys() - ADDED.keys()))
def test_a_missing_field_is_malformed(field: str) -> None:
    """No field is silently defaulted."""
    fields = make_job().to_fields()
    del fields[field]

    with pytest.raises(MalformedMessage, match=field):
        Job.from_fields("job_x", fields)


@pytest.mark.parametrize("field", sorted(ADDED))
def test_a_record_of_an_older_version_lacks_what_was_added(field: str) -> None:
    """A field that came later has the value that says what was so before."""
    fields = make_job().to_fields()
    del fields[field]

    assert Job.from_fields("job_x", fields).to_fields()[field] == ADDED[field]


def test_a_secret_is_not_in_the_representation() -> None:
    """Printing a job, as a traceback may, shows no signing secret."""
    job = make_job(subscribers=(make_subscriber(secret="whsec_hidden"),))

    assert "whsec_hidden" not in repr(job)


@pytest.mark.parametrize(("deadline", "now", "past"), [(0, 9, False), (9, 8, False), (9, 9, True)])
def test_a_deadline_passes_at_its_moment(deadline: int, now: int, past: bool) -> None:
    """No deadline never passes; another passes at its own millisecond."""
    assert make_job(deadline_unix_ms=deadline).is_past_deadline(now) is past


def test_priorities_rank_from_high_to_low() -> None:
    """The most urgent has rank 0."""
    assert [p.rank for p in (Priority.HIGH, Priority.NORMAL, Priority.LOW)] == [0, 1, 2]
