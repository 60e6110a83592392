"""A job's end in the words of the protocol that it came by."""

from __future__ import annotations

import json

import pytest

from notifier.dialects import dialect_body, own_format
from pipeline.deliveries.endpoints import Format
from pipeline.errors import ContractBroken
from pipeline.jobs.job import JobState
from tests.builders import make_job

ENDED = make_job(state=JobState.SUCCEEDED, result='{"a":"猫"}', dialect="cog")


def test_a_url_of_the_jobs_own_is_told_in_its_own_protocol() -> None:
    """A protocol that only a newer gw knows, and no job at all, are told in the standard form."""
    assert own_format(ENDED) is Format.COG
    assert own_format(make_job(dialect="fal")) is Format.FAL
    assert own_format(make_job()) is Format.STANDARD
    assert own_format(make_job(dialect="new")) is Format.STANDARD
    assert own_format(None) is Format.STANDARD


@pytest.mark.parametrize(("form", "member"), [(Format.COG, "output"), (Format.FAL, "payload")])
def test_a_thin_body_is_without_the_result(form: Format, member: str) -> None:
    """Every attempt carries the same bytes."""
    full = dialect_body(ENDED, form, is_thin=False, base_url="")
    thin = dialect_body(ENDED, form, is_thin=True, base_url="")

    assert full is not None
    assert thin is not None
    assert json.loads(full)[member] == {"a": "猫"}
    assert json.loads(thin)[member] is None
    assert full == dialect_body(ENDED, form, is_thin=False, base_url="")


def test_other_formats_are_no_dialects() -> None:
    """They are made of the event, not of the job."""
    assert dialect_body(ENDED, Format.CLOUDEVENTS, is_thin=False, base_url="") is None
    assert dialect_body(ENDED, Format.STANDARD, is_thin=False, base_url="") is None


def test_what_json_cannot_hold_is_a_broken_contract() -> None:
    """Nobody is sent what no receiver can read."""
    job = make_job(state=JobState.SUCCEEDED, result="NaN")

    with pytest.raises(ContractBroken):
        dialect_body(job, Format.FAL, is_thin=False, base_url="")
