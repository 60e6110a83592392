"""The receiver's account of genuine and other webhooks."""

from __future__ import annotations

import time

import pytest

from gw.demo.receiver import Ledger
from notifier.events import standard_body
from notifier.signing import sign
from pipeline.deliveries.signing_secret import SigningSecret

SECRET = SigningSecret.generate()


def signed(
    webhook_id: str = "msg_1", *, secret: SigningSecret = SECRET, body: bytes | None = None
) -> tuple[dict[str, str], bytes]:
    """Give the headers and the body of an announcement, signed now."""
    if body is None:
        body = standard_body(
            event_type="job.succeeded",
            unix_ms=1_700_000_000_000,
            data={"id": "job_1", "result": {"counts": {"total": 2}}},
        )
    headers = sign([secret], message_id=webhook_id, timestamp_unix_s=int(time.time()), body=body)
    return dict(headers), body


def test_a_genuine_webhook_is_kept_with_its_result() -> None:
    """What gw signs, the reference library accepts, and the receipt holds what was told."""
    ledger = Ledger(SECRET.to_text())

    assert ledger.take(*signed()) is not None

    receipt = ledger.receipt("msg_1")
    assert receipt is not None
    assert (receipt.event, receipt.job_id) == ("job.succeeded", "job_1")
    assert receipt.result == {"counts": {"total": 2}}
    assert (ledger.refused, ledger.duplicates) == (0, 0)


def test_a_repeated_id_counts_as_a_duplicate() -> None:
    """At least once means: the same announcement may come again, and is the same one."""
    ledger = Ledger(SECRET.to_text())
    for webhook_id in ("msg_1", "msg_2", "msg_1"):
        ledger.take(*signed(webhook_id))

    assert (ledger.duplicates, ledger.refused) == (1, 0)


def test_a_foreign_signature_is_refused() -> None:
    """What another secret signed is not believed, not even its id."""
    ledger = Ledger(SECRET.to_text())

    assert ledger.take(*signed(secret=SigningSecret.generate())) is None
    assert (ledger.refused, ledger.receipt("msg_1")) == (1, None)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,???"},
        {"webhook-timestamp": "soon"},
        {"webhook-id": "msg_2"},
    ],
    ids=str,
)
def test_a_mangled_header_is_refused(change: dict[str, str]) -> None:
    """A header that was changed on the way makes the request worthless, and breaks nothing."""
    ledger = Ledger(SECRET.to_text())
    headers, body = signed()

    assert ledger.take(headers | change, body) is None
    assert ledger.refused == 1


@pytest.mark.parametrize("body", [b"[]", b"{}", b"\xff", b'{"type":"x","data":{}}'], ids=repr)
def test_a_signed_body_of_another_shape_is_refused(body: bytes) -> None:
    """Even a body with a good signature is refused when it is no announcement."""
    ledger = Ledger(SECRET.to_text())
    headers, _ = signed(body=body)

    assert ledger.take(headers, body) is None
