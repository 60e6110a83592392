"""Signatures: the specification's vector, the reference library both ways, and hostile headers."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from notifier.signing import TOLERANCE_S, VerificationFailed, sign, verify
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import InvalidRequest

# The vector that the libraries of the specification share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_UNIX_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEYS = st.binary(min_size=24, max_size=64).map(SigningSecret)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
TIMES = st.integers(1, 4_000_000_000)


def headers_for(
    *keys: SigningSecret, body: bytes = BODY, at_unix_s: int = TIMESTAMP_UNIX_S
) -> dict[str, str]:
    """Sign *body* as a sender would."""
    return dict(sign(keys, message_id=MESSAGE_ID, timestamp_unix_s=at_unix_s, body=body))


def is_verified(
    headers: dict[str, str], *keys: SigningSecret, body: bytes = BODY, off_s: float = 0
) -> bool:
    """Tell whether a receiver with *keys*, whose clock is off by *off_s*, accepts *body*."""
    try:
        verify(keys, headers, body, now_unix_s=TIMESTAMP_UNIX_S + off_s)
    except VerificationFailed:
        return False
    return True


def test_the_headers_are_those_of_the_specification() -> None:
    """The shared vector gives exactly the three headers of the specification."""
    headers = sign(
        [SigningSecret.parse(SECRET)],
        message_id=MESSAGE_ID,
        timestamp_unix_s=TIMESTAMP_UNIX_S,
        body=BODY,
    )

    assert headers == (
        ("webhook-id", MESSAGE_ID),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", SIGNATURE),
    )


def test_the_vector_is_verified() -> None:
    """The shared vector is accepted, whatever the case of the header names."""
    headers = {
        "Webhook-Id": MESSAGE_ID,
        "WEBHOOK-TIMESTAMP": "1614265330",
        "webhook-signature": SIGNATURE,
    }

    verify([SigningSecret.parse(SECRET)], headers, BODY, now_unix_s=TIMESTAMP_UNIX_S)


@given(key=KEYS, message_id=IDS, body=st.text(alphabet=st.characters(codec="utf-8")))
def test_the_reference_library_verifies_what_we_sign(
    key: SigningSecret, message_id: str, body: str
) -> None:
    """Any text signed now passes the reference library, which reads the secret's text form."""
    headers = sign(
        [key], message_id=message_id, timestamp_unix_s=int(time.time()), body=body.encode()
    )

    Webhook(key.to_text()).verify(body.encode(), dict(headers), json_parse=False)


@given(key=KEYS, message_id=IDS, at_unix_s=TIMES, body=st.text(st.characters(codec="utf-8")))
def test_we_verify_what_the_reference_library_signs(
    key: SigningSecret, message_id: str, at_unix_s: int, body: str
) -> None:
    """Whatever the reference library signs is accepted, and has the same signature as ours."""
    moment = datetime.fromtimestamp(at_unix_s, UTC)
    theirs = Webhook(key.to_text()).sign(message_id, moment, body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_unix_s),
        "webhook-signature": theirs,
    }

    verify([key], headers, body.encode(), now_unix_s=at_unix_s)
    ours = sign([key], message_id=message_id, timestamp_unix_s=at_unix_s, body=body.encode())
    assert dict(ours) == headers


def test_the_reference_library_refuses_another_secret() -> None:
    """A body signed with one secret does not pass the reference library with another."""
    headers = headers_for(SigningSecret.generate(), at_unix_s=int(time.time()))

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers)


@given(keys=st.lists(KEYS, min_size=2, max_size=4, unique=True), body=st.binary())
def test_a_receiver_may_hold_any_of_the_secrets(keys: list[SigningSecret], body: bytes) -> None:
    """While secrets overlap, each of them verifies, on either side, and items stand in order."""
    headers = headers_for(*keys, body=body)

    items = headers["webhook-signature"].split(" ")
    assert items == [headers_for(key, body=body)["webhook-signature"] for key in keys]
    for key in keys:
        assert is_verified(headers, key, body=body)
    assert is_verified(headers_for(keys[-1], body=body), *keys, body=body)


