"""Standard Webhooks 1.0.0: sign what is sent, and verify it as a receiver would.

The signed bytes are ``<webhook-id>.<webhook-timestamp>.<body>``; a ``v1`` item is the base64 of
their HMAC-SHA256, a ``v1a`` item of their ed25519 signature. While a secret is replaced both sign,
and a receiver may hold either.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from egress.asymmetric_key import PrivateKey, PublicKey
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import AccessDenied

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
#: How far a receiver lets the sender's clock be off, both ways, as the reference libraries do.
TOLERANCE_S = 300

# A dot would let a sender move bytes between the id and the rest of what is signed.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class VerificationFailed(AccessDenied):
    """The headers do not prove that the body came from a holder of the secret, now."""

    code = "signature_not_verified"


def sign(
    keys: Sequence[SigningSecret | PrivateKey],
    *,
    message_id: str,
    timestamp_unix_s: int,
    body: bytes,
) -> tuple[tuple[str, str], ...]:
    """Give the three headers for one attempt, one item for each of *keys* in order, newest first.

    *message_id* is the same for every attempt, *timestamp_unix_s* is the attempt's own. Raises
    ValueError for no key and for an id or timestamp that a receiver would refuse.
    """
    if not keys:
        raise ValueError("a webhook is signed with at least one secret")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(str(timestamp_unix_s)):
        raise ValueError(f"not to be signed: id {message_id!r} at {timestamp_unix_s}")
    signed = _signed(message_id, str(timestamp_unix_s), body)
    return (
        (ID_HEADER, message_id),
        (TIMESTAMP_HEADER, str(timestamp_unix_s)),
        # One space and none at the end: the reference library fails on an empty item.
        (SIGNATURE_HEADER, " ".join(key.signature(signed) for key in keys)),
    )


def verify(
    keys: Sequence[SigningSecret | PublicKey],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_unix_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> None:
    """Return if *body* was signed with one of *keys*, at most *tolerance_s* from *now_unix_s*.

    Header names are matched in any case. Raises VerificationFailed, and nothing else whatever the
    headers hold; items of an unknown version are passed over.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id = given.get(ID_HEADER, "")
    timestamp = given.get(TIMESTAMP_HEADER, "")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise VerificationFailed("webhook-id or webhook-timestamp is missing or malformed")
    if abs(now_unix_s - int(timestamp)) > tolerance_s:
        raise VerificationFailed("webhook-timestamp is too far from this clock's time")

    signed = _signed(message_id, timestamp, body)
    expected = [
        key.signature(signed).encode("ascii") for key in keys if isinstance(key, SigningSecret)
    ]
    public = [key for key in keys if isinstance(key, PublicKey)]
    matches = False
    for item in given.get(SIGNATURE_HEADER, "").split(" "):
        # Bytes, since compare_digest refuses text that is not ASCII. No way out before the end:
        # the time must not tell which item or key it was.
        item_bytes = item.encode("utf-8", "surrogatepass")
        for candidate in expected:
            matches |= hmac.compare_digest(candidate, item_bytes)
        matches |= any(key.verifies(signed, item) for key in public)
    if not matches:
        raise VerificationFailed("webhook-signature has no item that fits")


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return b"%b.%b.%b" % (message_id.encode("ascii"), timestamp.encode("ascii"), body)
