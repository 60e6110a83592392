"""Redis killed, hung, loading or misconfigured: what was accepted stays, and every call tells."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.connection import CONNECTIONS_MAX, check_server, connect
from pipeline.deliveries.delivery import DeliveryState
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.errors import InvalidSettings, Unavailable
from pipeline.health import HealthBoard, Heartbeat
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.models.catalogue import Catalogue
from pipeline.protocol import InferRequested, Keyspace
from pipeline.settings import RedisSettings
from pipeline.streams import Entry, StreamReader
from tests.builders import make_job, make_subscriber
from tests.conftest import free_port
from tests.integration.pipeline.own_server import OwnServer, running
from tests.integration.pipeline.test_following import following
from tests.waiting import wait_until

#: How long one command may take in these tests; each is tried twice.
TIMEOUT_S = 0.3

#: Two tries, with room for a busy machine.
BOUND_S = 2 * TIMEOUT_S + 2.0

Call = Callable[[Redis, Keyspace], Awaitable[object]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    """Run a server that a test may kill, with gw's durability."""
    with running(tmp_path) as server:
        yield server


@pytest_asyncio.fixture
async def client(server: OwnServer) -> AsyncIterator[Redis]:
    """Give a client of that server with a short patience."""
    async with connect(server.settings(timeout_s=TIMEOUT_S), block_s=0.5) as client:
        yield client


def reader(redis: Redis, keys: Keyspace) -> StreamReader:
    """Make a reader of the result stream."""
    return StreamReader(redis, keys, group="g", consumer="c", lease_ms=1000)


ENTRY = Entry(stream="s", entry_id="1-1", fields={"a": "b"})
BEAT = Heartbeat(service="s", instance="i", pid=1, started_unix_ms=1, beat_unix_ms=1)
SETTLEMENT = Settlement(
    delivery_id="msg_1", job_id="job_1", entry=ENTRY, state=DeliveryState.DELIVERED
)

#: Every way into Redis that a service uses.
CALLS: Mapping[str, Call] = {
    "accept": lambda r, k: JobStore(r, k).accept([make_job()], waiting_max=9),
    "start": lambda r, k: JobStore(r, k).start(
        [(ENTRY, InferRequested(job_id="j"))], now_unix_ms=1
    ),
    "move": lambda r, k: JobStore(r, k).move([Move(job=make_job(), to=JobState.CANCELED)]),
    "get": lambda r, k: JobStore(r, k).get("job_1"),
    "get_many": lambda r, k: JobStore(r, k).get_many(["job_1"]),
    "counts": lambda r, k: JobStore(r, k).counts(),
    "past_deadline": lambda r, k: JobStore(r, k).past_deadline(now_unix_ms=1, limit=1),
    "forget_deadline": lambda r, k: JobStore(r, k).forget_deadline("job_1"),
    "ensure_groups": lambda r, k: reader(r, k).ensure_groups([k.results]),
    "claim": lambda r, k: reader(r, k).claim([k.results], count=1, block_ms=0),
    "blocking claim": lambda r, k: reader(r, k).claim([k.results], count=1, block_ms=400),
    "own": lambda r, k: reader(r, k).own(k.results),
    "take_over": lambda r, k: reader(r, k).take_over(k.results, count=1),
    "renew": lambda r, k: reader(r, k).renew([ENTRY]),
    "park": lambda r, k: reader(r, k).park(ENTRY, "reason"),
    "settle": lambda r, k: DeliveryStore(r, k).settle([SETTLEMENT], now_unix_ms=0),
    "deliveries": lambda r, k: DeliveryStore(r, k).get_many(["msg_1"]),
    "attempts": lambda r, k: DeliveryStore(r, k).attempts("msg_1"),
    "release_due": lambda r, k: DeliveryStore(r, k).release_due(now_unix_ms=1, limit=1),
    "publish": lambda r, k: Catalogue(r, k).publish([], []),
    "models": lambda r, k: Catalogue(r, k).models(),
    "rules": lambda r, k: Catalogue(r, k).rules("a"),
    "endpoint": lambda r, k: EndpointStore(r, k).get("ep_1"),
    "endpoints": lambda r, k: EndpointStore(r, k).all(),
    "remove": lambda r, k: EndpointStore(r, k).remove("ep_1"),
    "beat": lambda r, k: HealthBoard(r, k).beat(BEAT),
    "leave": lambda r, k: HealthBoard(r, k).leave("s", "i"),
    "beats": lambda r, k: HealthBoard(r, k).all(),
    "check_server": lambda r, _: check_server(r),
}


@dataclass
class Outcome:
    """What came of one call."""

    error: BaseException | None
    seconds: float


async def outcome(call: Awaitable[object]) -> Outcome:
    """Await *call* and tell how it ended, and when."""
    begun = time.monotonic()
    try:
        await call
    except Exception as exc:
        return Outcome(error=exc, seconds=time.monotonic() - begun)
    return Outcome(error=None, seconds=time.monotonic() - begun)


async def outcomes(redis: Redis, keys: Keyspace) -> dict[str, Outcome]:
    """Make every call at once."""
    found = await asyncio.gather(*(outcome(call(redis, keys)) for call in CALLS.values()))
    return dict(zip(CALLS, found, strict=True))


def assert_all_unavailable(found: Mapping[str, Outcome]) -> None:
    """Each call raised Unavailable, in time."""
    for name, each in found.items():
        assert isinstance(each.error, Unavailable), f"{name}: {each.error!r}"
        assert each.seconds < BOUND_S, f"{name} took {each.seconds:.1f} s"


async def answers(redis: Redis) -> bool:
    """Whether the server answers again."""
    try:
        return bool(await redis.ping())
    except RedisConnectionError:
        return False


