"""The endpoint's secrets, and the health of receivers as a record."""

from __future__ import annotations

import pytest

from pipeline.deliveries.endpoints import PREVIOUS_SECRETS_MAX, Endpoint
from pipeline.deliveries.receivers import Health
from pipeline.errors import MalformedMessage

ENDPOINT = Endpoint(
    endpoint_id="ep_1",
    tenant="acme",
    url="https://example.com/",
    description="",
    created_unix_ms=1,
    secret="whsec_first",
)


def test_a_replaced_secret_signs_until_its_moment() -> None:
    """The new one stands first; at the moment itself the old one is gone."""
    rotated = ENDPOINT.with_new_secret("whsec_second", now_unix_ms=100, overlap_ms=50)

    assert rotated.signing_secrets(149) == ("whsec_second", "whsec_first")
    assert rotated.signing_secrets(150) == ("whsec_second",)
    assert "whsec" not in repr(rotated)


def test_without_an_overlap_the_old_one_is_gone_at_once() -> None:
    """So a stolen secret can be replaced."""
    rotated = ENDPOINT.with_new_secret("whsec_second", now_unix_ms=100, overlap_ms=0)

    assert rotated.signing_secrets(100) == ("whsec_second",)


def test_only_so_many_secrets_sign_at_once() -> None:
    """A secret that is replaced again and again makes no endless header."""
    endpoint = ENDPOINT
    for number in range(20):
        endpoint = endpoint.with_new_secret(f"whsec_{number}", now_unix_ms=number, overlap_ms=1000)

    secrets = endpoint.signing_secrets(20)
    assert len(secrets) == PREVIOUS_SECRETS_MAX + 1
    assert secrets[:2] == ("whsec_19", "whsec_18")


def test_a_health_survives_its_fields() -> None:
    """Every field comes back but the revision, which the store counts."""
    health = Health(failures=3, failing_since=5, disabled=7, disabled_reason="gone")

    record = health.to_fields() | {"revision": "9", "colour": "red"}

    assert Health.from_fields(record) == Health(
        revision=9, failures=3, failing_since=5, disabled=7, disabled_reason="gone"
    )
    assert Health.from_fields({}) == Health()
    with pytest.raises(MalformedMessage):
        Health.from_fields({"failures": "many"})
