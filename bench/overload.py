"""Overload: three times what the device can do. What is accepted is in time, the rest told when."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.held_runtime import PACED_FIXED_S, PACED_ITEM_S
from bench.models import THUMBNAIL
from bench.pictures import draw_pictures
from bench.processes import SERVICES
from bench.receiver import content_length
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack
from gw.job_store import embedded_redis
from gw.server import REDIS
from pipeline.connection import connect
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace

NAME = "overload"
_BATCH = 8
#: What the device can do, in full batches.
CAPACITY_PER_S = _BATCH / (PACED_FIXED_S + PACED_ITEM_S * _BATCH)
_TIMES = 3.0
_DEADLINE_S = 2.0
_CONNECTIONS = 64
#: So many seconds of work lie before the device when the Retry-After is looked at.
_BACKLOG_S = 8.0
_PROBE_S = 0.05
_SETTLE_S = 1.5
_PATIENCE_S = 60.0
#: More of the accepted jobs than this are to be in time.
_IN_TIME_BAR = 0.95
_RETRY_BAR = 0.30
_GROWTH_BAR_MB = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One answer of the API. *retry_after_s* is None where there was none."""

    status: int
    job_id: str = ""
    code: str = ""
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overload:
    """What came of the overload."""

    took_s: float
    answers: Sequence[_Answer] = field(repr=False)
    ends: Counter[str]
    growth_mb: dict[str, float]


def measure(scale: Scale) -> Report:
    """Let the platform learn its pace at a backlog, check a Retry-After there, then overload it."""
    (picture,) = draw_pictures(count=1)
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as folder:
        settings = {"GW_RUNTIME": "bench.held_runtime:PacedRuntime"}
        with running_stack(Path(folder), **settings) as stack:
            told_s, real_s = asyncio.run(_retry_after(stack, picture))
            result = asyncio.run(_overload(stack, picture, scale.overload_s))
    return _report(result, told_s=told_s, real_s=real_s)


async def _retry_after(stack: RunningStack, picture: bytes) -> tuple[float, float]:
    """Give what a refused job was told, and after how many seconds it was really accepted."""
    async with _Client(stack, picture) as client:
        count = int(_BACKLOG_S * CAPACITY_PER_S)
        await asyncio.gather(*(client.submit(deadline_s=None) for _ in range(count)))
        # So long must a pace be watched before it counts.
        await asyncio.sleep(2 * _SETTLE_S)
        refused = await client.submit(deadline_s=_DEADLINE_S)
        started_s = time.monotonic()
        while (await client.submit(deadline_s=_DEADLINE_S)).status != 202:
            if time.monotonic() - started_s > _PATIENCE_S:
                raise TimeoutError("the job was refused long after the backlog must have gone")
            await asyncio.sleep(_PROBE_S)
        real_s = time.monotonic() - started_s
    if refused.retry_after_s is None:
        raise RuntimeError(f"behind {_BACKLOG_S} s of work a job was answered {refused}")
    return refused.retry_after_s, real_s


async def _overload(stack: RunningStack, picture: bytes, seconds: float) -> _Overload:
    """Submit at a steady rate, whatever the answers are."""
    async with _Client(stack, picture) as client:
        before = stack.services.pss_mb()
        started_s = time.monotonic()
        tasks = []
        for number in range(int(seconds * _TIMES * CAPACITY_PER_S)):
            due_s = started_s + number / (_TIMES * CAPACITY_PER_S)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            tasks.append(asyncio.create_task(client.submit(deadline_s=_DEADLINE_S)))
        answers = await asyncio.gather(*tasks)
        took_s = time.monotonic() - started_s
        after = stack.services.pss_mb()
    ends = await _ends(stack, [answer.job_id for answer in answers if answer.status == 202])
    growth = {service: after[service] - before[service] for service in SERVICES}
    return _Overload(took_s=took_s, answers=answers, ends=ends, growth_mb=growth)


