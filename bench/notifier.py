"""One notifier and many endpoints: what bad ones cost the good ones, and how fast it delivers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

import httpx

from bench.notifier_site import SECRET, NotifierSite, end_jobs, subscriber
from bench.receiver import Arrival, Receiver
from bench.report import Figure, Report, Table
from bench.scale import Scale
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.ids import new_id
from pipeline.jobs.store import JobStore

NAME = "notifier"
_ENDPOINTS = 100
_BAD_OF_EACH_KIND = 5
_BAR_P99 = 1.2
_GOAL_PER_S = 0.7
_IN_FLIGHT = 16
_WAIT_S = 120.0
#: Between two rounds, in each of which every endpoint gets one delivery.
_ROUND_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delays:
    """How long after their jobs' ends the deliveries of healthy endpoints came."""

    delays_ms: list[float]

    @property
    def p99_ms(self) -> float:
        return quantiles(self.delays_ms, n=100, method="inclusive")[98]


def measure(scale: Scale) -> Report:
    """Measure isolation, with runs in turns, and throughput against a bare loop."""
    with Receiver() as good, _bad_receivers() as bad_port:
        alone = _isolation(good, 0, scale)
        beside = _isolation(good, bad_port, scale)
        ours = max(_deliveries_per_s(good, scale) for _ in range(scale.rounds))
        bare = max(_bare_per_s(good, scale) for _ in range(scale.rounds))
    rows = [
        (name, f"{median(each.delays_ms):.1f}", f"{each.p99_ms:.1f}", str(len(each.delays_ms)))
        for name, each in (("85 healthy alone", alone), ("beside 15 bad", beside))
    ]
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="healthy p99 delay beside bad endpoints",
                value=beside.p99_ms / alone.p99_ms,
                unit="x",
                reference=f"{alone.p99_ms:.1f} ms without them",
                bar=_BAR_P99,
            ),
            Figure(
                name="deliveries a second, of a bare httpx loop's",
                value=ours / bare,
                unit="x",
                reference=f"{bare:.0f}/s bare, {ours:.0f}/s ours",
                bar=_GOAL_PER_S,
                at_most=False,
            ),
        ),
        tables=(
            Table(title="Delays, ms", columns=("run", "p50", "p99", "count"), rows=tuple(rows)),
        ),
        notes=(
            "Five endpoints hang, five drip a byte a second, five answer 500; each of the hundred"
            f" gets {scale.notifier_rounds} deliveries, one every {_ROUND_S:g} s.",
            f"The bare loop posts the same bytes with {_IN_FLIGHT} requests in flight, unsigned.",
        ),
    )


def _isolation(good: Receiver, bad_port: int, scale: Scale) -> _Delays:
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        _site(Path(folder), good.port, bad_port) as site,
    ):
        return asyncio.run(_offer(site, good, bad_port, scale.notifier_rounds))


@contextmanager
def _site(folder: Path, *ports: int) -> Iterator[NotifierSite]:
    allow = " ".join(f"127.0.0.1/32:{port}" for port in ports if port)
    environ = {"GW_EGRESS_ALLOW": allow, "GW_ATTEMPT_TIMEOUT_S": "15"}
    with NotifierSite(folder=folder, environ=environ) as site:
        yield site


async def _offer(site: NotifierSite, good: Receiver, bad_port: int, rounds: int) -> _Delays:
    kinds = ["hang", "drip", "500"] if bad_port else []
    bad = [f"http://127.0.0.1:{bad_port}/{kind}" for kind in kinds] * _BAD_OF_EACH_KIND
    healthy = _ENDPOINTS - 3 * _BAD_OF_EACH_KIND
    async with site.connect() as redis:
        endpoints = [_endpoint(url) for url in [good.url] * healthy + bad]
        store = EndpointStore(redis, site.keys)
        for each in endpoints:
            await store.add(each)
        jobs = JobStore(redis, site.keys)
        site.start_notifier()
        await end_jobs(jobs, [subscriber(url=good.url)])
        await _arrived(good, 1)
        good.take()
        ended_ns: dict[str, int] = {}
        for _ in range(rounds):
            started_s = time.monotonic()
            for each in endpoints:
                (job,) = await end_jobs(jobs, [subscriber(endpoint_id=each.endpoint_id)])
                ended_ns[job.job_id] = time.perf_counter_ns()
                await asyncio.sleep(_ROUND_S / len(endpoints) / 2)
            await asyncio.sleep(max(0.0, _ROUND_S - (time.monotonic() - started_s)))
        await _arrived(good, rounds * healthy)
    arrivals = good.take()
    delays = [(at_ns - ended_ns[_job_id(body)]) / 1e6 for at_ns, body in arrivals]
    return _Delays(delays_ms=delays)


def _endpoint(url: str) -> Endpoint:
    return Endpoint(
        endpoint_id=new_id("ep", time.time_ns() // 1_000_000),
        tenant="default",
        url=url,
        description="",
        created_unix_ms=1,
        secret=SECRET,
    )


def _deliveries_per_s(good: Receiver, scale: Scale) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="gw-bench-") as folder,
        _site(Path(folder), good.port) as site,
    ):
        return asyncio.run(_drain(site, good, scale.notifier_deliveries))


async def _drain(site: NotifierSite, good: Receiver, count: int) -> float:
    async with site.connect() as redis:
        endpoints = [_endpoint(good.url) for _ in range(20)]
        store = EndpointStore(redis, site.keys)
        for each in endpoints:
            await store.add(each)
        jobs = JobStore(redis, site.keys)
        for first in range(0, count, 50):
            await end_jobs(
                jobs,
                [
                    subscriber(endpoint_id=endpoints[number % 20].endpoint_id)
                    for number in range(first, first + 50)
                ],
            )
        site.start_notifier()
        await _arrived(good, count)
    return _per_s(good.take())


def _bare_per_s(good: Receiver, scale: Scale) -> float:
    asyncio.run(_post_all(good.url, scale.notifier_deliveries))
    return _per_s(good.take())


async def _post_all(url: str, count: int) -> None:
    body = json.dumps({"type": "job.failed", "data": {"id": "x" * 300}}).encode()
    limits = httpx.Limits(max_connections=_IN_FLIGHT)
    left = iter(range(count))
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:

        async def post() -> None:
            for _ in left:
                await client.post(url, content=body, headers={"content-type": "application/json"})

        await asyncio.gather(*(post() for _ in range(_IN_FLIGHT)))


def _per_s(arrivals: list[Arrival]) -> float:
    moments_ns = sorted(at_ns for at_ns, _ in arrivals)
    return (len(moments_ns) - 1) / ((moments_ns[-1] - moments_ns[0]) / 1e9)


async def _arrived(good: Receiver, count: int) -> None:
    deadline_s = time.monotonic() + _WAIT_S
    while good.count.value < count:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{good.count.value} of {count} deliveries came")
        await asyncio.sleep(0.02)


def _job_id(body: bytes) -> str:
    return str(json.loads(body)["data"]["id"])


@contextmanager
def _bad_receivers() -> Iterator[int]:
    """Run a process whose paths hang, drip or answer 500; give its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_bad, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(30):
            raise TimeoutError("the bad receivers did not start")
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _run_bad(pipe: Connection) -> None:
    asyncio.run(_serve_bad(pipe))


async def _serve_bad(pipe: Connection) -> None:
    server = await asyncio.start_server(_be_bad, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _be_bad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            if b"/500" in head.partition(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
                continue
            if b"/drip" in head.partition(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                await asyncio.sleep(1.0)
                if b"/drip" in head:
                    writer.write(b".")
                    await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
