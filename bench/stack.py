"""The embedded stack under measurement: a data folder, a port and models of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.models import write_models
from bench.processes import Services
from bench.receiver import Receiver
from gw.data_folder import DataFolder
from gw.job_store import embedded_redis
from gw.state_file import read_state
from pipeline.connection import connect
from pipeline.errors import Unavailable
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.pictures.blobs import PICTURES_FOLDER
from pipeline.protocol import Keyspace

_ROOT = Path(__file__).parents[1]
_COMMAND_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """A stack that is up, with the receiver that it may call."""

    folder: DataFolder
    models: Path
    port: int
    key: str = field(repr=False)
    services: Services
    receiver: Receiver

    @property
    def pictures(self) -> Path:
        """The folder of the pictures that wait."""
        return self.folder.root / PICTURES_FOLDER

    def counts(self) -> dict[JobState, int]:
        """Give how many jobs are in each state."""

        async def read() -> dict[JobState, int]:
            async with connect(embedded_redis(self.folder)) as redis:
                return await JobStore(redis, Keyspace()).counts()

        return asyncio.run(read())

    def redis_used_mb(self) -> float:
        """Give what Redis itself says that its data and buffers take."""

        async def read() -> float:
            async with connect(embedded_redis(self.folder)) as redis:
                return float((await redis.info("memory"))["used_memory"]) / 1e6

        return asyncio.run(read())


@contextmanager
def running_stack(folder: Path, **settings: str) -> Iterator[RunningStack]:
    """Run a stack in *folder* with *settings* (GW_...) for as long as the block lasts."""
    models = folder / "models"
    if not models.exists():
        write_models(models)
    data = DataFolder.at(folder / "data")
    port = _free_port()
    with Receiver() as receiver:
        environ = _environ(receiver) | settings
        up = ("up", "--detach", "--data", str(data.root), "--models", str(models))
        try:
            _gw(environ, *up, "--port", str(port))
            state = read_state(data.state)
            if state is None:
                raise Unavailable("the stack that came up has no state file")
            yield RunningStack(
                folder=data,
                models=models,
                port=port,
                key=data.api_key.read_text("utf-8").strip(),
                services=Services.of({each.name: each.pid or 0 for each in state.services}),
                receiver=receiver,
            )
        finally:
            _gw(environ, "down", "--now", "--data", str(data.root))


def _environ(receiver: Receiver) -> dict[str, str]:
    """Give this process's environment without anybody's settings of gw."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GW_")}
    return kept | {
        "PYTHONPATH": str(_ROOT),
        "GW_EGRESS_ALLOW": f"127.0.0.1/32:{receiver.port}",
    }


def _gw(environ: Mapping[str, str], *arguments: str) -> None:
    """Run the command line; raises Unavailable with what it said if it fails."""
    answer = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "gw", *arguments],
        cwd=_ROOT,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
    if answer.returncode != 0:
        raise Unavailable(f"gw {arguments[0]} failed: {answer.stdout}{answer.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
