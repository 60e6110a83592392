"""The secret that webhooks are signed with: read at the door, kept, used by the notifier."""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Self

from pipeline.errors import InvalidRequest

_PREFIX = "whsec_"
_MIN_KEY_BYTES = 24
_MAX_KEY_BYTES = 64
_NEW_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """The key bytes of one secret, 24 to 64 of them."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``whsec_`` and base64, padded or not; raises InvalidRequest without echoing it."""
        encoded = text.removeprefix(_PREFIX)
        if encoded == text:
            raise InvalidRequest(f"a signing secret begins with {_PREFIX}", field="secret")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        # Chained errors would carry the secret's text into a log.
        except ValueError:
            raise InvalidRequest("a signing secret is base64", field="secret") from None
        if not _MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
            raise InvalidRequest(
                f"a signing secret holds {_MIN_KEY_BYTES} to {_MAX_KEY_BYTES} bytes", field="secret"
            )
        return cls(key)

    @classmethod
    def generate(cls) -> Self:
        """Give a new random secret."""
        return cls(secrets.token_bytes(_NEW_KEY_BYTES))

    def to_text(self) -> str:
        """Give the ``whsec_`` form, for the one answer in which the receiver is told of it."""
        return _PREFIX + base64.b64encode(self.key).decode("ascii")

    def signature(self, signed: bytes) -> str:
        """Give the ``v1`` item for the bytes *signed*."""
        digest = hmac.digest(self.key, signed, "sha256")
        return "v1," + base64.b64encode(digest).decode("ascii")
