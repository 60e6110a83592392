"""The way from a command to the platform's Redis: the embedded one, or the one in the settings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis

from gw.data_folder import DataFolder, secret_at
from gw.run_lock import holder_of
from gw.server import LOOPBACK
from gw.settings import CommandSettings, environ_with
from gw.state_file import read_state
from pipeline.connection import connect
from pipeline.errors import Unavailable
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings, load

T = TypeVar("T")


def in_job_store(data_dir: Path | None, work: Callable[[Redis, Keyspace], Awaitable[T]]) -> T:
    """Do *work* in the platform's Redis; *data_dir* is the option of the command, if given."""

    async def connected() -> T:
        settings = find_redis(os.environ, data_dir=data_dir)
        redis = connect(settings)
        try:
            return await work(redis, Keyspace(settings.prefix))
        finally:
            await redis.aclose()

    return asyncio.run(connected())


def find_redis(environ: Mapping[str, str], *, data_dir: Path | None) -> RedisSettings:
    """Find the stack on *data_dir*; without one, what ``GW_REDIS_URL`` names; else the usual stack.

    Raises Unavailable if the stack that is meant does not run.
    """
    settings = load(CommandSettings, environ_with(environ, data_dir=data_dir))
    if data_dir is None and environ.get("GW_REDIS_URL"):
        return settings.redis
    return embedded_redis(DataFolder.at(settings.data_dir))


def embedded_redis(folder: DataFolder) -> RedisSettings:
    """Find the Redis of the stack that runs on *folder*; raises Unavailable if none does."""
    holder = holder_of(folder.lock)
    state = read_state(folder.state) if holder else None
    if holder is None or state is None or state.pid != holder.pid:
        raise Unavailable(
            f"gw does not run on {folder.root}; start it with `gw up`, or name another platform's"
            " Redis in GW_REDIS_URL"
        )
    return RedisSettings(
        url=f"redis://{LOOPBACK}:{state.redis_port}/0", password=secret_at(folder.redis_secret)
    )
