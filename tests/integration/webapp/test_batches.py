"""Batches over HTTP: taken in, refused, read, withdrawn."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.batches.batch import Batch, Item
from pipeline.batches.store import BatchStore
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.batches import VIDEO, archive_of, files, post
from tests.integration.webapp.running import Webapp, add_key, finish
from tests.waiting import wait_until
from webapp.batch_schemas import (
    BatchDocument,
    BatchPageDocument,
    ItemPageDocument,
    ReadBatchDocument,
)


@pytest.fixture
def store(redis: Redis, keys: Keyspace) -> BatchStore:
    """Give the batches in Redis."""
    return BatchStore(redis, keys)


async def accepted(webapp: Webapp, *names: str, **params: str) -> dict[str, Any]:
    """Submit an archive; give its document."""
    answer = await post(webapp, archive_of(*(names or ("a.jpg",))), "application/zip", **params)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    BatchDocument.model_validate(document)
    return document


async def stored(store: BatchStore, document: dict[str, Any]) -> Batch:
    """Give a batch's record."""
    batch = await store.get(document["id"])
    assert batch is not None
    return batch


async def expand(store: BatchStore, jobs: JobStore, batch: Batch, *items: Item) -> None:
    """Do what the operations plane would: make jobs of a batch's items."""
    made = [
        batch.job(index, batch.template.picture)
        for index, item in enumerate(items)
        if not item.error_code
    ]
    assert (await jobs.accept(made, waiting_max=100)).accepted
    assert await store.add_items(batch.batch_id, items, first=0)
    assert await store.close(batch.batch_id, items_total=len(items))


async def test_an_archive_is_on_the_disk_when_it_is_answered(
    serving: Webapp, store: BatchStore, tmp_path: Path
) -> None:
    """Its bytes lie under its id, its record says what it is, and it is open."""
    webhook = {"url": "https://example.com/h", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    data = archive_of("a.jpg", "b/", "b/c.jpg")

    answer = await serving.http.post(
        "/v1/batches",
        params={"model": "echo", "priority": "low", "reference": "shift-7"},
        content=data,
        headers={"content-type": "application/zip", "gw-webhook": json.dumps(webhook)},
    )

    assert answer.status_code == 202, answer.text
    batch = await stored(store, answer.json())
    assert answer.headers["location"] == f"/v1/batches/{batch.batch_id}"
    assert answer.json()["items"] == {"total": 2, "expanded": 0, "refused": 0}
    assert (tmp_path / "batches" / f"{batch.batch_id}.source").read_bytes() == data
    assert await store.open() == [batch.batch_id]
    template = batch.template
    assert (template.tenant, template.version, template.priority) == ("acme", "2", "low")
    assert [each.url for each in template.subscribers] == ["https://example.com/h"]
    assert "secret" not in answer.text


async def test_urls_and_videos_are_taken_too(
    serving: Webapp, store: BatchStore, tmp_path: Path
) -> None:
    """A list is kept as it came, in its order; a video with how it is to be sampled."""
    urls = ["http://b/2.jpg", "http://a/1.jpg", "http://b/2.jpg"]
    listed = await serving.http.post("/v1/batches", json={"model": "echo", "urls": urls})
    filmed = await post(serving, VIDEO, "video/mp4", every_frames="12")

    assert (listed.status_code, filmed.status_code) == (202, 202)
    source = tmp_path / "batches" / f"{listed.json()['id']}.source"
    assert json.loads(source.read_bytes()) == urls
    batch = await stored(store, filmed.json())
    assert (batch.kind, batch.sampling.every_frames, batch.items_total) == ("video", 12, 0)


@pytest.mark.parametrize(
    ("content", "kind", "params", "status", "code"),
    [
        (archive_of("a"), "application/zip", {"model": "ehco"}, 404, "unknown_model"),
        (archive_of("a"), "application/zip", {"every_s": "1"}, 400, "invalid_request"),
        (archive_of("a"), "application/zip", {"colour": "red"}, 400, "invalid_request"),
        (archive_of("a"), "image/jpeg", {}, 415, "unsupported_media_type"),
        (b"PK no archive", "application/zip", {}, 422, "unusable_source"),
        (archive_of(*"abcdef"), "application/zip", {}, 422, "unusable_source"),
        (b"x" * 100_001, "application/zip", {}, 413, "body_too_large"),
        (b"#EXTM3U", "video/mp4", {}, 422, "unusable_source"),
        (VIDEO, "video/mp4", {"every_s": "0"}, 400, "invalid_request"),
        (b'{"urls": []}', "application/json", {}, 400, "invalid_request"),
        (b'{"urls": ["a","b","c","d","e","f"]}', "application/json", {}, 400, "invalid_request"),
        (b'{"urls": ', "application/json", {}, 400, "invalid_request"),
    ],
)
async def test_what_is_refused_leaves_nothing(  # noqa: PLR0917  # parametrized
    content: bytes,
    kind: str,
    params: dict[str, str],
    status: int,
    code: str,
    serving: Webapp,
    store: BatchStore,
    tmp_path: Path,
) -> None:
    """Neither a file nor a record, and the problem says what was wrong."""
    answer = await post(serving, content, kind, **params)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["detail"]
    assert await store.open() == []
    assert files(tmp_path) == []


async def test_an_upload_that_breaks_off_leaves_nothing(
    serving: Webapp, store: BatchStore, tmp_path: Path
) -> None:
    """A sender that goes away in the middle takes its file along."""
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    head = (
        f"POST /v1/batches?model=echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {serving.token}"
    )
    head += "\r\nContent-Type: application/zip\r\nContent-Length: 90000\r\n\r\n"
    writer.write(head.encode() + b"PK" * 10_000)
    await writer.drain()
    await wait_until(lambda: files(tmp_path))

    writer.transport.abort()
    await wait_until(lambda: not files(tmp_path))

    assert await store.open() == []
    assert reader is not None


async def test_too_many_open_batches_are_told(serving: Webapp, tmp_path: Path) -> None:
    """Full means told, and the file of the one too many is gone."""
    for _ in range(3):
        await accepted(serving)

    answer = await post(serving, archive_of("a"), "application/zip")

    assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
    assert answer.headers["retry-after"] == "60"
    assert len(files(tmp_path)) == 3


async def test_nothing_is_taken_that_nobody_would_expand(webapp: Webapp) -> None:
    """Without a worker for it a batch would lie there for ever."""
    for kind, service in (("application/zip", "operations"), ("video/mp4", "operations-media")):
        answer = await post(webapp, b"", kind)

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert f"No {service} service" in answer.json()["detail"]


async def test_progress_items_and_results_are_read(
    serving: Webapp, store: BatchStore, redis: Redis, keys: Keyspace
) -> None:
    """While it runs: counts by state, each item in its order, and the results so far."""
    document = await accepted(serving, "a", "b", "c")
    batch, jobs = await stored(store, document), JobStore(redis, keys)
    refused = Item(name="b", error_code="invalid_picture", error="no")
    await expand(store, jobs, batch, Item(name="a"), refused, Item(name="c"))
    await finish(jobs, batch.job_id(0), to=JobState.SUCCEEDED, result='{"counts":{"total":1}}')

    read = (await serving.http.get(document["links"]["self"])).json()
    page = (await serving.http.get(document["links"]["items"], params={"limit": "2"})).json()
    rest = (await serving.http.get(document["links"]["items"], params={"from": "2"})).json()
    results = await serving.http.get(document["links"]["results"])
    table = await serving.http.get(document["links"]["results"], params={"format": "csv"})

    ReadBatchDocument.model_validate(read)
    ItemPageDocument.model_validate(page)
    assert read["state"] == "running"
    assert read["items"] == {"total": 3, "expanded": 3, "refused": 1}
    assert (read["jobs"]["made"], read["jobs"]["live"], read["jobs"]["succeeded"]) == (2, 1, 1)
    assert read["errors"] == [{"index": 1, "name": "b", "code": "invalid_picture", "detail": "no"}]
    assert [each["state"] for each in page["items"]] == ["succeeded", "refused"]
    assert (page["next"], rest["next"]) == (2, None)
    assert [(each["index"], each["state"]) for each in rest["items"]] == [(2, "queued")]
    lines = [json.loads(line) for line in results.text.splitlines()]
    assert [line["result"] for line in lines] == [{"counts": {"total": 1}}, None, None]
    assert results.headers["gw-batch-state"] == "running"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["state"] for row in rows] == ["succeeded", "refused", "queued"]


