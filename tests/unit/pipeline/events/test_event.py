"""The event's record, and what can be subscribed to."""

from __future__ import annotations

import pytest

from pipeline.errors import MalformedMessage
from pipeline.events.event import SUBSCRIBABLE, Event
from pipeline.ids import event_id_of, new_id, unix_ms_of
from pipeline.jobs.job import Subscriber

EVENT = Event(
    event_id="evt_1",
    tenant="acme",
    type="batch.completed",
    subject="batch_1",
    unix_ms=5,
    data={"id": "batch_1", "counts": {"猫": 1}},
    subscribers=(Subscriber(delivery_id="msg_1", url="http://127.0.0.1/", secret="whsec_hidden"),),
    about_endpoint="ep_1",
    model="helmet",
    reference="gate",
    labels=("a", "b"),
    once=True,
)


def test_a_record_survives_its_fields() -> None:
    """Every field comes back as it was written, and no secret is shown."""
    assert Event.from_fields("evt_1", EVENT.to_fields() | {"colour": "red"}) == EVENT
    assert "whsec_hidden" not in repr(EVENT)


@pytest.mark.parametrize("field", sorted(EVENT.to_fields()))
def test_a_missing_field_is_malformed(field: str) -> None:
    """No field of an event is silently defaulted."""
    fields = EVENT.to_fields()
    del fields[field]

    with pytest.raises(MalformedMessage, match=field):
        Event.from_fields("evt_1", fields)


def test_an_example_cannot_be_subscribed_to() -> None:
    """Types, families and everything can; what one endpoint asked for is for it alone."""
    assert {"*", "job.*", "job.failed", "clock.skewed"} <= set(SUBSCRIBABLE)
    assert "endpoint.test" not in SUBSCRIBABLE


def test_a_jobs_event_has_the_jobs_moment() -> None:
    """Its id follows from the job's, and both hold when the job was accepted."""
    job_id = new_id("job", 1_700_000_000_123)

    assert event_id_of(job_id) == f"evt_{job_id[4:]}"
    assert unix_ms_of(event_id_of(job_id)) == unix_ms_of(job_id) == 1_700_000_000_123
