"""What lies before the device, counted: jobs and their pictures, by tenant, model and priority.

A job counts from its acceptance until it is through the device, or ended before. The counters are
one hash that the scripts keep in step with the jobs' states; :class:`LoadStore` reads them, and
sets those right that an upgrade, or somebody's hand, has left wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.jobs.job import Job, JobState, Priority
from pipeline.protocol import Keyspace

#: The states in which a job counts; its picture is needed in them.
LOADING_STATES = frozenset({JobState.QUEUED, JobState.RUNNING})

#: The field of all pictures' bytes together.
BYTES = "bytes"


def bytes_field(tenant: str) -> str:
    """Name the counter of the bytes of a tenant's pictures."""
    return f"bytes:{tenant}"


def jobs_field(tenant: str) -> str:
    """Name the counter of a tenant's jobs."""
    return f"jobs:{tenant}"


def model_field(model: str, priority: Priority) -> str:
    """Name the counter of a model's jobs at one priority."""
    return f"model:{model}:{priority}"


def line_field(model: str, priority: Priority, tenant: str) -> str:
    """Name the counter of one tenant's jobs for a model at one priority."""
    return f"line:{model}:{priority}:{tenant}"


def through_field(model: str) -> str:
    """Name the counter of jobs that *model* is through with; it only grows."""
    return f"through:{model}"


def loads_of(jobs: Iterable[Job]) -> Counter[str]:
    """Give by how much *jobs* raise each counter."""
    loads: Counter[str] = Counter()
    for job in jobs:
        loads[BYTES] += job.picture.size_bytes
        loads[bytes_field(job.tenant)] += job.picture.size_bytes
        loads[jobs_field(job.tenant)] += 1
        loads[model_field(job.model, job.priority)] += 1
        loads[line_field(job.model, job.priority, job.tenant)] += 1
    return loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """All counters at one moment."""

    fields: Mapping[str, int]

    def of(self, field: str) -> int:
        """Give one counter; 0 where it is not there."""
        return max(0, self.fields.get(field, 0))

    def ahead(self, model: str, priority: Priority) -> int:
        """Give how many jobs of *model* are at least as urgent as *priority*."""
        return sum(
            self.of(model_field(model, each)) for each in Priority if each.rank <= priority.rank
        )

    def model(self, model: str) -> int:
        """Give how many jobs wait for *model*, or are on it."""
        return self.ahead(model, Priority.LOW)

    def tenants(self, model: str) -> frozenset[str]:
        """Give the tenants with jobs for *model*."""
        prefixes = tuple(f"line:{model}:{priority}:" for priority in Priority)
        return frozenset(
            name.rpartition(":")[2]
            for name, count in self.fields.items()
            if count > 0 and name.startswith(prefixes)
        )


class LoadStore:
    """The counters in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._hash = keys.loads
        self._set_loads = load_script(redis, "set_loads")

    async def read(self) -> Loads:
        """Give all counters."""
        with redis_errors():
            fields = cast(dict[str, str], await self._redis.hgetall(self._hash))
        return Loads(fields={name: int(value) for name, value in fields.items()})

    async def correct(self, seen: Loads, counted: Mapping[str, int]) -> list[str]:
        """Set the counters that differ from *counted*, unless they have moved since *seen*.

        Give the names of those that were set. What only grows is left alone.
        """
        names = {name for name in seen.fields if not name.startswith("through:")} | set(counted)
        wrong = sorted(name for name in names if seen.fields.get(name, 0) != counted.get(name, 0))
        if not wrong:
            return []
        args: list[str | int] = []
        for name in wrong:
            args += [name, seen.fields.get(name, 0), counted.get(name, 0)]
        with redis_errors():
            return cast(list[str], await self._set_loads(keys=[self._hash], args=args))
