"""A notifier alone: a server, the service's process, jobs that end, nothing else of the stack."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError

from gw.data_folder import DataFolder
from gw.server import find_server
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.ids import new_id
from pipeline.jobs.job import Job, JobState, PictureFacts, Subscriber
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # the specification's example
_ROOT = Path(__file__).parents[1]
_READY_S = 30.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class NotifierSite:
    """Processes in *folder*; *environ* are the notifier's settings (GW_...)."""

    folder: Path
    environ: dict[str, str]
    port: int = field(default_factory=_free_port)
    keys: Keyspace = field(default_factory=Keyspace)
    _server: subprocess.Popen[bytes] | None = None
    _notifier: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server; the notifier is started apart."""
        self.start_server()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what runs."""
        self.kill_notifier()
        self.kill_server()

    @property
    def redis_settings(self) -> RedisSettings:
        """Say where the server is."""
        return RedisSettings(url=f"redis://127.0.0.1:{self.port}/0")

    def connect(self) -> Redis:
        """Open a client."""
        return connect(self.redis_settings)

    def start_server(self) -> None:
        """Start the server on its append-only file, and wait until it answers."""
        binary = find_server(DataFolder.at(self.folder)).path
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "always"]
        with (self.folder / "redis.log").open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
        client = BlockingRedis(port=self.port)
        deadline_s = time.monotonic() + _READY_S
        while time.monotonic() < deadline_s:
            try:
                client.ping()
            except (RedisConnectionError, BusyLoadingError):
                time.sleep(0.02)
            else:
                client.close()
                return
        raise TimeoutError("the server did not start")

    def kill_server(self) -> None:
        """Kill the server, as a power cut would."""
        _kill(self._server)
        self._server = None

    def start_notifier(self) -> None:
        """Start the service; it needs a moment until it claims."""
        environ = os.environ | self.environ
        environ |= {"GW_REDIS_URL": self.redis_settings.url, "GW_INSTANCE": "bench"}
        with (self.folder / "notifier.log").open("ab") as log:
            self._notifier = subprocess.Popen(
                [sys.executable, "-m", "notifier"], cwd=_ROOT, env=environ, stdout=log, stderr=log
            )

    def kill_notifier(self) -> None:
        """Kill the service in the middle of whatever it does."""
        _kill(self._notifier)
        self._notifier = None


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait(10)


async def end_jobs(store: JobStore, subscribers: Sequence[Subscriber]) -> list[Job]:
    """Have one job for each of *subscribers* end; give them, stored."""
    now_unix_ms = SystemClock().unix_ms()
    jobs = [
        Job(
            job_id=new_id("job", now_unix_ms),
            tenant="default",
            model="helmet",
            version="1",
            reference=f"line-{number % 7}",
            picture=PictureFacts(format="jpeg", width_px=640, height_px=480, size_bytes=1000),
            accepted_unix_ms=now_unix_ms,
            subscribers=(each,),
        )
        for number, each in enumerate(subscribers)
    ]
    await store.accept(jobs, waiting_max=10**9)
    ends = [
        Move(
            job=job,
            to=JobState.FAILED,
            finished_unix_ms=now_unix_ms,
            reason_code="bench",
            reason="It is over.",
        )
        for job in jobs
    ]
    await store.move(ends)
    return jobs


def subscriber(*, url: str = "", endpoint_id: str = "") -> Subscriber:
    """Make a subscriber: a URL with the common secret, or an endpoint."""
    return Subscriber(
        delivery_id=new_id("msg", SystemClock().unix_ms()),
        url=url,
        secret=SECRET if url else "",
        endpoint_id=endpoint_id,
    )