async def test_batches_are_listed_newest_first(serving: Webapp) -> None:
    """A cursor goes on where the page ended."""
    ids = [(await accepted(serving))["id"] for _ in range(3)]

    first = (await serving.http.get("/v1/batches", params={"limit": "2"})).json()
    cursor = {"limit": "2", "cursor": first["next"]}
    second = (await serving.http.get("/v1/batches", params=cursor)).json()

    BatchPageDocument.model_validate(first)
    found = [each["id"] for each in first["batches"] + second["batches"]]
    assert sorted(found) == sorted(ids)
    assert [len(first["batches"]), len(second["batches"]), second["next"]] == [2, 1, None]


async def test_a_batch_is_withdrawn_once(serving: Webapp, store: BatchStore) -> None:
    """It may be asked for again while it lasts; an ended batch cannot be."""
    document = await accepted(serving)
    path = document["links"]["self"]

    answers = [await serving.http.delete(path) for _ in range(2)]
    batch = await stored(store, document)
    assert await store.end(batch, now_unix_ms=5)
    late = await serving.http.delete(path)

    assert [(each.status_code, each.json()["state"]) for each in answers] == [
        (202, "canceling")
    ] * 2
    assert (late.status_code, late.json()["code"]) == (409, "batch_ended")
    assert (await serving.http.get(path)).json()["state"] == "canceled"


async def test_a_batch_is_its_tenants_own(serving: Webapp, redis: Redis, keys: Keyspace) -> None:
    """To another tenant it does not exist, and a key that may not submit may not withdraw."""
    document = await accepted(serving)
    stranger = await add_key(redis, keys, tenant="umbrella")
    reader = await add_key(redis, keys, tenant="acme", scopes=[Scope.READ_ALL])

    for path in document["links"].values():
        answer = await serving.http.get(path, headers={"authorization": f"Bearer {stranger}"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    listed = await serving.http.get("/v1/batches", headers={"authorization": f"Bearer {stranger}"})
    assert listed.json()["batches"] == []
    answer = await serving.http.delete(
        document["links"]["self"], headers={"authorization": f"Bearer {reader}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert (await serving.http.get("/v1/batches/batch_x")).status_code == 404


async def test_a_large_upload_is_not_held_in_memory(
    environ: dict[str, str], serving: Webapp, tmp_path: Path
) -> None:
    """What arrives goes to the disk: the budget for bodies in memory is not touched."""
    sizes = []

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b"\0" * 10_000
            sizes.append(serving.parts.budget.held_bytes)

    answer = await serving.http.post(
        "/v1/batches",
        params={"model": "echo"},
        content=pieces(),
        headers={"content-type": "application/zip"},
    )

    assert answer.json()["code"] == "unusable_source"
    assert set(sizes) == {0}
