"""Promises 2 and 6 on the whole stack: take-over within the lease, and stops that lose nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import httpx
from redis.exceptions import ResponseError

from gw.data_folder import DataFolder
from gw.job_store import embedded_redis
from gw.settings import DEFAULT_TENANT
from pipeline.connection import connect
from pipeline.jobs.job import JobState, Priority
from pipeline.protocol import DISPATCHER_GROUP, Keyspace
from tests.e2e.embedded import ROOT, Embedded, embedded
from tests.e2e.test_kills import SECRET, announced, stack_environ
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

LEASE_S = 3.0
GRACE_S = 8.0

#: Before the stop of each service so many more webhooks are to come in.
TOLD_BETWEEN = 20

#: So many submissions are under way at once, faster than the slow runtime: a backlog grows.
CLIENTS = 6


class Load:
    """Clients that submit one job after the other; *accepted* are those that were answered 202."""

    def __init__(self, stack: Embedded, receiver: WebhookReceiver) -> None:
        self._stack = stack
        self._receiver = receiver
        self.accepted: set[str] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Submit while the block lasts."""
        over = asyncio.Event()
        clients = [asyncio.create_task(self._submit(over)) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*clients)

    async def _submit(self, over: asyncio.Event) -> None:
        webhook = {"url": self._receiver.url("200"), "secret": SECRET}
        while not over.is_set():
            try:
                job = await self._stack.submit(webhook=webhook)
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # the webapp restarts
            else:
                self.accepted.add(job["id"])

    async def all_announced(self) -> None:
        """Wait until every accepted job was announced, under one id, and nothing is live."""
        await wait_until(self._is_over, timeout_s=60)
        assert all(len(ids) == 1 for ids in announced(self._receiver).values())
        assert all(request.is_verified for request in self._receiver.requests)

    async def _is_over(self) -> bool:
        # An answer may have been lost with the webapp: then more was accepted than is known.
        counts = await self._stack.counts()
        told = set(announced(self._receiver))
        return self.accepted <= told and counts == {JobState.SUCCEEDED: len(told)}


async def has_restarted(stack: Embedded, service: str, old_pid: int) -> bool:
    """Whether the service runs as another process."""
    report = (await asyncio.to_thread(stack.services))[service]
    return report["pid"] not in (None, old_pid)


async def test_stopping_any_service_under_load_loses_nothing(tmp_path: Path) -> None:
    """Each service gets SIGTERM while jobs pass through: it leaves with 0, and all jobs succeed."""
    environ = {"GW_GRACE_S": str(GRACE_S)}
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        embedded(tmp_path, stack_environ(receiver) | environ) as stack,
    ):
        load = Load(stack, receiver)
        async with load.running():
            for service in ("dispatcher", "postprocess", "notifier", "webapp"):
                await receiver.wait_for(len(receiver.requests) + TOLD_BETWEEN, timeout_s=30)
                started_s = time.monotonic()
                pid = stack.kill(service, signal.SIGTERM)
                await wait_until(partial(has_restarted, stack, service, pid), timeout_s=30)
                assert time.monotonic() - started_s < GRACE_S
                report = stack.services()[service]
                assert (report["last_exit"], report["restarts"]) == (0, 1), service
        await load.all_announced()


@contextmanager
def second_dispatcher(stack: Embedded, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a dispatcher of another name beside the stack's own."""
    data = DataFolder.at(stack.data)
    environ = {
        "PYTHONPATH": str(ROOT),
        "GW_REDIS_URL": embedded_redis(data).url,
        "GW_REDIS_PASSWORD_FILE": str(data.redis_secret),
        "GW_DATA_DIR": str(data.root),
        "GW_MODELS_DIR": str(folder / "models"),
        "GW_RUNTIME": "tests.fakes.slow_runtime:SlowRuntime",
        "GW_INSTANCE": "second",
        "GW_DISPATCHER_LEASE_S": str(LEASE_S),
    }
    with (folder / "second.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dispatcher"],
            env=os.environ | environ,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


async def held_by_second(stack: Embedded) -> set[str]:
    """Give the entries that the second dispatcher has claimed."""
    stream = Keyspace().infer("mean", Priority.NORMAL, DEFAULT_TENANT)
    async with connect(embedded_redis(DataFolder.at(stack.data))) as redis:
        try:
            rows = await redis.xpending_range(
                stream, DISPATCHER_GROUP, "-", "+", 1000, consumername="second"
            )
        except ResponseError as exc:
            # The tenant's line comes to be with its first job.
            assert "NOGROUP" in str(exc)  # noqa: PT017
            return set()
    return {str(row["message_id"]) for row in rows}


async def test_a_killed_dispatchers_jobs_are_taken_over_within_its_lease(tmp_path: Path) -> None:
    """Of two dispatchers one is killed for good: the other has its jobs a lease later."""
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        embedded(tmp_path, stack_environ(receiver)) as stack,
    ):
        load = Load(stack, receiver)
        with second_dispatcher(stack, tmp_path) as second:
            async with load.running():
                await wait_until(lambda: holds_some(stack), timeout_s=30)
                second.kill()
                killed_s = time.monotonic()
            left = await held_by_second(stack)
            assert left
            await wait_until(lambda: holds_nothing(stack))
            # The lease, and the third of it between two looks at what is overdue.
            assert time.monotonic() - killed_s < LEASE_S * 4 / 3 + 1.0
            await load.all_announced()


async def holds_some(stack: Embedded) -> bool:
    """Whether the second dispatcher has claimed more than a batch."""
    return len(await held_by_second(stack)) > 4


async def holds_nothing(stack: Embedded) -> bool:
    """Whether nothing is the second dispatcher's any more."""
    return not await held_by_second(stack)
