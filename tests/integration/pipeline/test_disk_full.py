"""Redis on a disk that fills up: it takes no more work, loses none, and goes on when there is room.

Needs a file system of its own to fill: only root can mount one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.connection import connect
from pipeline.errors import Unavailable
from pipeline.jobs.job import Job
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.builders import make_job
from tests.integration.pipeline.own_server import OwnServer, running

DISK_BYTES = 4 << 20
BULK = "x" * 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of four megabytes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a disk to fill")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def accept_until_refused(server: OwnServer, keys: Keyspace) -> list[Job]:
    """Accept jobs until Redis takes no more; give those that were answered."""
    accepted: list[Job] = []
    async with connect(server.settings()) as redis:
        store = JobStore(redis, keys)
        while True:
            job = make_job(metadata={"bulk": BULK})
            try:
                assert (await store.accept([job], waiting_max=10_000)).accepted
            except Unavailable:
                return accepted
            accepted.append(job)
            assert len(accepted) * len(BULK) < DISK_BYTES


async def test_a_full_disk_under_redis_loses_nothing(small_disk: Path, keys: Keyspace) -> None:
    """It ends itself without losing a job that it took, and with room it takes the next."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 2))
    with running(small_disk) as server:
        accepted = await accept_until_refused(server, keys)
        assert accepted

        ballast.unlink()
        server.kill()
        server.start()

        async with connect(server.settings(timeout_s=5)) as redis:
            store = JobStore(redis, keys)
            kept = await store.get_many([job.job_id for job in accepted])
            assert [job.job_id for job in kept if job] == [job.job_id for job in accepted]
            assert (await store.accept([make_job()], waiting_max=10_000)).accepted
