"""Batches and deliveries, by both clients against the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gw.client.errors import BatchEnded, NotFound, StillRunning, UnusableSource
from pipeline.batches.batch import Item
from pipeline.batches.store import BatchStore
from pipeline.health import HealthBoard
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.gw.client.either import Either
from tests.integration.webapp.batches import archive_of
from tests.integration.webapp.running import Webapp, finish
from tests.integration.webapp.test_batches import expand
from tests.integration.webapp.test_contract import living
from tests.waiting import wait_until


@pytest_asyncio.fixture(autouse=True)
async def services(redis: Redis, keys: Keyspace, webapp: Webapp) -> AsyncIterator[None]:
    """Let the operations service show that it lives."""
    async with living(redis, keys):
        board = HealthBoard(redis, keys)

        async def are_seen() -> bool:
            return len(await board.all()) >= 4

        await wait_until(are_seen)
        await webapp.parts.monitor.look()
        yield


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Give an archive of three files."""
    path = tmp_path / "night-shift.zip"
    path.write_bytes(archive_of("a.jpg", "b.jpg", "c.jpg"))
    return path


async def test_a_batch_is_followed_to_its_results(
    client: Either, archive: Path, redis: Redis, keys: Keyspace
) -> None:
    """Items that became jobs and items that did not, with what was found."""
    store, jobs = BatchStore(redis, keys), JobStore(redis, keys)
    told: list[tuple[int, int | None]] = []
    batch = await client.do(
        "submit_batch",
        archive,
        model="echo",
        reference="夜",
        metadata={"班": "夜"},
        progress=lambda *sent: told.append(sent),
    )
    record = await store.get(batch.id)
    assert record is not None
    refused = Item(name="b", error_code="invalid_picture", error="It is none.")
    await expand(store, jobs, record, Item(name="a"), refused, Item(name="c"))
    await finish(jobs, record.job_id(0), to=JobState.SUCCEEDED, result='{"kind":"tensors"}')

    with pytest.raises(StillRunning):
        await client.do("wait_batch", batch.id, 0.1)
    items = await client.take(9, "batch_items", batch.id)
    results = await client.take(9, "batch_results", batch.id)
    table = b"".join(await client.take(99, "batch_results_as", batch.id, "csv"))

    assert (batch.kind, batch.reference, batch.metadata) == ("archive", "夜", {"班": "夜"})
    assert told[-1] == (told[-1][1], told[-1][1])
    assert [item.state for item in items] == ["succeeded", "refused", "queued"]
    assert items[1].error.detail == "It is none."
    assert [each.result.kind if each.result else None for each in results] == [
        "tensors",
        None,
        None,
    ]
    assert len(table.splitlines()) == 4
    assert (await client.do("batch", batch.id)).errors[0].name == "b"
    assert [each.id for each in await client.take(9, "batches")] == [batch.id]


async def test_a_batch_is_withdrawn(client: Either, redis: Redis, keys: Keyspace) -> None:
    """And an ended one is not."""
    batch = await client.do("submit_batch_urls", ["https://example.com/1.jpg"], model="echo")
    assert (await client.do("cancel_batch", batch.id)).state == "canceling"
    store = BatchStore(redis, keys)
    record = await store.get(batch.id)
    assert record is not None
    assert await store.end(record, now_unix_ms=5)

    assert (await client.do("wait_batch", batch.id)).has_ended
    with pytest.raises(BatchEnded):
        await client.do("cancel_batch", batch.id)


async def test_what_is_no_batch_is_told(client: Either, tmp_path: Path) -> None:
    """By its name, or by the server."""
    other = tmp_path / "a.rar"
    other.write_bytes(b"Rar!")

    with pytest.raises(ValueError, match=r"a\.rar is no \.zip archive"):
        await client.do("submit_batch", other, model="echo")
    with pytest.raises(UnusableSource):
        await client.do("submit_batch", other, model="echo", content_type="application/zip")


async def test_deliveries_are_listed_and_brought_again(client: Either) -> None:
    """As far as there are any."""
    endpoint = await client.do("add_webhook", "https://example.com/x")
    since = datetime.now(UTC) - timedelta(hours=1)

    assert await client.take(9, "deliveries", state="exhausted", since=since) == []
    with pytest.raises(NotFound):
        await client.do("resend", "msg_" + "0" * 26)
    operation = await client.do("recover_webhook", endpoint.id, since)
    assert (await client.do("operation", operation.id)).endpoint == endpoint.id
