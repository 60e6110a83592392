"""The key pair of a ``v1a`` signature (Standard Webhooks 1.0.0): ed25519, shown as its public half.

A receiver that only holds the public key can verify and cannot forge.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from pipeline.errors import InvalidRequest

_PRIVATE_PREFIX = "whsk_"
_PUBLIC_PREFIX = "whpk_"
_SEED_BYTES = 32
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that a receiver verifies with."""

    key: VerifyKey

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``whpk_`` and base64; raises InvalidRequest."""
        return cls(VerifyKey(_decoded(text, _PUBLIC_PREFIX, (_SEED_BYTES,))))

    def to_text(self) -> str:
        """Give the ``whpk_`` form."""
        return _PUBLIC_PREFIX + base64.b64encode(bytes(self.key)).decode("ascii")

    def verifies(self, signed: bytes, item: str) -> bool:
        """Whether *item* is a ``v1a`` signature of *signed* by the other half."""
        version, _, encoded = item.partition(",")
        try:
            signature = base64.b64decode(encoded, validate=True)
            if version != "v1a" or len(signature) != _SIGNATURE_BYTES:
                return False
            self.key.verify(signed, signature)
        except (ValueError, BadSignatureError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """The half that signs; it never leaves through an API."""

    key: SigningKey = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``whsk_`` and base64 of the seed, or of seed and public key as Svix writes it.

        Raises InvalidRequest without echoing it.
        """
        decoded = _decoded(text, _PRIVATE_PREFIX, (_SEED_BYTES, 2 * _SEED_BYTES))
        key = SigningKey(decoded[:_SEED_BYTES])
        if decoded[_SEED_BYTES:] not in (b"", bytes(key.verify_key)):
            raise InvalidRequest("the two halves of the key do not fit", field="private_key")
        return cls(key)

    @classmethod
    def generate(cls) -> Self:
        """Give a new random key."""
        return cls(SigningKey.generate())

    @property
    def public(self) -> PublicKey:
        """Give the half that may be shown."""
        return PublicKey(self.key.verify_key)

    def to_text(self) -> str:
        """Give the ``whsk_`` form, to be kept."""
        return _PRIVATE_PREFIX + base64.b64encode(bytes(self.key)).decode("ascii")

    def signature(self, signed: bytes) -> str:
        """Give the ``v1a`` item for the bytes *signed*."""
        return "v1a," + base64.b64encode(self.key.sign(signed).signature).decode("ascii")


def _decoded(text: str, prefix: str, sizes_bytes: tuple[int, ...]) -> bytes:
    encoded = text.removeprefix(prefix)
    if encoded == text:
        raise InvalidRequest(f"a key of this kind begins with {prefix}")
    try:
        decoded = base64.b64decode(encoded, validate=True)
    # Chained errors would carry the key's text into a log.
    except ValueError:
        raise InvalidRequest("a key is base64") from None
    if len(decoded) not in sizes_bytes:
        raise InvalidRequest("a key of this kind has another length")
    return decoded
