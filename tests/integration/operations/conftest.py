"""Operations on the session's server, under a prefix and in a folder of the test's own."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from operations.parts import OperationParts, operation_parts
from operations.settings import OperationsSettings
from pipeline.batches.batch import Batch
from pipeline.protocol import Keyspace
from pipeline.settings import load
from tests.builders import make_batch
from tests.unit.webapp.pictures import jpeg

PICTURE = jpeg()

#: Stores a batch of these entries with its source on the disk; gives it.
Submit = Callable[..., "SubmittedBatch"]


class SubmittedBatch:
    """A batch that was accepted, with its record as it is now."""

    def __init__(self, parts: OperationParts, batch: Batch) -> None:
        self._parts = parts
        self.accepted = batch

    async def now(self) -> Batch:
        """Give the record."""
        batch = await self._parts.batches.get(self.accepted.batch_id)
        assert batch is not None
        return batch


@pytest.fixture
def environ(redis_url: str, keys: Keyspace, tmp_path: Path) -> dict[str, str]:
    """Give the settings."""
    return {
        "GW_REDIS_URL": redis_url,
        "GW_REDIS_PREFIX": keys.prefix,
        "GW_DATA_DIR": str(tmp_path),
    }


@pytest_asyncio.fixture
async def parts(environ: dict[str, str]) -> AsyncIterator[OperationParts]:
    """Give the parts of an operation."""
    async with operation_parts(load(OperationsSettings, environ)) as parts:
        yield parts


def zipped(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """Zip entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


async def submit(parts: OperationParts, source: bytes, **changes: object) -> SubmittedBatch:
    """Accept a batch with *source* on the disk."""
    template = changes.pop("template", None)
    batch = make_batch(**changes)
    if template:
        batch = replace(batch, template=replace(batch.template, **template))  # type: ignore[arg-type]
    path = parts.files.source(batch.batch_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(source)
    assert (await parts.batches.accept(batch, open_max=100)).accepted
    return SubmittedBatch(parts, batch)


async def emptied(redis: Redis, keys: Keyspace) -> None:
    """Remove every key of a prefix."""
    async for key in redis.scan_iter(f"{keys.prefix}:*"):
        await redis.delete(key)
