"""A webapp of a test's own: the real application over real HTTP, in the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from pipeline.access.keys import KeyStore, Scope, make_key
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.models.catalogue import Catalogue, ModelEntry
from pipeline.protocol import Keyspace
from pipeline.settings import load
from tests.unit.webapp.pictures import jpeg
from webapp.parts import Parts
from webapp.server import QuietServer, make_server, serve
from webapp.settings import WebappSettings

PICTURE = jpeg()

MODELS = (
    ModelEntry(name="echo", task="test", versions=("2", "1"), labels=("cat", "dog")),
    ModelEntry(name="broken", reason="it was built for another device"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """All that an accepted job leaves: records, counts, entries and pictures."""

    keys: frozenset[str]
    counts: Mapping[JobState, int]
    pictures: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webapp:
    """A running webapp. *http* carries a valid key of the tenant ``acme``."""

    parts: Parts
    server: QuietServer
    stop: asyncio.Event
    token: str
    http: httpx.AsyncClient

    @property
    def port(self) -> int:
        """Give its port."""
        return self.server.port

    async def submit(self, picture: bytes = PICTURE, **fields: Any) -> dict[str, Any]:
        """Submit a picture to ``echo``; give the job's document."""
        answer = await self.post(picture, **fields)
        assert answer.status_code == 202, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def post(
        self, picture: bytes = PICTURE, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """Post a picture as the body; give the answer."""
        return await self.http.post(
            "/v1/jobs",
            params={"model": "echo"} | fields,
            content=picture,
            headers={"content-type": "image/jpeg"} | dict(headers or {}),
        )


async def holdings(redis: Redis, keys: Keyspace, folder: Path) -> Holdings:
    """Look at everything that accepting a job would change."""
    patterns = (f"{keys.prefix}:job:*", f"{keys.prefix}:infer:*", keys.deadlines)
    found = [key for pattern in patterns async for key in redis.scan_iter(pattern)]
    return Holdings(
        keys=frozenset(found),
        counts=await JobStore(redis, keys).counts(),
        pictures=_pictures(folder),
    )


def _pictures(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.glob("pictures/*/*"))


async def add_key(
    redis: Redis, keys: Keyspace, *, tenant: str, scopes: Collection[Scope] = tuple(Scope)
) -> str:
    """Store a key, which may do everything unless *scopes* says less; give its token."""
    token, record = make_key(tenant=tenant, description="test", now_unix_ms=1, scopes=scopes)
    await KeyStore(redis, keys).add(record)
    return token


async def publish(redis: Redis, keys: Keyspace, *models: ModelEntry) -> None:
    """Publish a catalogue."""
    await Catalogue(redis, keys).publish(models or MODELS, [])


async def finish(store: JobStore, job_id: str, *, to: JobState, **facts: Any) -> Job:
    """Bring a queued job to its end."""
    job = await store.get(job_id)
    assert job is not None
    steps = [JobState.RUNNING, JobState.INFERRED, to] if to is JobState.SUCCEEDED else [to]
    for step in steps:
        last = facts if step is to else {}
        assert await store.move([Move(job=job, to=step, finished_unix_ms=5, **last)]) == [True]
        job = await store.get(job_id)
        assert job is not None
    return job


@asynccontextmanager
async def running(environ: Mapping[str, str], *, token: str = "") -> AsyncIterator[Webapp]:
    """Run a webapp while the block lasts."""
    settings = load(WebappSettings, {"GW_HTTP_PORT": "0", "GW_GRACE_S": "3", **environ})
    parts = Parts.build(settings)
    server = make_server(parts)
    stop = asyncio.Event()
    serving = asyncio.ensure_future(serve(parts, stop, server=server))
    while not server.started:
        if serving.done():
            await serving
        await asyncio.sleep(0.005)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}",
        headers={"authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
        limits=limits,
    ) as http:
        try:
            yield Webapp(parts=parts, server=server, stop=stop, token=token, http=http)
        finally:
            stop.set()
    await serving
