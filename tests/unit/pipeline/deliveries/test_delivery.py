"""The delivery's record and its attempts."""

from __future__ import annotations

import pytest

from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.errors import MalformedMessage

GOOD_ATTEMPT = Attempt(number=2, at_unix_ms=2_000, duration_ms=3, status=204)


def test_a_record_survives_its_fields() -> None:
    """Every field comes back as it was written."""
    delivery = Delivery(
        delivery_id="msg_1",
        job_id="job_1",
        state=DeliveryState.EXHAUSTED,
        endpoint_id="ep_1",
        url="http://127.0.0.1/",
        secret="whsec_hidden",
        attempts=3,
        due_unix_ms=4,
        event_id="evt_1",
        event_type="job.failed",
        tenant="t",
        created_unix_ms=5,
        order="abc",
        once=True,
    )

    assert Delivery.from_fields("msg_1", delivery.to_fields() | {"colour": "red"}) == delivery
    assert "whsec_hidden" not in repr(delivery)


#: Fields that records of the first version do not have.
LATER = {"event_id", "event_type", "tenant", "created_unix_ms", "order", "once"} | {
    "earlier_attempts",
    "reason",
}


def test_a_record_of_the_first_version_is_readable() -> None:
    """What came later has its default."""
    first = Delivery(delivery_id="m", job_id="j")
    fields = {name: value for name, value in first.to_fields().items() if name not in LATER}

    assert Delivery.from_fields("m", fields) == first


@pytest.mark.parametrize(
    "field", sorted({*Delivery(delivery_id="m", job_id="j").to_fields()} - LATER)
)
def test_a_missing_field_is_malformed(field: str) -> None:
    """No field of the first version is silently defaulted."""
    fields = Delivery(delivery_id="m", job_id="j").to_fields()
    del fields[field]

    with pytest.raises(MalformedMessage, match=field):
        Delivery.from_fields("m", fields)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"number": 1}'])
def test_another_attempt_text_is_malformed(text: str) -> None:
    """Text that is no attempt is told apart."""
    with pytest.raises(MalformedMessage):
        Attempt.from_json_text(text)


def test_a_newer_attempt_is_readable() -> None:
    """A field that a newer notifier added does not stop an older reader."""
    text = GOOD_ATTEMPT.to_json_text().replace("{", '{"address":"127.0.0.1",', 1)

    assert Attempt.from_json_text(text) == GOOD_ATTEMPT
