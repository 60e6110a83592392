"""The operations service: its parts, put together."""

from __future__ import annotations

import asyncio
import importlib.util

from operations.child import WorkerChild
from operations.loop import Planner
from operations.queueing import OperationQueue
from operations.rq_names import connect_rq
from operations.settings import OperationsSettings
from pipeline.batches.batch import OperationsQueue
from pipeline.batches.store import BatchStore
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.deliveries.operation_store import OperationStore
from pipeline.errors import InvalidSettings
from pipeline.health import HealthBoard, keep_beating
from pipeline.lifecycle import run_service
from pipeline.protocol import Keyspace


async def serve(settings: OperationsSettings, stop: asyncio.Event) -> None:
    """Run the service until *stop* is set; raises InvalidSettings."""
    queue = OperationsQueue(settings.queue)
    if queue is OperationsQueue.MEDIA and importlib.util.find_spec("cv2") is None:
        raise InvalidSettings("GW_OPERATIONS_QUEUE=media needs OpenCV, which is not installed here")
    service = settings.service
    redis = connect(service.redis)
    rq_connection = connect_rq(service.redis)
    keys = Keyspace(service.redis.prefix)
    clock = SystemClock()
    child = WorkerChild(queue, instance=service.instance)
    planner = Planner(
        queue=queue,
        batches=BatchStore(redis, keys),
        operations=OperationQueue(rq_connection, queue, clock=clock, own_prefix=child.prefix),
        asked_for=OperationStore(redis, keys),
        clock=clock,
        worker=lambda: child.name,
    )
    beat = keep_beating(
        HealthBoard(redis, keys, file=service.heartbeat_file),
        clock,
        stop,
        service=queue.service,
        instance=service.instance,
    )
    async with redis, asyncio.TaskGroup() as tasks:
        tasks.create_task(beat, name="heartbeat")
        tasks.create_task(child.run(stop), name="worker")
        tasks.create_task(planner.run(stop), name="plan")
    rq_connection.close()


if __name__ == "__main__":
    run_service("operations", OperationsSettings, serve)
