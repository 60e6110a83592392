"""A station for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from pipeline.protocol import Keyspace
from tests.integration.dispatcher.station import Station


@pytest.fixture
def station(redis: Redis, keys: Keyspace, redis_url: str, tmp_path: Path) -> Iterator[Station]:
    """Give a station of this test's own; no device process may be left after it."""
    before = set(psutil.Process().children(recursive=True))
    station = Station(redis, keys, redis_url, tmp_path)
    yield station
    station.close()
    left = set(psutil.Process().children(recursive=True)) - before
    # A device process dies with its dispatcher, but a moment later.
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        process.kill()
    assert not alive
