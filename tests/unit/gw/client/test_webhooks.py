"""Receiving webhooks: what is genuine, and what it says."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from gw.client import UnexpectedAnswer, WebhookNotVerified, verify_webhook
from notifier.signing import sign
from pipeline.deliveries.signing_secret import SigningSecret

ROOT = Path(__file__).parents[4]

# The vector that the libraries of the specification share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
AT_UNIX_S = 1614265330
BODY = json.dumps(
    {
        "type": "job.succeeded",
        "timestamp": "2026-11-22T01:06:24.742Z",
        "data": {
            "id": "job_1",
            "result": {"kind": "classes", "counts": {"total": 0, "by_label": {}}},
        },
    }
).encode()


def headers(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    """Sign as the notifier does."""
    keys = [SigningSecret.parse(each) for each in secrets]
    return dict(sign(keys, message_id="msg_1", timestamp_unix_s=AT_UNIX_S, body=body))


def verify(given: dict[str, str], body: bytes = BODY, *secrets: str, off_s: float = 0) -> Any:
    """Verify as a receiver whose clock is off by so much."""
    return verify_webhook(given, body, secrets or SECRET, now_unix_s=lambda: AT_UNIX_S + off_s)


def test_a_genuine_event_is_given() -> None:
    """With what it is about, whatever the case of the headers' names."""
    event = verify({name.upper(): value for name, value in headers(SECRET).items()})

    assert (event.id, event.type, event.job_id) == ("msg_1", "job.succeeded", "job_1")
    assert event.result is not None
    assert event.result.kind == "classes"


def test_the_specifications_own_vector_is_genuine() -> None:
    """It is no event, but it is signed."""
    given = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": str(AT_UNIX_S),
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(UnexpectedAnswer):
        verify(given, b'{"test": 2432232314}')


def test_either_secret_counts_while_one_is_replaced() -> None:
    """On both sides."""
    assert verify(headers(OTHER, SECRET)).id == "msg_1"
    assert verify(headers(SECRET), BODY, OTHER, SECRET).id == "msg_1"
    assert verify(headers(SECRET), BODY, OTHER, SECRET.rstrip("=")).id == "msg_1"


@pytest.mark.parametrize("off_s", [-301, 301])
def test_what_is_old_is_refused(off_s: float) -> None:
    """Both ways, and not within the tolerance."""
    assert verify(headers(SECRET), off_s=off_s * 0.99).id == "msg_1"
    with pytest.raises(WebhookNotVerified, match="clock"):
        verify(headers(SECRET), off_s=off_s)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": "msg.1"},
        {"webhook-timestamp": str(AT_UNIX_S + 1)},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "\ud800 猫"},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    ],
)
def test_what_was_changed_is_refused(change: dict[str, str]) -> None:
    """Whatever the headers hold."""
    with pytest.raises(WebhookNotVerified):
        verify(headers(SECRET) | change)


def test_another_body_or_secret_is_refused() -> None:
    """One byte is enough, and so is no secret at all."""
    with pytest.raises(WebhookNotVerified):
        verify(headers(SECRET), BODY + b" ")
    with pytest.raises(WebhookNotVerified):
        verify(headers(OTHER))
    with pytest.raises(WebhookNotVerified):
        verify_webhook(headers(SECRET), BODY, (), now_unix_s=lambda: AT_UNIX_S)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "whsec_" + "A" * 8])
def test_a_secret_that_is_none_is_a_mistake_of_the_receiver(secret: str) -> None:
    """And is not echoed."""
    with pytest.raises(ValueError, match="a signing secret") as caught:
        verify(headers(SECRET), BODY, secret)
    assert caught.value.__cause__ is None


def test_the_reference_library_signs_alike() -> None:
    """What it signs is genuine here."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(AT_UNIX_S, UTC)
    signature = Webhook(SECRET).sign("msg_1", at, BODY.decode())
    given = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(AT_UNIX_S),
        "webhook-signature": signature,
    }

    assert verify(given).id == "msg_1"


def test_a_cloud_event_is_read_too() -> None:
    """Its moment has another name."""
    body = json.dumps(
        {"specversion": "1.0", "type": "x.y", "time": "2026-11-22T01:06:24Z", "data": {}}
    ).encode()

    event = verify(headers(SECRET, body=body), body)

    assert (event.type, event.job_id, event.result) == ("x.y", None, None)


def test_the_client_carries_nothing_of_the_platform_along() -> None:
    """It can be imported where there is httpx, and none of our services or their packages."""
    absent = [
        *("redis", "numpy", "cv2", "click", "fastapi", "pydantic", "uvicorn", "nacl", "rq"),
        *("pipeline", "egress", "webapp", "dispatcher", "notifier", "postprocess", "operations"),
    ]
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\nimport gw.client\n"
        "print(*(name for name in sys.modules if name.startswith('gw.')), sep='\\n')"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, answer.stderr
    assert {name.split(".")[1] for name in answer.stdout.split()} == {"client"}