async def _ends(stack: RunningStack, job_ids: Sequence[str]) -> Counter[str]:
    """Wait for the ends of jobs; count those that succeeded in time, and the others."""
    async with connect(embedded_redis(stack.folder)) as redis:
        store = JobStore(redis, Keyspace())
        give_up_s = time.monotonic() + _PATIENCE_S
        while True:
            jobs = [job for job in await store.get_many(job_ids) if job is not None]
            if all(job.state.is_terminal for job in jobs) or time.monotonic() > give_up_s:
                return Counter(map(_end, jobs))
            await asyncio.sleep(_PROBE_S)


def _end(job: Job) -> str:
    if job.state is JobState.SUCCEEDED and job.finished_unix_ms <= job.deadline_unix_ms:
        return "in time"
    return "late" if job.state is JobState.SUCCEEDED else str(job.state)


class _Client:
    """Connections that are kept, each for one request at a time."""

    def __init__(self, stack: RunningStack, picture: bytes) -> None:
        self._port = stack.port
        self._key = stack.key
        self._picture = picture
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    async def __aenter__(self) -> _Client:
        for _ in range(_CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._free.empty():
            self._free.get_nowait()[1].close()

    async def submit(self, *, deadline_s: float | None) -> _Answer:
        """Submit one picture; give what was answered."""
        query = f"model={THUMBNAIL}" + (f"&deadline_s={deadline_s:g}" if deadline_s else "")
        head = (
            f"POST /v1/jobs?{query} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {self._key}\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(self._picture)}\r\n\r\n"
        )
        reader, writer = await self._free.get()
        try:
            writer.write(head.encode("ascii") + self._picture)
            answer = await reader.readuntil(b"\r\n\r\n")
            body = json.loads(await reader.readexactly(content_length(answer)))
        finally:
            self._free.put_nowait((reader, writer))
        lines = answer.decode("ascii").lower().split("\r\n")
        waits = [line.partition(":")[2] for line in lines if line.startswith("retry-after:")]
        return _Answer(
            status=int(lines[0].split()[1]),
            job_id=body.get("id", ""),
            code=body.get("code", ""),
            retry_after_s=int(waits[0]) if waits else None,
        )


def _report(result: _Overload, *, told_s: float, real_s: float) -> Report:
    accepted = sum(result.ends.values())
    refused = [answer for answer in result.answers if answer.status != 202]
    told = [each for each in refused if each.status == 429 and each.retry_after_s is not None]
    offered = f"{len(result.answers)} offered in {result.took_s:.1f} s"
    growth_mb = sum(mb for service, mb in result.growth_mb.items() if service != REDIS)
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="accepted jobs in time",
                value=result.ends["in time"] / max(1, accepted),
                unit="",
                reference=f"{accepted} accepted of {offered}, deadline {_DEADLINE_S:g} s",
                bar=_IN_TIME_BAR,
                at_most=False,
            ),
            Figure(
                name="share of the device used",
                value=result.ends["in time"] / (result.took_s * CAPACITY_PER_S),
                unit="",
                reference=f"{CAPACITY_PER_S:.0f} jobs/s in full batches",
            ),
            Figure(
                name="refused with 429 and Retry-After",
                value=len(told) / max(1, len(refused)),
                unit="",
                reference=f"{len(refused)} refused",
                bar=1.0,
                at_most=False,
            ),
            Figure(
                name="Retry-After, off by",
                value=abs(told_s - real_s) / max(real_s, 1e-6),
                unit="",
                reference=f"told {told_s:.0f} s, accepted after {real_s:.1f} s",
                bar=_RETRY_BAR,
            ),
            Figure(
                name="memory growth, all services but Redis",
                value=growth_mb,
                unit="MB",
                reference=f"over {result.took_s:.0f} s of overload",
                bar=_GROWTH_BAR_MB,
            ),
        ),
        tables=(
            Table(
                title="Accepted jobs by their end",
                columns=("end", "jobs"),
                rows=tuple((end, str(count)) for end, count in sorted(result.ends.items())),
            ),
            Table(
                title="Refused by code",
                columns=("code", "requests"),
                rows=tuple(
                    (code, str(count))
                    for code, count in sorted(Counter(each.code for each in refused).items())
                ),
            ),
        ),
        notes=(
            f"Open loop at {_TIMES:g} times the device's pace, over {_CONNECTIONS} connections.",
            "The Retry-After is that of one job behind a backlog; it comes in whole seconds.",
        ),
    )
