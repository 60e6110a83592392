"""Idempotency: what was promised to a request that carried a key, so that repeating it is safe.

The promise is stored by the script that accepts the jobs, and so exactly when they are (see
``scripts/accept_jobs.lua``). It holds the fingerprint of the request and the ids of its jobs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self, cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.protocol import Keyspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A request that is to be carried out once: its key, its fingerprint, how long that counts."""

    key_sha256: str
    fingerprint: str
    keep_ms: int

    @classmethod
    def of(cls, key: str, *, fingerprint: str, keep_ms: int) -> Self:
        """Make one of the caller's own *key*, of any length and alphabet."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        return cls(key_sha256=digest, fingerprint=fingerprint, keep_ms=keep_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was accepted under a key: the request's fingerprint and its jobs, in their order.

    Of a batch, its one id stands for them.
    """

    fingerprint: str
    job_ids: tuple[str, ...]

    def to_text(self) -> str:
        """Give the stored form."""
        return " ".join((self.fingerprint, *self.job_ids))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse the stored form."""
        fingerprint, *job_ids = text.split(" ")
        return cls(fingerprint=fingerprint, job_ids=tuple(job_ids))


class Promises:
    """Promises in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys

    async def get(self, tenant: str, key_sha256: str) -> Promise | None:
        """Give what was promised under a key of *tenant*."""
        with redis_errors():
            text = await self._redis.get(self._keys.promise(tenant, key_sha256))
        return Promise.from_text(cast(str, text)) if text else None
