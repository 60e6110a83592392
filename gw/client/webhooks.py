"""Receiving webhooks (Standard Webhooks 1.0.0): is this request genuine, and what does it say.

Needs the standard library alone. The signed bytes are ``<webhook-id>.<webhook-timestamp>.<body>``;
each ``v1`` item of ``webhook-signature`` is the base64 of their HMAC-SHA256.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gw.client.documents import Result
from gw.client.errors import UnexpectedAnswer, WebhookNotVerified
from gw.client.reading import read

#: How far the sender's clock may be off, both ways.
TOLERANCE_S: Final = 300.0

_PREFIX: Final = "whsec_"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """A verified event. *id* is the same in every attempt: keep those that were worked on.

    Of ``job.*`` events *job_id* is set, and *result* where the job succeeded and the endpoint's
    payload is full. ``data`` is all that was told.
    """

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any] = field(repr=False)

    @property
    def job_id(self) -> str | None:
        """The job that it is about."""
        return self.data.get("id") if self.type.startswith("job.") else None

    @property
    def result(self) -> Result | None:
        """The job's result."""
        document = self.data.get("result")
        return None if document is None else read(Result, document)


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now_unix_s: Callable[[], float] = time.time,
) -> WebhookEvent:
    """Give the event of a request if it was signed with one of *secrets*, lately.

    *body* is as it came, before any JSON parser; header names are matched in any case. Several
    secrets are given while one is replaced. Raises WebhookNotVerified, UnexpectedAnswer for a
    genuine body that is no event, and ValueError for a secret that is none.
    """
    keys = [_key_of(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise WebhookNotVerified("webhook-id or webhook-timestamp is missing or malformed")
    if abs(now_unix_s() - int(timestamp)) > tolerance_s:
        raise WebhookNotVerified("webhook-timestamp is too far from this clock's time")
    signed = b"%b.%b.%b" % (message_id.encode("ascii"), timestamp.encode("ascii"), body)
    items = [
        item.encode("utf-8", "surrogatepass")
        for item in given.get("webhook-signature", "").split(" ")
    ]
    is_genuine = False
    for key in keys:
        expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
        for item in items:
            # No way out before the end: the time must not tell which key or item it was.
            is_genuine |= hmac.compare_digest(expected, item)
    if not is_genuine:
        raise WebhookNotVerified("webhook-signature has no item that fits")
    return parse_event(message_id, body)


def parse_event(message_id: str, body: bytes) -> WebhookEvent:
    """Read a body that is known to be genuine, in the standard format or as a CloudEvent."""
    try:
        document = json.loads(body)
        return WebhookEvent(
            id=message_id,
            type=document["type"],
            timestamp=datetime.fromisoformat(document.get("timestamp") or document["time"]),
            data=document["data"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnexpectedAnswer("the body is no event") from exc


def _key_of(secret: str) -> bytes:
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        # Chained errors would carry the secret's text into a log.
        raise ValueError("a signing secret is whsec_ and base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a signing secret holds 24 to 64 bytes")
    return key
