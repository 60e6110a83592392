"""API keys: made once, shown once, stored as hashes.

A token reads ``gw_<key id>_<secret>``: the id finds the record, the secret proves it. The secret
has 256 random bits, so a plain SHA-256 is enough of a hash: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.protocol import Keyspace
from pipeline.records import RecordHash

_TOKEN = re.compile(r"gw_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key may do. Jobs, endpoints and models of other tenants are never within it."""

    SUBMIT = "submit"
    #: The jobs that this very key submitted.
    READ_OWN = "read_own"
    #: Every job of the key's tenant; whoever has it needs no READ_OWN.
    READ_ALL = "read_all"
    MANAGE_MODELS = "manage_models"
    MANAGE_WEBHOOKS = "manage_webhooks"
    #: Keys, tenants and the audit log, of every tenant; not their jobs.
    ADMIN = "admin"


#: What a key may do for which nothing else was chosen, and one from before keys had scopes.
CLIENT_SCOPES = (Scope.SUBMIT, Scope.READ_OWN, Scope.READ_ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is stored of a key. *tenant* owns the jobs that it submits.

    *default_model* is what runs where the caller's protocol has no place for a model's name, "" for
    none.

    *expires_unix_ms* is 0 for never. After a rotation the secret before still counts until
    *previous_until_unix_ms*.
    """

    key_id: str
    tenant: str
    description: str
    created_unix_ms: int
    secret_sha256: str = field(repr=False)
    scopes: tuple[str, ...] = CLIENT_SCOPES
    expires_unix_ms: int = 0
    previous_sha256: str = field(default="", repr=False)
    previous_until_unix_ms: int = 0
    default_model: str = ""

    @property
    def known_scopes(self) -> frozenset[Scope]:
        """Give the scopes without those that only a newer gw knows."""
        return frozenset(scope for scope in Scope if scope in self.scopes)


def make_key(
    *,
    tenant: str,
    description: str,
    now_unix_ms: int,
    scopes: Collection[Scope] = CLIENT_SCOPES,
    expires_unix_ms: int = 0,
    default_model: str = "",
) -> tuple[str, ApiKey]:
    """Make a key; give its token, which nobody can show again, and the record to store."""
    key_id = secrets.token_hex(4)
    secret = secrets.token_urlsafe(32)
    record = ApiKey(
        key_id=key_id,
        tenant=tenant,
        description=description,
        created_unix_ms=now_unix_ms,
        secret_sha256=_sha256(secret),
        scopes=tuple(sorted(scopes)),
        expires_unix_ms=expires_unix_ms,
        default_model=default_model,
    )
    return f"gw_{key_id}_{secret}", record


def rotate_key(record: ApiKey, *, now_unix_ms: int, overlap_ms: int) -> tuple[str, ApiKey]:
    """Give the key a new secret; the present one counts for *overlap_ms* more."""
    secret = secrets.token_urlsafe(32)
    rotated = replace(
        record,
        secret_sha256=_sha256(secret),
        previous_sha256=record.secret_sha256 if overlap_ms > 0 else "",
        previous_until_unix_ms=now_unix_ms + overlap_ms if overlap_ms > 0 else 0,
    )
    return f"gw_{record.key_id}_{secret}", rotated


def key_of_token(token: str) -> tuple[str, str] | None:
    """Split a token into key id and secret; None when it does not have the form of one."""
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def proves(record: ApiKey, secret: str, *, now_unix_ms: int) -> bool:
    """Whether *secret* is the key's, or was until lately; compared in constant time."""
    digest = _sha256(secret)
    is_current = hmac.compare_digest(record.secret_sha256, digest)
    is_previous = hmac.compare_digest(record.previous_sha256, digest)
    return is_current or (is_previous and now_unix_ms < record.previous_until_unix_ms)


def has_expired(record: ApiKey, *, now_unix_ms: int) -> bool:
    """Whether the key's time is over."""
    return 0 < record.expires_unix_ms <= now_unix_ms


class KeyStore(RecordHash[ApiKey]):
    """API keys in Redis."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        super().__init__(redis, keys.api_keys, parse=ApiKey, id_field="key_id")
        self._client = redis
        self._used = keys.api_keys_used

    async def remove(self, record_id: str) -> bool:
        """Revoke a key; False when there is none with this id."""
        with redis_errors():
            await self._client.hdel(self._used, record_id)
        return await super().remove(record_id)

    async def note_used(self, key_id: str, unix_ms: int) -> None:
        """Note when a key was used."""
        with redis_errors():
            await self._client.hset(self._used, key_id, str(unix_ms))

    async def last_used(self) -> dict[str, int]:
        """Give when each key was last noted as used, in Unix ms."""
        with redis_errors():
            texts = cast(dict[str, str], await self._client.hgetall(self._used))
        return {key_id: int(text) for key_id, text in texts.items()}


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
