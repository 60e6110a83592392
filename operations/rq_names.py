"""RQ under our own prefix: imported before anything else of RQ is, because RQ reads it at import.

Every key of RQ begins with ``{prefix}:rq``, so that a Redis user may be let at exactly gw's keys.
Arguments and results are JSON: with RQ's own pickle, whoever writes to Redis could run code here.
"""

from __future__ import annotations

import os

from redis import Redis

from pipeline.protocol import SCHEMA, Keyspace
from pipeline.settings import RedisSettings

os.environ["RQ_KEY_PREFIX"] = Keyspace(os.environ.get("GW_REDIS_PREFIX") or SCHEMA).rq

from rq import Queue, Retry, Worker
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job as RqRecord
from rq.job import JobStatus

__all__ = [
    "DuplicateJobError",
    "JobStatus",
    "NoSuchJobError",
    "Queue",
    "Retry",
    "RqRecord",
    "Worker",
    "connect_rq",
    "rq_queue",
]

SERIALIZER = "json"

#: A worker's blocking pop returns after so long, less 15 s: only then it looks for lost jobs.
WORKER_TTL_S = 45
MAINTENANCE_INTERVAL_S = 30

#: What RQ remembers of an operation: our own records say what became of it.
RESULT_TTL_S = 60
FAILURE_TTL_S = 24 * 3600

#: An operation that raises is tried again at once so often; after that the planner waits and asks
#: for it anew, for as long as there is need of it.
RETRIES = 2


def connect_rq(settings: RedisSettings) -> Redis:
    """Open RQ's connections: blocking, and of bytes, as RQ wants them. Nothing is sent yet."""
    return Redis.from_url(
        settings.url,
        password=settings.password or None,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        socket_keepalive=True,
    )


def rq_queue(name: str, connection: Redis) -> Queue:
    """Give a queue of RQ."""
    return Queue(name, connection=connection, serializer=SERIALIZER)
