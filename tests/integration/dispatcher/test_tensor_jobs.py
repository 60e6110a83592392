"""Jobs that bring tensors, or ask for raw outputs, beside jobs with pictures."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import Unavailable
from pipeline.jobs.job import Job, JobState, PictureFacts
from pipeline.jobs.kept import KEPT_FOLDER, KeptPictures
from pipeline.models.catalogue import Catalogue
from pipeline.models.tensors import TensorFacts
from pipeline.pictures.blobs import FileBlobs
from tests.builders import make_job
from tests.fakes.poisonable_runtime import SLOW
from tests.integration.dispatcher.station import Station, colour, picture
from tests.waiting import wait_until

ITEM = TensorFacts(name="x", datatype="FP32", shape=(3, 8, 8))
MEAN = TensorFacts(name="mean", datatype="FP32", shape=(3,))


def tensor_job(facts: TensorFacts = ITEM, **changes: Any) -> Job:
    """Make a job with a tensor, for raw outputs."""
    size_bytes = facts.size_bytes
    defaults: dict[str, Any] = {
        "picture": PictureFacts(format="tensor", width_px=0, height_px=0, size_bytes=size_bytes),
        "tensor": facts,
        "raw_outputs": True,
    }
    return make_job(**(defaults | changes))


def values(seed: int) -> np.ndarray[Any, Any]:
    """Give the values of one item, different for each *seed*."""
    return np.random.default_rng(seed).random((3, 8, 8), np.float32)


async def accept(station: Station, jobs: list[Job], data: list[bytes]) -> None:
    """Accept jobs of one tenant with what they bring."""
    for job, each in zip(jobs, data, strict=True):
        station.blobs.put(job.job_id, each)
    await station.store.accept(jobs, waiting_max=1000)


def outputs(station: Station, job: Job) -> bytes | None:
    """Give what is kept of a job's outputs."""
    return KeptPictures(station.data / KEPT_FOLDER).outputs(job.job_id)


async def test_tensors_and_pictures_go_through_the_device_together(station: Station) -> None:
    """Mixed in batches, each with its own answer: raw in a file, or as findings."""
    station.add_model(max_size=16)
    # Keep the device busy while the others come together.
    slow = [make_job(), make_job()]
    tensors = [tensor_job() for _ in range(6)]
    raw_picture, plain_picture = make_job(raw_outputs=True), make_job()
    data = [values(seed).tobytes() for seed in range(6)]
    jobs = [*tensors, raw_picture, plain_picture]
    await accept(station, slow, [picture(SLOW), picture(SLOW)])

    async with station.dispatcher():
        await wait_until(station.claimed)
        await accept(station, jobs, [*data, picture(7), picture(9)])
        records = await station.through(jobs)
        messages = await station.inferred()
        await station.pictures_gone(jobs)

    assert {record.state for record in records} == {JobState.INFERRED}
    for seed, job in enumerate(tensors):
        told = messages[job.job_id]
        assert (told.findings.kind, told.findings.outputs) == ("outputs", (MEAN,))
        assert (told.width_px, told.made_by.decoder) == (0, "none")
        mean = np.frombuffer(outputs(station, job) or b"", np.float32)
        assert np.allclose(mean, values(seed).mean(axis=(1, 2)), rtol=1e-5)
    assert np.frombuffer(outputs(station, raw_picture) or b"", np.float32).tolist() == [7, 20, 30]
    assert messages[raw_picture.job_id].width_px == 8
    assert colour(messages[plain_picture.job_id]) == (9.0, 20.0, 30.0)
    assert outputs(station, plain_picture) is None
    # More than there are tensors, and more than there are pictures.
    assert max(messages[job.job_id].made_by.batch_size for job in jobs) > len(tensors)


async def test_a_tensor_that_does_not_fit_fails_alone(station: Station) -> None:
    """Of another shape, datatype or length; its neighbours are answered."""
    other = TensorFacts(name="x", datatype="FP32", shape=(3, 8, 9))
    double = TensorFacts(name="x", datatype="FP64", shape=(3, 8, 8))
    unfit = [tensor_job(other), tensor_job(double), tensor_job()]
    good = tensor_job()
    await accept(
        station,
        [*unfit, good],
        [bytes(other.size_bytes), bytes(double.size_bytes), b"short", bytes(ITEM.size_bytes)],
    )

    async with station.dispatcher():
        records = await station.through([*unfit, good])

    assert [record.state for record in records] == [JobState.FAILED] * 3 + [JobState.INFERRED]
    assert {record.reason_code for record in records[:3]} == {"unfit_tensor"}


async def test_outputs_that_cannot_be_stored_fail_their_job(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reason that blames nobody's tensor; the dispatcher goes on."""

    def put(_self: FileBlobs, name: str, *_: object, **__: object) -> None:
        raise Unavailable(f"{name}: {os.strerror(errno.ENOSPC)}")

    job, after = tensor_job(), make_job()
    await accept(station, [job], [values(1).tobytes()])
    with monkeypatch.context() as patched:
        patched.setattr(KeptPictures, "put_outputs", put)
        async with station.dispatcher():
            (failed,) = await station.through([job])
            await accept(station, [after], [picture()])
            (fine,) = await station.through([after])

    assert (failed.state, failed.reason_code) == (JobState.FAILED, "outputs_unstored")
    assert fine.state is JobState.INFERRED


def test_outputs_are_kept_for_their_time(tmp_path: Path) -> None:
    """A sweep that comes too early leaves them, also while they are written."""
    kept = KeptPictures(tmp_path / "swept")
    now_unix_ms = int(tmp_path.stat().st_mtime * 1000)
    kept.put_outputs("job_aa", b"outputs", until_unix_ms=now_unix_ms + 60_000)
    (tmp_path / "swept" / "aa" / "job_aa.part").write_bytes(b"half")

    assert kept.due(now_unix_ms + 59_000) == []
    assert kept.due(now_unix_ms + 61_000) == ["job_aa.outputs"]
    assert set(kept.due(now_unix_ms + 2 * 3600 * 1000)) == {"job_aa.outputs", "job_aa.part"}


async def test_the_catalogue_tells_what_a_model_takes_and_gives(station: Station) -> None:
    """Batch axis first, with the bounds of a batch and the kind of file."""
    async with station.dispatcher():

        async def entry() -> Any:
            return (await Catalogue(station.redis, station.keys).models()).get("echo")

        detail = (await wait_until(entry)).details[0]

    assert detail.platform == "onnxruntime_onnx"
    assert detail.inputs == (TensorFacts(name="x", datatype="FP32", shape=(-1, 3, 8, 8)),)
    assert detail.outputs == (TensorFacts(name="mean", datatype="FP32", shape=(-1, 3)),)
    assert (detail.batch_max, detail.batch_delay_ms) == (8, 20)
