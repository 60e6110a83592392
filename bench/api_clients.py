"""Clients of the API in a process of their own: the typed one with its retries, and a bare one."""

from __future__ import annotations

import asyncio
import multiprocessing
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import uvloop

from bench.receiver import content_length
from gw.client import AsyncClient, Options, Retrying

_RETRYING_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLoad:
    """What to submit: *count* jobs by *clients* at once, by the typed client or by bare sockets."""

    port: int
    key: str = field(repr=False)
    model: str
    pictures: tuple[bytes, ...] = field(repr=False)
    count: int
    clients: int
    is_typed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswers:
    """What came: the jobs' ids (of the typed client) and how long it took."""

    job_ids: tuple[str, ...] = field(repr=False)
    wall_s: float
    slowest_ms: float


@contextmanager
def ready_clients(load: ApiLoad) -> Iterator[tuple[Connection, Callable[[], None]]]:
    """Start the process; give the pipe on which ApiAnswers will come, and the word to begin."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, load), daemon=True)
    process.start()
    theirs.close()
    try:
        pipe.recv()
        yield pipe, lambda: pipe.send("go")
    finally:
        process.terminate()
        process.join()


def answers_of(pipe: Connection) -> ApiAnswers:
    """Wait for what came; raises what went wrong."""
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    answers: ApiAnswers = answer
    return answers


def submit_all(load: ApiLoad) -> ApiAnswers:
    """Submit, from the first to the last."""
    with ready_clients(load) as (pipe, begin):
        begin()
        return answers_of(pipe)


def _run(pipe: Connection, load: ApiLoad) -> None:
    pipe.send("ready")
    pipe.recv()
    try:
        pipe.send(uvloop.run(_typed(load) if load.is_typed else _bare(load)))
    except Exception as exc:  # handed to the parent, which raises it
        pipe.send(exc)


async def _typed(load: ApiLoad) -> ApiAnswers:
    numbers = iter(range(load.count))
    job_ids: list[str] = []
    slowest_s = 0.0
    # Made once: reading the authorities takes longer than a request.
    context = ssl.create_default_context()
    options = Options(retrying=Retrying(give_up_s=_RETRYING_S), verify=context)

    async def work() -> None:
        nonlocal slowest_s
        async with AsyncClient(f"http://127.0.0.1:{load.port}", load.key, options) as client:
            for number in numbers:
                began_s = time.perf_counter()
                picture = load.pictures[number % len(load.pictures)]
                job = await client.submit(picture, model=load.model, reference=str(number))
                slowest_s = max(slowest_s, time.perf_counter() - began_s)
                job_ids.append(job.id)

    began_s = time.perf_counter()
    # One client each: the pool of a single one looks through all its connections at every turn.
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.clients):
            tasks.create_task(work())
    wall_s = time.perf_counter() - began_s
    return ApiAnswers(job_ids=tuple(job_ids), wall_s=wall_s, slowest_ms=slowest_s * 1e3)


async def _bare(load: ApiLoad) -> ApiAnswers:
    numbers = iter(range(load.count))
    requests = [_request(load, picture) for picture in load.pictures]
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.clients):
            tasks.create_task(_post(load, requests, numbers))
    return ApiAnswers(job_ids=(), wall_s=time.perf_counter() - began_s, slowest_ms=0.0)


async def _post(load: ApiLoad, requests: Sequence[bytes], numbers: Iterator[int]) -> None:
    """Post over one connection until the numbers have run out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port, limit=1 << 20)
    try:
        for number in numbers:
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(content_length(head))
            if not head.startswith(b"HTTP/1.1 202 "):
                raise RuntimeError(f"not accepted: {head[:60]!r} {body[:300]!r}")
    finally:
        writer.close()


def _request(load: ApiLoad, picture: bytes) -> bytes:
    head = (
        f"POST /v1/jobs?model={load.model} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{load.port}\r\n"
        f"Authorization: Bearer {load.key}\r\n"
        f"Content-Type: image/jpeg\r\n"
        f"Content-Length: {len(picture)}\r\n\r\n"
    )
    return head.encode("ascii") + picture