@given(key=KEYS, body=st.binary(min_size=1), data=st.data())
def test_any_changed_bit_fails(key: SigningSecret, body: bytes, data: st.DataObject) -> None:
    """One flipped bit of the body, the signature, or another secret, id or time, fails."""
    headers = headers_for(key, body=body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    digest = bytearray(base64.b64decode(headers["webhook-signature"][3:]))
    digest[bit // 8 % 32] ^= 1 << bit % 8
    forged = "v1," + base64.b64encode(digest).decode()

    assert is_verified(headers, key, body=body)
    assert not is_verified(headers, key, body=bytes(changed))
    assert not is_verified(headers | {"webhook-signature": forged}, key, body=body)
    assert not is_verified(headers | {"webhook-id": MESSAGE_ID + "x"}, key, body=body)
    assert not is_verified(headers | {"webhook-timestamp": "1614265331"}, key, body=body)
    assert not is_verified(headers, SigningSecret(key.key + b"x"), body=body)
    assert not is_verified(headers, body=body)


@pytest.mark.parametrize(
    ("off_s", "is_accepted"),
    [
        (0, True),
        (TOLERANCE_S, True),
        (-TOLERANCE_S, True),
        (TOLERANCE_S + 1, False),
        (-TOLERANCE_S - 1, False),
    ],
)
def test_a_clock_may_be_off_by_the_tolerance(off_s: int, is_accepted: bool) -> None:
    """A message is accepted from five minutes before to five minutes after its timestamp."""
    key = SigningSecret.parse(SECRET)

    assert is_verified(headers_for(key), key, off_s=off_s) is is_accepted


@pytest.mark.parametrize(
    "signature",
    [
        f"{SIGNATURE} v1a,AAAA",
        f"v1a,AAAA v2,BBBB {SIGNATURE}",
        f"nonsense {SIGNATURE}",
        f"v1,a,b {SIGNATURE}",
        f"{SIGNATURE}  v1,AAAA ",
    ],
)
def test_foreign_items_are_passed_over(signature: str) -> None:
    """Items of other versions or forms do not spoil a good one."""
    key = SigningSecret.parse(SECRET)

    assert is_verified(headers_for(key) | {"webhook-signature": signature}, key)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": " "},
        {"webhook-signature": ","},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é\ud800"},
        {"webhook-signature": SIGNATURE[3:]},
        {"webhook-signature": "v2" + SIGNATURE[2:]},
        {"webhook-signature": "V1" + SIGNATURE[2:]},
        {"webhook-signature": SIGNATURE.rstrip("=")},
        {"webhook-signature": "v1," + "A" * 1_000_000},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "1614265330.4"},
        {"webhook-timestamp": "01614265330"},
        {"webhook-timestamp": "1_614_265_330"},
        {"webhook-timestamp": "+1614265330"},
        {"webhook-timestamp": " 1614265330"},
        {"webhook-timestamp": "1614265330\n"},
        {"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-id": ""},
        {"webhook-id": "msg.1"},
        {"webhook-id": "msg é"},
        {"webhook-id": MESSAGE_ID + "\n"},
    ],
)
def test_hostile_headers_are_refused(change: dict[str, str]) -> None:
    """A malformed header is a failed verification and no other error."""
    key = SigningSecret.parse(SECRET)

    assert not is_verified(headers_for(key) | change, key)


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]),
        st.text(st.characters()) | st.just(str(TIMESTAMP_UNIX_S)),
    ),
    body=st.binary(),
)
def test_no_headers_raise_anything_else(headers: dict[str, str], body: bytes) -> None:
    """Whatever the headers hold, the answer is a failed verification."""
    assert not is_verified(headers, SigningSecret.parse(SECRET), body=body)


@given(key=KEYS)
def test_a_secret_survives_its_text_form(key: SigningSecret) -> None:
    """A secret's text gives the same secret back, padded or not, and is not in its repr."""
    text = key.to_text()

    assert SigningSecret.parse(text) == key
    assert SigningSecret.parse(text.rstrip("=")) == key
    assert text[6:30] not in repr(key)


def test_new_secrets_differ_and_are_valid() -> None:
    """Each generated secret is another, and long enough for the specification."""
    made = [SigningSecret.generate() for _ in range(20)]

    assert len({key.key for key in made}) == 20
    assert all(SigningSecret.parse(key.to_text()) == key for key in made)


def secret_of(length_bytes: int) -> str:
    """Give the text of a secret of that many bytes."""
    return "whsec_" + base64.b64encode(bytes(length_bytes)).decode()


@pytest.mark.parametrize("length_bytes", [24, 32, 64])
def test_a_secret_has_24_to_64_bytes(length_bytes: int) -> None:
    """The lengths of the specification are accepted, edges included."""
    assert len(SigningSecret.parse(secret_of(length_bytes)).key) == length_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "WHSEC_" + SECRET[6:],
        " " + SECRET,
        SECRET + "\n",
        SECRET + "*",
        SECRET + "==A",
        "whsec_é" + SECRET[6:],
        "whsk_" + SECRET[6:],
        secret_of(23),
        secret_of(65),
    ],
)
def test_a_bad_secret_is_refused_and_not_repeated(text: str) -> None:
    """What is no secret is refused, and the error does not carry it into a log."""
    with pytest.raises(InvalidRequest) as caught:
        SigningSecret.parse(text)

    assert SECRET[6:] not in str(caught.value)
    assert caught.value.field == "secret"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("message_id", "timestamp_unix_s", "keys"),
    [
        ("msg.1", 1, 1),
        ("", 1, 1),
        ("a b", 1, 1),
        ("é", 1, 1),
        ("x\r\ny", 1, 1),
        ("ok", 0, 1),
        ("ok", -1, 1),
        ("ok", 10**12, 1),
        ("ok", 1, 0),
    ],
)
def test_what_no_receiver_would_take_is_not_signed(
    message_id: str, timestamp_unix_s: int, keys: int
) -> None:
    """An id or time that receivers refuse, or no secret at all, is a defect of the caller."""
    with pytest.raises(ValueError, match="signed"):
        sign(
            [SigningSecret.parse(SECRET)] * keys,
            message_id=message_id,
            timestamp_unix_s=timestamp_unix_s,
            body=b"",
        )
