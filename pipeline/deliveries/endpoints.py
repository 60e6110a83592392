"""Registered endpoints: places that jobs name, or that get every matching event of their tenant.

The signing secret is kept readable, because a signature needs it; it is shown once, when it is
made. What the notifier learns about an endpoint (its health) is a record of its own, in
``receivers.py``: people write this one, the notifier that one, and neither waits for the other.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.errors import Unavailable
from pipeline.protocol import Keyspace
from pipeline.records import RecordHash

#: So many changes of one endpoint may meet before one of them is refused.
_CHANGE_TRIES = 16

#: Replaced secrets that still sign; one more replacement drops the oldest.
PREVIOUS_SECRETS_MAX = 5


@enum.verify(enum.UNIQUE)
class Format(enum.StrEnum):
    """What the body of a delivery looks like."""

    #: Standard Webhooks: type, timestamp, data.
    STANDARD = "standard"
    #: CloudEvents 1.0 in structured mode, under the same signature.
    CLOUDEVENTS = "cloudevents"
    #: A prediction, as Cog and Replicate send it; of jobs alone, other events are standard.
    COG = "cog"
    #: As fal's queue sends it; of jobs alone, other events are standard.
    FAL = "fal"


@enum.verify(enum.UNIQUE)
class Payload(enum.StrEnum):
    """How much of what happened is in the body."""

    #: All of it, results included.
    FULL = "full"
    #: What it is about, and a link to the rest.
    THIN = "thin"


@enum.verify(enum.UNIQUE)
class Ordering(enum.StrEnum):
    """Which deliveries wait for the one before them to end."""

    NONE = "none"
    #: Those of one model.
    MODEL = "model"
    #: Those of one reference, the client's own word.
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint of one tenant. *secret* has the form ``whsec_`` and base64.

    *event_types* are the types it gets without being named, ``*`` and ``job.*`` among them; none
    where it only gets what names it. *models* and *labels* narrow events of jobs: to those of one
    of the models, with at least one finding of one of the labels. *previous_secrets* maps a
    replaced secret to the moment until which it signs too. *private_key* (``whsk_``) adds a ``v1a``
    signature. *rate_per_s* and *concurrency* are 0 where the notifier's own limits hold.
    *mqtt* is how to log in where the URL names a broker: username, password, client_id, version
    ("5" or "3.1.1") and ca (PEM), each where it is said.
    """

    endpoint_id: str
    tenant: str
    url: str
    description: str
    created_unix_ms: int
    secret: str = field(repr=False)
    event_types: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    previous_secrets: Mapping[str, int] = field(default_factory=dict, repr=False)
    private_key: str = field(default="", repr=False)
    format: str = Format.STANDARD
    payload: str = Payload.FULL
    ordering: str = Ordering.NONE
    rate_per_s: float = 0.0
    concurrency: int = 0
    enabled: bool = True
    mqtt: Mapping[str, str] = field(default_factory=dict, repr=False)

    def signing_secrets(self, now_unix_ms: int) -> tuple[str, ...]:
        """Give the secrets that sign now, the newest first."""
        still = [(until, text) for text, until in self.previous_secrets.items()]
        return (
            self.secret,
            *(text for until, text in sorted(still, reverse=True) if until > now_unix_ms),
        )

    def with_new_secret(self, secret: str, *, now_unix_ms: int, overlap_ms: int) -> Endpoint:
        """Give a copy that signs with *secret*, and with the one before for *overlap_ms* more."""
        previous = {t: until for t, until in self.previous_secrets.items() if until > now_unix_ms}
        if overlap_ms > 0:
            previous[self.secret] = now_unix_ms + overlap_ms
        newest = sorted(previous.items(), key=lambda pair: pair[1])[-PREVIOUS_SECRETS_MAX:]
        return replace(self, secret=secret, previous_secrets=dict(newest))


class EndpointStore(RecordHash[Endpoint]):
    """Endpoints in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        super().__init__(redis, keys.endpoints, parse=Endpoint, id_field="endpoint_id")
        self._keys = keys
        self._write_endpoint = load_script(redis, "write_endpoint")

    async def add(self, record: Endpoint) -> None:
        """Store an endpoint, or store it anew, with its place among those that subscribe."""
        await self._write(record, read="*")

    async def change(
        self, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        """Change an endpoint by *change*, which may be called again; None when there is none."""
        for _ in range(_CHANGE_TRIES):
            with redis_errors():
                text = cast(str | None, await self._redis.hget(self._key, endpoint_id))
            if not text:
                return None
            changed = change(self._read(text))
            if await self._write(changed, read=text):
                return changed
        raise Unavailable("the endpoint is being changed by others", retry_after_s=1)

    async def remove(self, record_id: str) -> bool:
        """Remove an endpoint and what is known of its health; False when there is none."""
        record = await self.get(record_id)
        if record is None:
            return False
        with redis_errors():
            removed = await self._write_endpoint(
                keys=[self._key, self._keys.subscribed(record.tenant)],
                args=[record_id, "", "*", ""],
            )
            await self._redis.delete(self._keys.receiver(record_id), self._keys.pace(record_id))
        return bool(removed)

    async def of_tenant(self, tenant: str) -> list[Endpoint]:
        """List a tenant's endpoints, the oldest first."""
        return [each for each in await self.all() if each.tenant == tenant]

    async def subscribed(self, tenant: str) -> list[Endpoint]:
        """List the endpoints of *tenant* that get events without being named."""
        with redis_errors():
            ids = cast(list[str], await self._redis.hkeys(self._keys.subscribed(tenant)))
        return [each for each in await self.get_many(sorted(ids)) if each is not None]

    async def get_many(self, endpoint_ids: list[str]) -> list[Endpoint | None]:
        """Give the records in one round trip."""
        if not endpoint_ids:
            return []
        with redis_errors():
            texts = await self._redis.hmget(self._key, endpoint_ids)
        return [self._read(text) if text else None for text in cast(list[str | None], texts)]

    async def _write(self, record: Endpoint, *, read: str) -> bool:
        with redis_errors():
            written = await self._write_endpoint(
                keys=[self._key, self._keys.subscribed(record.tenant)],
                args=[
                    record.endpoint_id,
                    json.dumps(asdict(record)),
                    read,
                    "1" if record.event_types else "",
                ],
            )
        return bool(written)
