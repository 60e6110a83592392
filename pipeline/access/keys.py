"""API keys: made once, shown once, stored as hashes.

A token reads ``gw_<key id>_<secret>``: the id finds the record, the secret proves it. The secret
has 256 random bits, so a plain SHA-256 is enough of a hash: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from redis.asyncio import Redis

from pipeline.protocol import Keyspace
from pipeline.records import RecordHash

_TOKEN = re.compile(r"gw_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is stored of a key. *tenant* owns the jobs that it submits."""

    key_id: str
    tenant: str
    description: str
    created_unix_ms: int
    secret_sha256: str = field(repr=False)


def make_key(*, tenant: str, description: str, now_unix_ms: int) -> tuple[str, ApiKey]:
    """Make a key; give its token, which nobody can show again, and the record to store."""
    key_id = secrets.token_hex(4)
    secret = secrets.token_urlsafe(32)
    record = ApiKey(
        key_id=key_id,
        tenant=tenant,
        description=description,
        created_unix_ms=now_unix_ms,
        secret_sha256=_sha256(secret),
    )
    return f"gw_{key_id}_{secret}", record


def key_of_token(token: str) -> tuple[str, str] | None:
    """Split a token into key id and secret; None when it does not have the form of one."""
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def proves(record: ApiKey, secret: str) -> bool:
    """Whether *secret* is the key's, compared in constant time."""
    return hmac.compare_digest(record.secret_sha256, _sha256(secret))


class KeyStore(RecordHash[ApiKey]):
    """API keys in Redis."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        super().__init__(redis, keys.api_keys, parse=ApiKey, id_field="key_id")


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
