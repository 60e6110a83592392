"""Fixtures of the notifier's tests."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from pipeline.protocol import Keyspace
from tests.integration.notifier.site import Site


@pytest.fixture
def site(redis: Redis, keys: Keyspace) -> Site:
    """Give a notifier's surroundings on a fresh prefix."""
    return Site(redis, keys)
