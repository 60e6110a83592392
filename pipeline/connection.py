"""The connection to Redis: how it opens, what it must be able to do, how its absence is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from pipeline.errors import InvalidSettings, Unavailable
from pipeline.settings import RedisSettings

#: Scripts carry a ``#!lua`` line with flags, which came with 7.0.
MINIMUM_REDIS_MAJOR = 7

#: Commands under way at once in one process; more of them wait for their turn.
CONNECTIONS_MAX = 64

#: What redis-py raises while the server is away, starting, or refusing writes.
REDIS_AWAY = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    OSError,
)


#: What a service's composition root passes on, without importing redis itself.
Connection = Redis


def connect(settings: RedisSettings, *, block_s: float = 0.0) -> Redis:
    """Open a pool of connections that decode text. Nothing is sent yet.

    *block_s* is the longest blocking read that the caller will ask for; the socket waits a little
    longer. Commands are retried once, at once, on a broken connection: the server may have been
    restarted since the last command. Every script and command gw sends is safe to repeat.
    """
    pool = BlockingConnectionPool.from_url(
        settings.url,
        password=settings.password or None,
        # A burst of callers waits for one another, rather than be told that Redis is away.
        max_connections=CONNECTIONS_MAX,
        timeout=settings.timeout_s,
        decode_responses=True,
        # Foreign bytes in an entry must reach the reader, which parks it, not break every read.
        encoding_errors="replace",
        socket_timeout=settings.timeout_s + block_s,
        socket_connect_timeout=settings.timeout_s,
        socket_keepalive=True,
        health_check_interval=0,
        retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.1), 1),
    )
    return Redis.from_pool(pool)


def load_script(redis: Redis, name: str) -> AsyncScript:
    """Register ``pipeline/scripts/<name>.lua``; it is sent once and called by its hash."""
    text = resources.files("pipeline").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return redis.register_script(text)


async def check_server(redis: Redis) -> None:
    """Refuse a server that could lose accepted work; raises InvalidSettings or Unavailable."""
    try:
        with redis_errors():
            info = await redis.info("server")
            memory = await redis.info("memory")
    except Unavailable as exc:
        if isinstance(exc.__cause__, AuthenticationError):
            raise InvalidSettings(f"Redis refuses the password: {exc.__cause__}") from exc
        raise
    version = str(info.get("redis_version", "0"))
    if int(version.partition(".")[0]) < MINIMUM_REDIS_MAJOR:
        raise InvalidSettings(
            f"Redis {version} is too old; {MINIMUM_REDIS_MAJOR}.0 or newer is needed"
        )
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise InvalidSettings(
            f"Redis has maxmemory-policy {policy} and may drop accepted jobs; set it to noeviction"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMemory:
    """How much memory the server uses, and may use; *limit_bytes* is 0 where it has no limit."""

    used_bytes: int
    limit_bytes: int

    @property
    def percent(self) -> float:
        """Give how full it is, 0 without a limit."""
        return 100.0 * self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


async def read_memory(redis: Redis) -> ServerMemory:
    """Ask the server for its memory; raises Unavailable."""
    with redis_errors():
        memory = await redis.info("memory")
    return ServerMemory(
        used_bytes=int(memory.get("used_memory", 0)), limit_bytes=int(memory.get("maxmemory", 0))
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn the absence of Redis into Unavailable, so that no caller needs redis-py's own tree."""
    try:
        yield
    except REDIS_AWAY as exc:
        raise Unavailable("the job store is not available right now") from exc
    except ResponseError as exc:
        # A script meets the memory limit or a failed append as an error of its own.
        if "OOM" in str(exc) or "MISCONF" in str(exc):
            raise Unavailable("the job store cannot take writes right now") from exc
        # Somebody emptied the server under us; a reader makes its group again. Redis 7.0 tells one
        # that was waiting in a word of its own.
        if str(exc).startswith(("NOGROUP", "UNBLOCKED")):
            raise Unavailable("the stream's consumer group is gone") from exc
        raise
