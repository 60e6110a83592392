"""The client: a process that submits pictures over kept connections, a bounded number in flight."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from bench.receiver import content_length

#: Between two looks at how many webhooks have come, while too many jobs are in flight.
_LOOK_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """What to submit: *count* jobs, at most *window* of them in flight, each after *pause_s*."""

    port: int
    key: str = field(repr=False)
    model: str
    webhook_url: str
    webhook_secret: str = field(repr=False)
    pictures: tuple[bytes, ...] = field(repr=False)
    count: int
    window: int
    connections: int
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What was accepted: (when its submission began, the answer) of each job; and what it cost."""

    jobs: tuple[tuple[int, bytes], ...]
    cpu_s: float


def run(pipe: Connection, plan: Submissions, received: Any) -> None:
    """Say that all is ready, wait for the word, submit, and hand back Submitted or an error."""
    pipe.send("ready")
    pipe.recv()
    started_s = time.process_time()
    try:
        jobs = uvloop.run(_submit_all(plan, received))
        pipe.send(Submitted(jobs=tuple(jobs), cpu_s=time.process_time() - started_s))
    except Exception as exc:  # handed to the parent, which raises it
        pipe.send(exc)


async def _submit_all(plan: Submissions, received: Any) -> list[tuple[int, bytes]]:
    numbers = iter(range(plan.count))
    jobs: list[tuple[int, bytes]] = []
    requests = [_request(plan, picture) for picture in plan.pictures]
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(plan.connections, plan.window)):
            tasks.create_task(_submit(plan, requests, numbers, jobs, received))
    return jobs


async def _submit(
    plan: Submissions,
    requests: Sequence[bytes],
    numbers: Iterator[int],
    jobs: list[tuple[int, bytes]],
    received: Any,
) -> None:
    """Submit over one connection until the numbers have run out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port, limit=1 << 20)
    try:
        for number in numbers:
            while number - received.value >= plan.window:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(_LOOK_S)
            if plan.pause_s:
                await asyncio.sleep(plan.pause_s)
            started_ns = time.perf_counter_ns()
            writer.write(requests[number % len(requests)])
            jobs.append((started_ns, await _accepted(reader)))
    finally:
        writer.close()


def _request(plan: Submissions, picture: bytes) -> bytes:
    webhook = json.dumps({"url": plan.webhook_url, "secret": plan.webhook_secret})
    head = (
        f"POST /v1/jobs?model={plan.model} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{plan.port}\r\n"
        f"Authorization: Bearer {plan.key}\r\n"
        f"Content-Type: image/jpeg\r\n"
        f"Content-Length: {len(picture)}\r\n"
        f"Gw-Webhook: {webhook}\r\n\r\n"
    )
    return head.encode("ascii") + picture


async def _accepted(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(content_length(head))
    if not head.startswith(b"HTTP/1.1 202 "):
        raise RuntimeError(f"a job was not accepted: {head[:60]!r} {body[:300]!r}")
    return body
