"""The postprocess service: its parts, put together."""

from __future__ import annotations

import asyncio

from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.following import BLOCK_MS
from pipeline.health import HealthBoard, keep_beating
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import run_service
from pipeline.models.catalogue import Catalogue
from pipeline.protocol import POSTPROCESS_GROUP, Keyspace
from pipeline.streams import StreamReader
from postprocess.loop import Postprocess
from postprocess.settings import PostprocessSettings


async def serve(settings: PostprocessSettings, stop: asyncio.Event) -> None:
    """Run the service until *stop* is set."""
    service = settings.service
    redis = connect(service.redis, block_s=BLOCK_MS / 1000)
    keys = Keyspace(service.redis.prefix)
    clock = SystemClock()
    postprocess = Postprocess(
        reader=StreamReader(
            redis,
            keys,
            group=POSTPROCESS_GROUP,
            consumer=service.instance,
            lease_ms=int(settings.lease_s * 1000),
        ),
        store=JobStore(redis, keys, retention_ms=service.job_retention_s * 1000),
        catalogue=Catalogue(redis, keys),
        clock=clock,
    )
    async with redis, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            keep_beating(
                HealthBoard(redis, keys, file=service.heartbeat_file),
                clock,
                stop,
                service="postprocess",
                instance=service.instance,
            ),
            name="heartbeat",
        )
        tasks.create_task(
            postprocess.run(keys, stop, batch_size=settings.batch_size), name="claim-and-judge"
        )


if __name__ == "__main__":
    run_service("postprocess", PostprocessSettings, serve)
