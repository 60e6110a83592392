"""A dispatcher's surroundings: models, pictures, jobs that wait, and what became of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from redis.asyncio import Redis

from dispatcher.__main__ import serve
from dispatcher.models.settings import LifecycleSettings
from dispatcher.settings import DispatcherSettings
from pipeline.health import HealthBoard
from pipeline.jobs.job import Job, JobState, Priority
from pipeline.jobs.store import JobStore
from pipeline.pictures.blobs import PICTURES_FOLDER, FileBlobs
from pipeline.protocol import JobInferred, Keyspace
from pipeline.settings import RedisSettings, ServiceSettings
from tests.builders import make_job
from tests.builders_onnx import save_mean_model
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]

RUNTIME = "tests.fakes.poisonable_runtime:PoisonableRuntime"

CARD = """
[model]
name = "{name}"
task = "raw"
runtime = "onnx"

[input]
width_px = 8
height_px = 8
scale = 1.0

[decoder]
kind = "raw"

[batching]
max_size = {max_size}
max_delay_ms = {max_delay_ms}
"""


def picture(red: int = 10, green: int = 20, blue: int = 30) -> bytes:
    """Give a picture of one colour, lossless: the model answers with that colour."""
    pixels = np.full((8, 8, 3), (blue, green, red), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


class Station:
    """Redis under a prefix, a data folder and a model folder; the model ``echo`` is there."""

    def __init__(self, redis: Redis, keys: Keyspace, redis_url: str, folder: Path) -> None:
        self.redis = redis
        self.keys = keys
        self.store = JobStore(redis, keys)
        self.data = folder / "data"
        self.models = folder / "models"
        self.blobs = FileBlobs(self.data / PICTURES_FOLDER)
        self.steering = folder / "steering"
        os.environ["GW_TEST_STEERING"] = str(self.steering)
        self._spawned: list[subprocess.Popen[bytes]] = []
        self._redis_settings = RedisSettings(url=redis_url, prefix=keys.prefix, timeout_s=2.0)
        self.add_model()

    def add_model(
        self, name: str = "echo", *, max_size: int = 8, max_delay_ms: int = 20, fault: str = ""
    ) -> None:
        """Add a model whose answer is the picture's mean colour."""
        version = self.models / name / "1"
        (self.steering / name).mkdir(parents=True, exist_ok=True)
        save_mean_model(version / "model.onnx", side_px=8)
        card = CARD.format(name=name, max_size=max_size, max_delay_ms=max_delay_ms)
        (version.parent / "model.toml").write_text(card)
        self.fail_loads(fault, name=name)

    def fail_loads(self, fault: str, *, name: str = "echo") -> None:
        """Have the model's loads fail from now on; see PoisonableRuntime."""
        (self.steering / name / "fault").write_text(fault)

    def loads(self, name: str = "echo") -> int:
        """Give how often the model's load was tried."""
        path = self.steering / name / "loads"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def settings(self, **changes: Any) -> DispatcherSettings:
        """Give settings; *instance*, *grace_s* and *redis_url* go where they belong."""
        redis = self._redis_settings
        if "redis_url" in changes:
            redis = replace(redis, url=changes.pop("redis_url"))
        service = ServiceSettings(
            redis=redis,
            instance=changes.pop("instance", "a"),
            grace_s=changes.pop("grace_s", 10.0),
            data_dir=self.data,
        )
        quick = {"settle_s": 0.0, "interval_s": 0.05}
        lifecycle = LifecycleSettings(**quick | changes.pop("lifecycle", {}))
        defaults: dict[str, Any] = {
            "lifecycle": lifecycle,
            "models_dir": self.models,
            "runtime": RUNTIME,
            "shared_memory_mb": 16,
            "device_threads": 1,
            "decode_threads": 2,
            "infer_timeout_s": 1.0,
            "load_timeout_s": 10.0,
            "lease_s": 1.0,
        }
        return DispatcherSettings(service=service, **(defaults | changes))

    @asynccontextmanager
    async def dispatcher(self, **changes: Any) -> AsyncIterator[asyncio.Event]:
        """Run a dispatcher in this process; give the event that stops it."""
        stop = asyncio.Event()
        task = asyncio.create_task(serve(self.settings(**changes), stop))
        try:
            yield stop
            stop.set()
            await asyncio.wait_for(task, 20)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def spawn(self, instance: str = "a", **environ: str) -> subprocess.Popen[bytes]:
        """Start a dispatcher as a process of its own."""
        defaults = {
            "PYTHONPATH": str(ROOT),
            "GW_REDIS_URL": self._redis_settings.url,
            "GW_REDIS_PREFIX": self.keys.prefix,
            "GW_INSTANCE": instance,
            "GW_DATA_DIR": str(self.data),
            "GW_MODELS_DIR": str(self.models),
            "GW_RUNTIME": RUNTIME,
            "GW_SHARED_MEMORY_MB": "16",
            "GW_DEVICE_THREADS": "1",
            "GW_DECODE_THREADS": "2",
            "GW_DISPATCHER_LEASE_S": "1",
            "GW_GRACE_S": "10",
            "GW_MODELS_SETTLE_S": "0",
            "GW_MODELS_INTERVAL_S": "0.1",
        }
        with (self.data.parent / f"{instance}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dispatcher"],
                env=os.environ | defaults | environ,
                stdout=log,
                stderr=log,
            )
        self._spawned.append(process)
        return process

    def close(self) -> None:
        """End what was spawned and still lives."""
        del os.environ["GW_TEST_STEERING"]
        for process in self._spawned:
            process.kill()
            process.wait(10)

    def log_of(self, instance: str = "a") -> str:
        """Give what a spawned dispatcher has logged."""
        return (self.data.parent / f"{instance}.log").read_text()

    async def submit(
        self, *pictures: bytes | None, priority: Priority = Priority.NORMAL, **changes: Any
    ) -> list[Job]:
        """Accept a job for each picture; None stores none."""
        jobs = [make_job(priority=priority, **changes) for _ in pictures]
        for job, data in zip(jobs, pictures, strict=True):
            if data is not None:
                self.blobs.put(job.job_id, data)
        await self.store.accept(jobs, waiting_max=100_000)
        return jobs

    async def states(self, jobs: Sequence[Job]) -> Counter[str]:
        """Count the states that *jobs* are in."""
        return Counter(str(record.state) for record in await self.records(jobs))

    async def records(self, jobs: Sequence[Job]) -> list[Job]:
        """Give the records as they are now."""
        records = await self.store.get_many([job.job_id for job in jobs])
        return [record for record in records if record is not None]

    async def through(self, jobs: Sequence[Job], timeout_s: float = 15.0) -> list[Job]:
        """Wait until none of *jobs* waits or runs; give their records."""

        async def are_through() -> list[Job] | None:
            records = await self.records(jobs)
            live = {JobState.QUEUED, JobState.RUNNING}
            return None if any(record.state in live for record in records) else records

        records: list[Job] = await wait_until(are_through, timeout_s)
        return records

    async def inferred(self) -> dict[str, JobInferred]:
        """Give the messages to postprocess by job; fails if a job has two."""
        rows: Any = await self.redis.xrange(self.keys.results)
        messages = [JobInferred.from_fields(fields) for _, fields in rows]
        by_job = {message.job_id: message for message in messages}
        assert len(by_job) == len(messages)
        return by_job

    async def claimed(self, model: str = "echo", *, priority: Priority | None = None) -> int:
        """Give how many entries of *model*, at one *priority* or all, are claimed by anybody."""
        claimed = 0
        for each in Priority if priority is None else (priority,):
            stream = self.keys.infer(model, each, "default")
            if await self.redis.exists(stream):
                groups = await self.redis.xinfo_groups(stream)
                claimed += sum(int(group["pending"]) for group in groups)
        return claimed

    async def waiting(self, model: str = "echo") -> int:
        """Give how many entries of *model* there are, claimed or not."""
        return sum([await self.redis.xlen(self.keys.infer(model, p, "default")) for p in Priority])

    async def has_picture(self, job: Job) -> bool:
        """Whether the job's picture is stored."""
        return await asyncio.to_thread(self.blobs.get, job.job_id) is not None

    async def pictures_gone(self, jobs: Sequence[Job]) -> None:
        """Wait until the pictures of *jobs* are removed."""

        async def are_gone() -> bool:
            return not any([await self.has_picture(job) for job in jobs])

        await wait_until(are_gone)

    async def is_up(self, instance: str = "a") -> bool:
        """Whether a dispatcher shows life and can work."""
        beats = await HealthBoard(self.redis, self.keys).all()
        return any(beat.instance == instance and not beat.reason for beat in beats)


def colour(message: JobInferred) -> tuple[float, ...]:
    """Give the mean colour that the model answered with."""
    return message.findings.tensors[0].values


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
    """Send a signal to a process and wait for its end; give its exit status."""
    process.send_signal(number)
    return process.wait(20)
