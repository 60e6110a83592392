"""Tenants: what the operator has set for one of them. One without a record has the defaults.

A tenant comes to be with its first key. Its record says only what differs from the platform's own
settings, so that most tenants have none.
"""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from pipeline.protocol import Keyspace
from pipeline.records import RecordHash

#: What a tenant may be called, as a regular expression: it stands in keys and in paths.
TENANT_NAME = "[a-z0-9][a-z0-9_-]{0,63}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant's settings; 0 stands for the platform's own in each.

    *record_retention_s*: how long its jobs can be read after their end. *picture_retention_s*: how
    long its pictures are kept after the device was through with them; by default not at all. What
    counts for a job is what was set when it was accepted.

    *weight* is its share of the device beside others' that have work of the same priority.
    *jobs_per_s* flows into a bucket that holds *burst* jobs, by default those of two seconds;
    *key_jobs_per_s* is the same for each of its keys. *jobs_waiting_max* counts what is not through
    the device yet, *bytes_max* the pictures of those.
    """

    tenant: str
    weight: float = 1.0
    jobs_per_s: float = 0.0
    burst: int = 0
    key_jobs_per_s: float = 0.0
    jobs_waiting_max: int = 0
    bytes_max: int = 0
    record_retention_s: int = 0
    picture_retention_s: int = 0


class TenantStore(RecordHash[Tenant]):
    """Tenants in Redis."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        super().__init__(redis, keys.tenants, parse=Tenant, id_field="tenant")
