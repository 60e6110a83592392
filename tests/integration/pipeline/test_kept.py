"""What is kept of pictures after their jobs' end, and its sweep."""

from __future__ import annotations

from pathlib import Path

from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.jobs.kept import Disposal, KeptPictures, sweep_kept
from pipeline.jobs.store import JobStore
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import Keyspace
from tests.builders import make_job


def test_a_picture_is_kept_or_removed_as_its_job_says(tmp_path: Path) -> None:
    """Both ways are safe to repeat, also when a crash came in between."""
    blobs, kept = FileBlobs(tmp_path / "pictures"), KeptPictures(tmp_path / "kept")
    disposal = Disposal(blobs, kept, SystemClock())
    keeping, dropping = make_job(keep_picture_s=60), make_job()
    for job in (keeping, dropping):
        blobs.put(job.job_id, b"picture")

    for job in (keeping, dropping) * 2:
        disposal.dispose(job)

    assert [blobs.get(job.job_id) for job in (keeping, dropping)] == [None, None]
    assert [kept.picture(job.job_id) for job in (keeping, dropping)] == [b"picture", None]
    kept.remove(keeping.job_id)
    assert kept.picture(keeping.job_id) is None


async def test_kept_files_go_when_their_time_is_over(
    redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """A preview stays while its job's record does."""
    blobs, kept = FileBlobs(tmp_path / "pictures"), KeptPictures(tmp_path / "kept")
    store = JobStore(redis, keys)
    there, gone = make_job(), make_job()
    await store.accept([there], waiting_max=9)
    for job, until_unix_ms in ((there, 1_000), (gone, 9_000)):
        blobs.put(job.job_id, b"picture")
        kept.keep_picture(blobs, job.job_id, until_unix_ms=until_unix_ms)
        kept.put_preview(job.job_id, b"preview", until_unix_ms=1_000)

    removed = await sweep_kept(kept, store, now_unix_ms=5_000)

    assert removed == 2
    assert (kept.picture(there.job_id), kept.preview(there.job_id)) == (None, b"preview")
    assert (kept.picture(gone.job_id), kept.preview(gone.job_id)) == (b"picture", None)
    assert await sweep_kept(kept, store, now_unix_ms=5_000) == 0
