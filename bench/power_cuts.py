"""Power cuts: what was answered with 202 is there after a start from what the disk has kept."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.disk import Disk, mounted, new_disk, why_impossible
from bench.models import THUMBNAIL
from bench.pictures import draw_pictures
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack
from gw.job_store import embedded_redis
from pipeline.connection import connect
from pipeline.jobs.job import JobState

NAME = "power-cuts"
_SEED = 19
_CLIENTS = 8
#: A cut comes so long after the load has begun, at random.
_LOAD_S = (0.3, 1.5)
_END_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What came of one cut: how many jobs had been answered, and what became of them."""

    answered: int
    absent: int
    not_succeeded: int
    start_s: float


def measure(scale: Scale) -> Report:
    """Cut the power again and again, with Redis syncing every write and every second."""
    impossible = why_impossible()
    if impossible:
        return Report(name=NAME, figures=(), notes=(f"not measured here: {impossible}.",))
    always = cut_often("always", scale.power_cuts)
    every_second = cut_often("everysec", scale.power_cuts)
    lost = sum(cut.absent + cut.not_succeeded for cut in always)
    answered = sum(cut.answered for cut in always)
    return Report(
        name=NAME,
        figures=(
            Figure(
                name=f"answered jobs lost over {len(always)} power cuts",
                value=lost,
                unit="jobs",
                reference=f"{answered} answers of 202 in the second before a cut",
                bar=0,
            ),
            Figure(
                name="longest start from what a cut left",
                value=max((cut.start_s for cut in always), default=0.0),
                unit="s",
                reference="until the stack says that it is ready",
            ),
            Figure(
                name="answered jobs lost with appendfsync everysec",
                value=sum(cut.absent + cut.not_succeeded for cut in every_second),
                unit="jobs",
                reference=f"{sum(cut.answered for cut in every_second)} answers",
            ),
        ),
        tables=(_table("always", always), _table("everysec", every_second)),
        notes=(
            "A cut keeps what ext4 has handed to its disk, at one instant; the rest of the page"
            " cache is lost. Disks that forget what they said they had synced are beyond this.",
            "Every answered job is asked for after the start, and must come to succeed: so its"
            " picture is there, too.",
        ),
    )


def cut_often(fsync: str, count: int) -> list[Cut]:
    """Cut the power *count* times while jobs are submitted, Redis syncing as *fsync* says.

    Needs what :func:`bench.disk.why_impossible` asks for.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        new_disk(Path(folder)) as disk,
        running_stack(disk.folder) as stack,
    ):
        # The models were copied there long ago, as it were.
        os.sync()
        return asyncio.run(_cut_again_and_again(disk, stack, Path(folder), fsync, count))


async def _cut_again_and_again(
    disk: Disk, stack: RunningStack, folder: Path, fsync: str, count: int
) -> list[Cut]:
    async with connect(embedded_redis(stack.folder)) as redis:
        await redis.config_set("appendfsync", fsync)
    chance = random.Random(_SEED)  # noqa: S311 - not for secrets
    cuts = []
    for number in range(count):
        image, answered = await _cut_under_load(
            disk, stack, number, load_s=chance.uniform(*_LOAD_S)
        )
        cuts.append(await asyncio.to_thread(_restart, image, folder / "copy", answered))
        image.unlink()
    return cuts


async def _cut_under_load(
    disk: Disk, stack: RunningStack, number: int, *, load_s: float
) -> tuple[Path, list[str]]:
    """Submit from several clients and copy the disk in the midst; give who was answered before."""
    answered: list[str] = []
    stop = asyncio.Event()
    pictures = draw_pictures()
    async with _client(stack.port, stack.key) as http, asyncio.TaskGroup() as tasks:
        for client in range(_CLIENTS):
            picture = pictures[client % len(pictures)]
            tasks.create_task(_submit(http, picture, answered, stop))
        await asyncio.sleep(load_s)
        before = list(answered)
        image = await asyncio.to_thread(disk.cut, f"cut-{number}")
        stop.set()
    return image, before


async def _submit(
    http: httpx.AsyncClient, picture: bytes, answered: list[str], stop: asyncio.Event
) -> None:
    while not stop.is_set():
        answer = await http.post("/v1/jobs", params={"model": THUMBNAIL}, content=picture)
        if answer.status_code == 202:
            answered.append(answer.json()["id"])


def _restart(image: Path, folder: Path, answered: Sequence[str]) -> Cut:
    """Start a stack from what the cut left, and see what became of the *answered* jobs."""
    with mounted(image, folder):
        started_s = time.monotonic()
        with running_stack(folder) as stack:
            start_s = time.monotonic() - started_s
            states = asyncio.run(_ends(stack, answered))
    return Cut(
        answered=len(answered),
        absent=sum(state is None for state in states),
        not_succeeded=sum(state not in (None, JobState.SUCCEEDED) for state in states),
        start_s=start_s,
    )


async def _ends(stack: RunningStack, job_ids: Sequence[str]) -> list[str | None]:
    """Give the state that each job comes to; None for one that is not there."""
    until_s = time.monotonic() + _END_TIMEOUT_S
    async with _client(stack.port, stack.key) as http:
        return [await _end(http, job_id, until_s) for job_id in job_ids]


async def _end(http: httpx.AsyncClient, job_id: str, until_s: float) -> str | None:
    while True:
        answer = await http.get(f"/v1/jobs/{job_id}")
        if answer.status_code == 404:
            return None
        job: dict[str, Any] = answer.raise_for_status().json()
        state = JobState(job["state"])
        if state.is_terminal or time.monotonic() > until_s:
            return state
        await asyncio.sleep(0.05)


def _client(port: int, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"authorization": f"Bearer {key}", "content-type": "image/jpeg"},
        timeout=30,
    )


def _table(fsync: str, cuts: Sequence[Cut]) -> Table:
    return Table(
        title=f"appendfsync {fsync}",
        columns=("cut", "answered", "absent", "not succeeded", "start s"),
        rows=tuple(
            (
                str(number),
                str(cut.answered),
                str(cut.absent),
                str(cut.not_succeeded),
                f"{cut.start_s:.1f}",
            )
            for number, cut in enumerate(cuts, 1)
        ),
    )
