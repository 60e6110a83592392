"""The embedded stack as a user starts it: real processes, a real server, a data folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from gw.data_folder import DataFolder
from gw.job_store import embedded_redis
from pipeline.connection import connect
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.builders_onnx import save_mean_model
from tests.conftest import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

CARD = """
[model]
name = "mean"
task = "raw"
runtime = "onnx"
description = "The mean of each colour channel"

[input]
width_px = 32
height_px = 32

[decoder]
kind = "raw"

[batching]
max_size = 4
max_delay_ms = 2
"""

#: A real JPEG, small enough that its decoding is not what a test waits for.
PICTURE = cv2.imencode(".jpg", np.full((48, 64, 3), (30, 120, 200), np.uint8))[1].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A running stack: *http* speaks to its API with a valid key."""

    data: Path
    http: httpx.AsyncClient

    def services(self) -> dict[str, dict[str, Any]]:
        """Give what ``gw status --json`` says of each service."""
        answer = gw("status", "--json", "--data", str(self.data), check=False)
        return {each["name"]: each for each in json.loads(answer.stdout)["services"]}

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a service's process; give the pid it had."""
        pid: int = self.services()[service]["pid"]
        os.kill(pid, number)
        return pid

    async def submit(
        self, picture: bytes = PICTURE, *, webhook: Mapping[str, str] | None = None, **fields: str
    ) -> dict[str, Any]:
        """Submit a picture to the model ``mean``; give the job."""
        headers = {"content-type": "application/octet-stream"}
        if webhook is not None:
            headers["gw-webhook"] = json.dumps(webhook)
        answer = await self.http.post(
            "/v1/jobs", params={"model": "mean"} | fields, content=picture, headers=headers
        )
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def job(self, job_id: str) -> dict[str, Any]:
        """Give a job as the API shows it, waiting out a restarting webapp."""
        job: dict[str, Any] | None = await wait_until(
            lambda: self._get(f"/v1/jobs/{job_id}"), timeout_s=30
        )
        assert job is not None
        return job

    async def counts(self) -> dict[JobState, int]:
        """Give how many jobs are in each state; each end that ever happened is in it."""
        async with connect(embedded_redis(DataFolder.at(self.data))) as redis:
            counts = await JobStore(redis, Keyspace()).counts()
        return {state: count for state, count in counts.items() if count}

    async def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer = await self.http.get(path)
        except httpx.TransportError:
            return None
        document: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return document


def gw(*arguments: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("gw")), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
    )


def write_models(folder: Path) -> Path:
    """Write a model folder with the model ``mean``."""
    (folder / "mean" / "1").mkdir(parents=True)
    (folder / "mean" / "model.toml").write_text(CARD)
    save_mean_model(folder / "mean" / "1" / "model.onnx", side_px=32)
    return folder


@asynccontextmanager
async def embedded(
    folder: Path, environ: Mapping[str, str], *, write: Callable[[Path], Path] = write_models
) -> AsyncIterator[Embedded]:
    """Run a stack in *folder*, with the models that *write* puts there, as long as the block."""
    data, port = folder / "data", free_port()
    models = write(folder / "models")
    up = ["up", "--detach", "--data", str(data), "--models", str(models), "--port", str(port)]
    try:
        # Nobody copies into this folder while it is read.
        started = gw(*up, check=False, **{"GW_MODELS_SETTLE_S": "0"} | dict(environ))
        assert started.returncode == 0, started.stdout + started.stderr
        key = (data / "api-key").read_text().strip()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
        ) as http:
            yield Embedded(data=data, http=http)
    finally:
        gw("down", "--data", str(data), check=False)
