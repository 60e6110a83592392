"""One signing secret for each tenant: for webhooks whose protocol has no place for one."""

from __future__ import annotations

from typing import cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.protocol import Keyspace


class TenantSecrets:
    """The tenants' secrets in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._key = keys.tenant_secrets

    async def get(self, tenant: str) -> str:
        """Give the secret of *tenant* (``whsec_``), made when it is first asked for."""
        with redis_errors():
            text = cast(str | None, await self._redis.hget(self._key, tenant))
            if text:
                return text
            # Of two who make one the first wins, and both read it.
            await self._redis.hsetnx(self._key, tenant, SigningSecret.generate().to_text())
            return cast(str, await self._redis.hget(self._key, tenant))
