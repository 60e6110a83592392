"""Backups of a real server under load, restored into a folder and over the network."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from gw.backup.manifest import BadArchive, Manifest
from gw.backup.reading import opened
from gw.backup.restoring import Restored, Target, restore
from gw.backup.taking import Origin, take_backup
from gw.data_folder import DataFolder
from gw.run_lock import RunLock
from gw.server import ServerBinary
from pipeline.errors import InvalidSettings
from pipeline.pictures.blobs import PICTURES_FOLDER, FileBlobs
from pipeline.settings import RedisSettings
from tests.builders import make_id
from tests.integration.gw.test_server import Embedded, binary
from tests.waiting import wait_until

__all__ = ["binary"]


def folder_at(path: Path) -> DataFolder:
    """Make a data folder."""
    folder = DataFolder.at(path)
    folder.create()
    return folder


def settings_of(server: Embedded) -> RedisSettings:
    """Give the way to a server."""
    return RedisSettings(url=f"redis://127.0.0.1:{server.port}/0", password=server.password)


@asynccontextmanager
async def running(path: Path, binary: ServerBinary) -> AsyncIterator[Embedded]:
    """Run a server on the data folder *path*."""
    async with Embedded(folder_at(path), binary) as server:
        yield server


async def fill(redis: Redis) -> None:
    """Write a key of each type that gw uses, one that expires, and a claimed entry."""
    await redis.hset("gw1:job:1", mapping={"state": "queued", "note": "ü" * 5000})
    await redis.zadd("gw1:deadlines", {f"job_{n}": n for n in range(500)})
    await redis.sadd("gw1:submitters", "default")
    await redis.rpush("gw1:batch-items:1", *range(300))
    await redis.set("gw1:promise:default:1", "x", px=3_600_000)
    for _ in range(3):
        await redis.xadd("gw1:results", {"kind": "job.inferred.v1"})
    await redis.xgroup_create("gw1:results", "postprocess", "0")
    await redis.xreadgroup("postprocess", "local", {"gw1:results": ">"}, count=2)


async def contents(redis: Redis) -> dict[str, object]:
    """Give all that a server holds."""
    raw: dict[str, object] = {}
    for key in map(str, sorted(await redis.keys("*"))):
        kind = await redis.type(key)
        if kind == "hash":
            raw[key] = await redis.hgetall(key)
        elif kind == "zset":
            raw[key] = await redis.zrange(key, 0, -1, withscores=True)
        elif kind == "stream":
            raw[key] = (await redis.xrange(key), await redis.xpending(key, "postprocess"))
        elif kind == "list":
            raw[key] = await redis.lrange(key, 0, -1)
        elif kind == "set":
            raw[key] = await redis.smembers(key)
        else:
            raw[key] = (await redis.get(key), await redis.pexpiretime(key))
    return raw


async def back_up(server: Embedded, path: Path, models: Path | None = None) -> Manifest:
    """Take a backup as the command does."""
    origin = Origin(redis=settings_of(server), folder=server.folder, models=models)
    return await asyncio.to_thread(take_backup, origin, path)


def restored(path: Path, folder: DataFolder, **changes: object) -> Restored:
    """Restore into *folder* as the command does."""
    target = Target(folder=folder, models=None, redis=None, force=False)
    return restore(path, replace(target, **changes))  # type: ignore[arg-type]


@contextmanager
def unchanged(root: Path) -> Iterator[None]:
    """Hold that nothing below *root* changes."""

    def listing() -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    before = listing()
    yield
    assert listing() == before


async def test_a_backup_comes_back_in_a_fresh_folder(tmp_path: Path, binary: ServerBinary) -> None:
    """Keys of all types, pictures and models are there again, and the server goes on from them."""
    models = tmp_path / "models"
    (models / "mean").mkdir(parents=True)
    (models / "mean" / "model.toml").write_text("[model]")
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await fill(redis)
        before = await contents(redis)
        pictures = FileBlobs(server.folder.root / PICTURES_FOLDER)
        job_id = make_id()
        pictures.put(job_id, b"picture")
        manifest = await back_up(server, tmp_path / "a.tar", models)
        assert await redis.dbsize() == len(before)
        assert not (server.folder.root / "pictures.held").exists()
        assert not list(server.folder.redis.rglob("*.rdb.part")) + list(
            server.folder.redis.glob("dump.rdb")
        )
    assert (manifest.count("pictures"), manifest.count("models")) == (1, 1)

    new = DataFolder.at(tmp_path / "new")
    done = restored(tmp_path / "a.tar", new, models=tmp_path / "new-models")

    assert done.aside is None
    assert FileBlobs(new.root / PICTURES_FOLDER).get(job_id) == b"picture"
    assert (tmp_path / "new-models" / "mean" / "model.toml").read_text() == "[model]"
    async with running(new.root, binary) as server, server.client() as redis:
        assert await contents(redis) == before
        await redis.set("later", "x")
    async with running(new.root, binary) as server, server.client() as redis:
        assert await contents(redis) == before | {"later": ("x", -1)}


async def test_a_backup_under_writes_is_one_moment(tmp_path: Path, binary: ServerBinary) -> None:
    """Two keys that always change together agree, though writes go on all the time."""
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await redis.hset("filler", mapping={str(n): "x" * 1000 for n in range(20_000)})
        stop = asyncio.Event()

        async def write() -> int:
            count = 0
            while not stop.is_set():
                async with redis.pipeline(transaction=True) as pipe:
                    pipe.incr("one")
                    pipe.incr("two")
                    await pipe.execute()
                count += 1
            return count

        writing = asyncio.create_task(write())
        await back_up(server, tmp_path / "a.tar")
        stop.set()
        assert await writing > 1

    restored(tmp_path / "a.tar", DataFolder.at(tmp_path / "new"))

    async with running(tmp_path / "new", binary) as server, server.client() as redis:
        assert await redis.get("one") == await redis.get("two")
        assert await redis.hlen("filler") == 20_000


async def test_a_picture_removed_meanwhile_is_in_the_backup(
    tmp_path: Path, binary: ServerBinary
) -> None:
    """Whatever goes between the snapshot and the copying of the files is in the archive."""
    async with running(tmp_path / "old", binary) as server:
        pictures = FileBlobs(server.folder.root / PICTURES_FOLDER)
        names = [make_id() for _ in range(300)]
        for name in names:
            pictures.put(name, name.encode())

        mark = server.folder.root / "pictures.held" / ".until"

        def consume() -> None:
            deadline_s = time.monotonic() + 20
            # The moment is short: no pause between two looks.
            while not mark.exists():
                assert time.monotonic() < deadline_s
            for name in names:
                pictures.delete(name)

        _, manifest = await asyncio.gather(
            asyncio.to_thread(consume), back_up(server, tmp_path / "a.tar")
        )

    assert manifest.count(PICTURES_FOLDER) == len(names)
    restored(tmp_path / "a.tar", DataFolder.at(tmp_path / "new"))
    again = FileBlobs(tmp_path / "new" / PICTURES_FOLDER)
    assert all(again.get(name) == name.encode() for name in names)


async def test_what_must_not_be_replaced_is_refused(tmp_path: Path, binary: ServerBinary) -> None:
    """A running stack, a store, a differing model, a damaged file: nothing is changed by a try."""
    path = tmp_path / "a.tar"
    models = tmp_path / "models"
    models.mkdir()
    (models / "model.toml").write_text("[model]")
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await fill(redis)
        await back_up(server, path, models)
    old = server.folder
    with (
        RunLock(old.lock),
        unchanged(tmp_path),
        pytest.raises(InvalidSettings, match="`gw down` stops it"),
    ):
        restored(path, old, force=True)
    with unchanged(tmp_path), pytest.raises(InvalidSettings, match="holds a job store already"):
        restored(path, old)
    (models / "model.toml").write_text("[changed]")
    with unchanged(tmp_path), pytest.raises(InvalidSettings, match="differs"):
        restored(path, DataFolder.at(tmp_path / "new"), models=models)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(b"REDIS00", b"REDIS01", 1)):
        path.write_bytes(damaged)
        with unchanged(tmp_path), pytest.raises(BadArchive):
            restored(path, old, models=models, force=True)
    assert not (tmp_path / "new").exists()


async def test_force_puts_the_old_store_aside(tmp_path: Path, binary: ServerBinary) -> None:
    """What was there is not lost, and the answer says where it is."""
    path = tmp_path / "a.tar"
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await redis.set("key", "then")
        await back_up(server, path)
        await redis.set("key", "now")

    done = restored(path, server.folder, force=True)

    assert done.aside is not None
    assert list(done.aside.glob("*.manifest"))
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        assert await redis.get("key") == "then"


async def test_a_backup_comes_back_over_the_network(tmp_path: Path, binary: ServerBinary) -> None:
    """A running server takes the snapshot, keeps it through a kill, and follows nobody after."""
    path = tmp_path / "a.tar"
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await fill(redis)
        before = await contents(redis)
        await back_up(server, path)
    async with running(tmp_path / "new", binary) as server, server.client() as redis:
        await redis.set("another", "x")
        over = settings_of(server)
        folder = DataFolder.at(tmp_path / "files")
        with pytest.raises(InvalidSettings, match="not empty"):
            await asyncio.to_thread(restored, path, folder, redis=over)
        assert await redis.get("another") == "x"
        await redis.flushall()

        await asyncio.to_thread(restored, path, folder, redis=over)

        assert await contents(redis) == before
        assert (await redis.info("replication"))["role"] == "master"
        pid = await server.ready()
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: not psutil.pid_exists(pid), timeout_s=20)
        assert await server.ready() != pid
        async with server.client() as again:
            assert await contents(again) == before


async def test_services_at_work_keep_a_restore_away(tmp_path: Path, binary: ServerBinary) -> None:
    """A server whose heartbeats change is in use, whatever --force says."""
    path = tmp_path / "a.tar"
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await back_up(server, path)
        await redis.hset("gw1:health", "webapp:local", "0")

        async def beat() -> None:
            for beats in range(1, 10_000):
                await redis.hset("gw1:health", "webapp:local", str(beats))
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(beat())
        with pytest.raises(InvalidSettings, match="services work"):
            await asyncio.to_thread(
                restored, path, server.folder, redis=settings_of(server), force=True
            )
        beating.cancel()
        assert await redis.hlen("gw1:health") == 1


async def test_a_user_without_the_right_is_told(tmp_path: Path, binary: ServerBinary) -> None:
    """The services' user may neither back up nor restore; it is told who may; nothing is left."""
    async with running(tmp_path / "old", binary) as server, server.client() as redis:
        await redis.acl_setuser(
            "service",
            enabled=True,
            passwords=["+secret"],
            keys=["*"],
            categories=["+@all", "-@admin"],
        )
        over = RedisSettings(
            url=f"redis://service@127.0.0.1:{server.port}/0",
            password="secret",
        )
        origin = Origin(redis=over, folder=server.folder, models=None)
        with pytest.raises(InvalidSettings, match="operator"):
            await asyncio.to_thread(take_backup, origin, tmp_path / "a.tar")
        assert os.listdir(tmp_path) == ["old"]

        await back_up(server, tmp_path / "a.tar")
        with unchanged(tmp_path), pytest.raises(InvalidSettings, match="operator"):
            await asyncio.to_thread(
                restored, tmp_path / "a.tar", DataFolder.at(tmp_path / "new"), redis=over
            )
    assert not (server.folder.root / "pictures.held").exists()


async def test_the_archive_says_who_wrote_it(tmp_path: Path, binary: ServerBinary) -> None:
    """Its manifest names the server, and one that cannot read it is not given it."""
    path = tmp_path / "a.tar"
    async with running(tmp_path / "old", binary) as server:
        written = await back_up(server, path)

    with opened(path) as archive:
        assert archive.manifest == written
    assert written.server_product == binary.product
    assert written.gw_version
