"""Registered endpoints: named places that jobs may ask to be announced to.

The signing secret is kept readable, because a signature needs it; it never leaves through an API.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from redis.asyncio import Redis

from pipeline.protocol import Keyspace
from pipeline.records import RecordHash


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint of one tenant. *secret* has the form ``whsec_`` and base64."""

    endpoint_id: str
    tenant: str
    url: str
    description: str
    created_unix_ms: int
    secret: str = field(repr=False)


class EndpointStore(RecordHash[Endpoint]):
    """Endpoints in Redis."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        super().__init__(redis, keys.endpoints, parse=Endpoint, id_field="endpoint_id")