async def test_accepted_work_survives_a_kill(
    server: OwnServer, client: Redis, keys: Keyspace
) -> None:
    """After SIGKILL and a restart every acknowledged job is there, counted and announced."""
    store = JobStore(client, keys)
    jobs = [make_job(subscribers=(make_subscriber(),)) for _ in range(50)]
    await asyncio.gather(*(store.accept([job], waiting_max=100) for job in jobs))
    await store.move([Move(job=jobs[0], to=JobState.CANCELED)])

    server.kill()
    server.start()
    await wait_until(lambda: answers(client))

    assert (await store.get_many([job.job_id for job in jobs]))[1:] == jobs[1:]
    counts = await store.counts()
    assert (counts[JobState.QUEUED], counts[JobState.CANCELED]) == (49, 1)
    assert await client.xlen(keys.infer("echo", jobs[0].priority, "default")) == 50
    assert await client.xlen(keys.deliveries) == 1


async def test_every_call_tells_that_redis_is_gone(
    server: OwnServer, client: Redis, keys: Keyspace
) -> None:
    """With the server dead each call raises Unavailable in bounded time, and later works again."""
    await client.ping()
    server.kill()

    assert_all_unavailable(await outcomes(client, keys))

    server.start()
    await wait_until(lambda: answers(client))
    assert (await JobStore(client, keys).accept([make_job()], waiting_max=9)).accepted


async def test_every_call_tells_that_redis_hangs(
    server: OwnServer, client: Redis, keys: Keyspace
) -> None:
    """A server that takes connections and answers nothing holds no caller up."""
    await client.ping()
    server.send(signal.SIGSTOP)
    try:
        assert_all_unavailable(await outcomes(client, keys))
    finally:
        server.send(signal.SIGCONT)

    await wait_until(lambda: answers(client))


async def restart_loading(server: OwnServer, redis: Redis, keys: Keyspace) -> None:
    """Restart the server so that it reads its file for some seconds."""
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(20_000):
            pipe.set(f"{keys.prefix}:ballast:{number}", "x")
        await pipe.execute()
    server.kill()
    # Microseconds for each key. Every 1,024 keys it answers its callers.
    server.start("--key-load-delay", "50")


async def test_every_call_tells_that_redis_is_loading(server: OwnServer, keys: Keyspace) -> None:
    """While a restarted server reads its file, it is away as if it were dead."""
    async with connect(server.settings(timeout_s=2), block_s=0.5) as patient:
        await restart_loading(server, patient, keys)

        found = await outcomes(patient, keys)

        # INFO is answered while loading, and has all that the check asks for.
        assert found.pop("check_server").error is None
        assert_all_unavailable(found)
        causes = {type(each.error.__cause__).__name__ for each in found.values() if each.error}
        assert "BusyLoadingError" in causes
        await wait_until(lambda: answers(patient), 20)


@pytest.mark.parametrize("name", ["settle", "renew"])
async def test_failed_round_trips_use_up_no_connection(
    server: OwnServer, keys: Keyspace, name: str
) -> None:
    """However often a call fails while Redis is away, its connections are there again later."""
    async with connect(server.settings(timeout_s=2)) as patient:
        await restart_loading(server, patient, keys)

        failed = await asyncio.gather(
            *(outcome(CALLS[name](patient, keys)) for _ in range(CONNECTIONS_MAX))
        )

        assert any(isinstance(each.error, Unavailable) for each in failed)
        await wait_until(lambda: answers(patient), 20)


async def test_following_goes_on_after_a_restart(
    server: OwnServer, client: Redis, keys: Keyspace, caplog: pytest.LogCaptureFixture
) -> None:
    """A follower waits an absent server out; then its unsettled entries and new ones come."""
    async with following(reader(client, keys), keys.results) as follower:
        await client.xadd(keys.results, {"n": "1"})
        await wait_until(lambda: follower.seen == ["1"])

        server.kill()
        await wait_until(lambda: "stream.unavailable" in caplog.messages)
        server.start()
        await wait_until(lambda: answers(client))
        await client.xadd(keys.results, {"n": "2"})

        await wait_until(lambda: "2" in follower.seen)

    assert set(follower.seen) == {"1", "2"}


async def test_a_follower_stops_while_redis_is_away(
    server: OwnServer, client: Redis, keys: Keyspace, caplog: pytest.LogCaptureFixture
) -> None:
    """A stop is obeyed in bounded time with no server there."""
    async with following(reader(client, keys), keys.results):
        server.kill()
        await wait_until(lambda: "stream.unavailable" in caplog.messages)
        begun = time.monotonic()

    assert time.monotonic() - begun < BOUND_S + 1


async def test_a_server_that_may_drop_jobs_is_refused(client: Redis) -> None:
    """A policy that evicts is named, with what to set instead."""
    await check_server(client)
    await client.config_set("maxmemory-policy", "allkeys-lru")

    with pytest.raises(InvalidSettings, match=r"allkeys-lru.*noeviction"):
        await check_server(client)


async def test_a_wrong_password_is_told_as_such(tmp_path: Path) -> None:
    """The operator reads that the password is wrong, not that Redis is away."""
    with running(tmp_path, "--requirepass", "right") as server:
        async with connect(server.settings(password="right")) as right:
            await check_server(right)
        for password in ("wrong", ""):
            async with connect(server.settings(password=password)) as wrong:
                with pytest.raises(InvalidSettings, match="password"):
                    await check_server(wrong)


async def test_a_port_without_a_server_is_unavailable() -> None:
    """Where nobody listens the check says so, rather than blame the settings."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    async with connect(RedisSettings(url=url, timeout_s=TIMEOUT_S)) as nobody:
        with pytest.raises(Unavailable):
            await check_server(nobody)
