"""The secret that webhooks are signed with."""

from __future__ import annotations

import base64

import pytest

from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import InvalidRequest


def test_a_made_secret_is_one_that_is_read() -> None:
    """A new secret has the form that is asked of given ones, and no two are alike."""
    first, second = SigningSecret.generate(), SigningSecret.generate()

    assert SigningSecret.parse(first.to_text()) == first
    assert first != second
    assert len(first.key) == 32


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_"),
        ("whsec_not base64!", "is base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "holds 24 to 64 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "holds 24 to 64 bytes"),
    ],
)
def test_a_bad_secret_is_refused_without_being_repeated(text: str, sentence: str) -> None:
    """The sentence says what is wrong with a secret, and no part of the error holds it."""
    with pytest.raises(InvalidRequest, match=sentence) as refusal:
        SigningSecret.parse(text)

    assert text not in str(refusal.value)
    assert refusal.value.__cause__ is None
