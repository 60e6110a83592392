"""Deliveries to receivers that fail at random, with the notifier and Redis killed meanwhile.

Nothing is measured against a reference: what counts is that none is lost. Every delivery must end,
delivered under its id or in the dead letter; doubles are counted, since at least once allows them.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.notifier_site import SECRET, NotifierSite, end_jobs, subscriber
from bench.report import Figure, Report
from bench.scale import Scale
from pipeline.deliveries.delivery import DeliveryState
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.errors import Unavailable
from pipeline.ids import new_id
from pipeline.jobs.store import JobStore

NAME = "chaos"
_RECEIVERS = 20
_AT_ONCE = 50
_GIVE_UP_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """How many deliveries, how often the notifier is killed, and Redis how many times in all."""

    count: int
    kill_every_s: float = 2.0
    redis_kills: int = 2
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosResult:
    """What became of all deliveries.

    *unknown* counts requests under ids that nobody was given, *doubles* answers 2xx beyond the
    first, *untold* deliveries that are recorded as delivered and were never answered 2xx.
    """

    states: Counter[str]
    answered: int
    doubles: int
    unknown: int
    untold: int
    notifier_kills: int
    wall_s: float


@dataclass(slots=True, kw_only=True)
class _Receivers:
    """Receivers on one port that answer well two times out of three."""

    rng: random.Random
    good: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests and answer each at random."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
                await reader.readexactly(int(headers["content-length"]))
                self.seen[headers["webhook-id"]] += 1
                draw = self.rng.random()
                if draw < 0.66:
                    self.good[headers["webhook-id"]] += 1
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                elif draw < 0.85:
                    writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops")
                elif draw < 0.95:
                    break
                else:
                    await asyncio.sleep(1.5)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError, KeyError):
            pass  # the sender was killed, or all is over
        finally:
            writer.close()


async def run_chaos(folder: Path, chaos: Chaos) -> ChaosResult:
    """Make the deliveries, kill what is to be killed, and wait until every delivery has ended."""
    receivers = _Receivers(rng=random.Random(chaos.seed))  # noqa: S311  # no secret
    server = await asyncio.start_server(receivers.serve, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    environ = {
        "GW_EGRESS_ALLOW": f"127.0.0.1/32:{port}",
        "GW_RETRY_SCHEDULE": "1s 1s 1s 1s 1s 1s 1s 1s",
        "GW_ATTEMPT_TIMEOUT_S": "1",
        "GW_NOTIFIER_LEASE_S": "3",
    }
    started_s = time.monotonic()
    with NotifierSite(folder=folder, environ=environ) as site:
        redis = site.connect()
        try:
            ids = await _make(site, JobStore(redis, site.keys), port, chaos.count)
            kills = await _kill_until_ended(site, DeliveryStore(redis, site.keys), ids, chaos)
            records = await DeliveryStore(redis, site.keys).get_many(ids)
        finally:
            await redis.aclose()
    server.close()
    states = Counter("missing" if each is None else str(each.state) for each in records)
    return ChaosResult(
        states=states,
        answered=len(receivers.good),
        doubles=sum(receivers.good.values()) - len(receivers.good),
        unknown=len(set(receivers.seen) - set(ids)),
        untold=sum(
            each is not None
            and each.state is DeliveryState.DELIVERED
            and not receivers.good[each.delivery_id]
            for each in records
        ),
        notifier_kills=kills,
        wall_s=time.monotonic() - started_s,
    )


async def _make(site: NotifierSite, store: JobStore, port: int, count: int) -> list[str]:
    now_unix_ms = time.time_ns() // 1_000_000
    endpoints = [
        Endpoint(
            endpoint_id=new_id("ep", now_unix_ms),
            tenant="default",
            url=f"http://127.0.0.1:{port}/{number}",
            description="",
            created_unix_ms=now_unix_ms,
            secret=SECRET,
            # An order makes more to go wrong: a lost one would hold up all behind it.
            ordering="reference" if number % 4 == 0 else "none",
        )
        for number in range(_RECEIVERS)
    ]
    async with site.connect() as redis:
        for each in endpoints:
            await EndpointStore(redis, site.keys).add(each)
    ids = []
    for first in range(0, count, _AT_ONCE):
        batch = [
            subscriber(endpoint_id=endpoints[number % _RECEIVERS].endpoint_id)
            for number in range(first, min(first + _AT_ONCE, count))
        ]
        await end_jobs(store, batch)
        ids += [each.delivery_id for each in batch]
    return ids


async def _kill_until_ended(
    site: NotifierSite, store: DeliveryStore, ids: Sequence[str], chaos: Chaos
) -> int:
    """Kill the notifier again and again, and Redis between; give how often the notifier died."""
    kills, redis_kills = 0, chaos.redis_kills
    deadline_s = time.monotonic() + _GIVE_UP_S
    site.start_notifier()
    while time.monotonic() < deadline_s:
        await asyncio.sleep(chaos.kill_every_s)
        left = await _left(store, ids)
        if left == 0 and redis_kills == 0:
            return kills
        if redis_kills and kills % 3 == 1:
            redis_kills -= 1
            await asyncio.to_thread(site.kill_server)
            await asyncio.to_thread(site.start_server)
        # It needs a second to start: the last ones are left to it in peace.
        if left > len(ids) // 50 or redis_kills:
            await asyncio.to_thread(site.kill_notifier)
            site.start_notifier()
            kills += 1
    raise TimeoutError(f"{await _left(store, ids)} deliveries have not ended")


async def _left(store: DeliveryStore, ids: Sequence[str]) -> int:
    left = 0
    for first in range(0, len(ids), 1000):
        try:
            records = await store.get_many(ids[first : first + 1000])
        except Unavailable:
            return len(ids)
        left += sum(each is None or each.state is DeliveryState.PENDING for each in records)
    return left


def measure(scale: Scale) -> Report:
    """Run it at the scale's size."""
    with tempfile.TemporaryDirectory(prefix="gw-chaos-") as folder:
        result = asyncio.run(run_chaos(Path(folder), Chaos(count=scale.chaos_deliveries)))
    ended = result.states["delivered"] + result.states["exhausted"]
    lost = scale.chaos_deliveries - ended + result.untold
    states = ", ".join(f"{count} {state}" for state, count in sorted(result.states.items()))
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="deliveries lost",
                value=lost,
                unit="",
                reference=f"{scale.chaos_deliveries} made",
                bar=0,
            ),
            Figure(
                name="requests under foreign ids",
                value=result.unknown,
                unit="",
                reference=f"{result.notifier_kills} kills of the notifier, 2 of Redis",
                bar=0,
            ),
            Figure(name="doubles", value=result.doubles, unit="", reference=states),
        ),
        notes=(f"{result.wall_s:.0f} s; two thirds of all requests were answered 2xx.",),
    )
