"""The Open Inference Protocol at the door: what becomes of requests, good and bad."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.kept import KEPT_FOLDER, KeptPictures
from pipeline.jobs.store import JobStore
from pipeline.models.entry import ModelEntry, VersionEntry, VersionState
from pipeline.models.tensors import TensorFacts
from pipeline.protocol import Keyspace
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.raw_http import connected
from tests.integration.webapp.running import PICTURE, Webapp, add_key, finish, publish, running
from tests.waiting import wait_until

MODEL = ModelEntry(
    name="sum",
    task="raw",
    versions=("2",),
    labels=("cat", "dog"),
    details=(
        VersionEntry(
            version="2",
            state=VersionState.LOADED,
            platform="onnxruntime_onnx",
            inputs=(TensorFacts(name="x", datatype="INT32", shape=(-1, 2)),),
            outputs=(TensorFacts(name="y", datatype="FP32", shape=(-1, 2)),),
            batch_max=4,
        ),
    ),
)
INFER = "/v2/models/sum/infer"
FAR_UNIX_MS = 10**14


def body(*rows: list[int], **more: Any) -> dict[str, Any]:
    """Give a request with *rows* as its batch."""
    tensor = {"name": "x", "shape": [len(rows), 2], "datatype": "INT32", "data": list(rows)}
    return {"inputs": [tensor], **more}


class Box:
    """The parts behind the door, played by the test."""

    def __init__(self, webapp: Webapp, store: JobStore, look: Look, folder: Path) -> None:
        self.webapp = webapp
        self.http = webapp.http
        self.store = store
        self.look = look
        self.kept = KeptPictures(folder / KEPT_FOLDER)

    async def queued(self, count: int) -> list[Job]:
        """Wait until *count* jobs wait, and give them in their order."""

        async def jobs() -> list[Job]:
            listed = (await self.http.get("/v1/jobs", params={"state": "queued"})).json()["jobs"]
            found = [await self.store.get(each["id"]) for each in listed]
            waiting = [job for job in found if job is not None]
            return sorted(waiting, key=lambda job: job.job_id) if len(waiting) == count else []

        found: list[Job] = await wait_until(jobs)
        return found

    async def answer(self, job: Job) -> None:
        """Have the model answer with each value halved, as a dispatcher would."""
        data = await asyncio.to_thread(self.webapp.parts.jobs.blobs.get, job.job_id)
        values = np.frombuffer(data or b"", np.int32).astype(np.float32) / 2
        self.kept.put_outputs(job.job_id, values.tobytes(), until_unix_ms=FAR_UNIX_MS)
        told = {"name": "y", "datatype": "FP32", "shape": [2]}
        result = json.dumps({"outputs": [told]})
        await finish(self.store, job.job_id, to=JobState.SUCCEEDED, result=result)


@pytest_asyncio.fixture
async def box(
    environ: dict[str, str], redis: Redis, keys: Keyspace, tmp_path: Path, look: Look
) -> AsyncIterator[Box]:
    """Run a webapp before the model ``sum``."""
    await publish(redis, keys, MODEL)
    token = await add_key(redis, keys, tenant="acme")
    async with running({**environ, "GW_JOBS_PER_REQUEST_MAX": "4"}, token=token) as webapp:
        yield Box(webapp, JobStore(redis, keys), look, tmp_path)


def posted(box: Box, document: dict[str, Any]) -> asyncio.Future[httpx.Response]:
    """Post an inference, which waits for its end."""
    return asyncio.ensure_future(box.http.post(INFER, json=document))


async def test_each_item_is_a_job_and_the_answer_is_of_all(box: Box) -> None:
    """In the order of the batch, with the id; the outputs are removed once they were given."""
    waiting = posted(box, body([2, 4], [6, 8], [10, 12], id="abc"))
    jobs = await box.queued(3)
    for job in reversed(jobs):
        await box.answer(job)

    answer = await waiting

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "id": "abc",
        "model_name": "sum",
        "model_version": "2",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [3, 2], "data": [1, 2, 3, 4, 5, 6]}],
    }
    assert {job.reference for job in jobs} == {"abc"}
    assert [box.kept.outputs(job.job_id) for job in jobs] == [None] * 3
    gone = await box.http.get(f"/v1/jobs/{jobs[0].job_id}/outputs")
    assert (gone.status_code, gone.json()["code"]) == (410, "outputs_gone")


async def test_outputs_that_are_to_be_kept_can_be_read(box: Box) -> None:
    """As the binary answer of one item, by whoever may read the job; and before the end not yet."""
    waiting = posted(box, body([2, 4], parameters={"keep_outputs": True}))
    (job,) = await box.queued(1)
    document = (await box.http.get(f"/v1/jobs/{job.job_id}")).json()
    early = await box.http.get(document["links"]["outputs"])
    await box.answer(job)
    assert (await waiting).status_code == 200

    answer = await box.http.get(document["links"]["outputs"])

    assert (early.status_code, early.json()["code"]) == (409, "result_not_ready")
    assert document["tensor"] == {"name": "x", "datatype": "INT32", "shape": [2], "bytes": 8}
    size = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.content[:size])["outputs"][0]["shape"] == [1, 2]
    assert np.frombuffer(answer.content[size:], np.float32).tolist() == [1, 2]
    removed = await box.http.delete(f"/v1/jobs/{job.job_id}/record")
    assert (removed.status_code, box.kept.outputs(job.job_id)) == (204, None)


async def test_the_raw_form_is_answered_in_binary(box: Box) -> None:
    """A body of nothing but bytes, packed on its way, and unpacked answers for who wants none."""
    headers = {
        "Inference-Header-Content-Length": "0",
        "Content-Encoding": "gzip",
        "Accept-Encoding": "identity",
    }
    data = gzip.compress(np.array([2, 4], np.int32).tobytes())
    waiting = asyncio.ensure_future(box.http.post(INFER, content=data, headers=headers))
    (job,) = await box.queued(1)
    await box.answer(job)

    answer = await waiting

    size = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert np.frombuffer(answer.content[size:], np.float32).tolist() == [1, 2]


async def test_labels_go_with_the_best_classes(box: Box) -> None:
    """Where the model has one for each value."""
    wanted = [{"name": "y", "parameters": {"classification": 1}}]
    waiting = posted(box, body([2, 4], outputs=wanted))
    (job,) = await box.queued(1)
    await box.answer(job)

    (output,) = (await waiting).json()["outputs"]

    assert (output["datatype"], output["data"]) == ("BYTES", ["2.000000:1:dog"])


@pytest.mark.parametrize(
    ("reason_code", "status"), [("undecodable_picture", 400), ("model_failed", 500)]
)
async def test_one_items_failure_is_the_requests(box: Box, reason_code: str, status: int) -> None:
    """With its reason; by whose fault it is."""
    waiting = posted(box, body([1, 2], [3, 4]))
    first, second = await box.queued(2)
    await box.answer(first)
    facts = {"reason_code": reason_code, "reason": "it broke"}
    await finish(box.store, second.job_id, to=JobState.FAILED, **facts)

    answer = await waiting

    assert answer.status_code == status
    assert answer.json() == {"error": f"{reason_code}: it broke"}


async def test_a_request_that_takes_too_long_is_withdrawn(box: Box) -> None:
    """Its timeout is in microseconds; nothing of it goes on waiting."""
    answer = await box.http.post(INFER, json=body([1, 2], [3, 4], parameters={"timeout": 200_000}))

    assert (answer.status_code, "error" in answer.json()) == (504, True)
    counts = (await box.look()).counts
    assert (counts[JobState.QUEUED], counts[JobState.CANCELED]) == (0, 2)
    assert (await box.look()).pictures == frozenset()


async def test_who_goes_away_takes_its_jobs_along(box: Box) -> None:
    """They are canceled, and their tensors removed."""
    async with connected(box.webapp.port) as connection:
        text = json.dumps(body([1, 2], [3, 4])).encode()
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(text)}\r\n"
        head += f"authorization: Bearer {box.webapp.token}\r\n\r\n"
        await connection.send(head.encode() + text)
        jobs = await box.queued(2)

    async def are_canceled() -> bool:
        records = await box.store.get_many([job.job_id for job in jobs])
        return all(job is not None and job.state is JobState.CANCELED for job in records)

    await wait_until(are_canceled)
    assert (await box.look()).pictures == frozenset()


async def test_a_canceled_job_ends_the_request(box: Box) -> None:
    """Whoever sees it among the jobs may withdraw it."""
    waiting = posted(box, body([1, 2]))
    (job,) = await box.queued(1)
    await box.http.delete(f"/v1/jobs/{job.job_id}")

    answer = await waiting

    assert (answer.status_code, answer.json()) == (
        409,
        {"error": "the job was canceled before its end"},
    )


JSON_TYPE = {"content-type": "application/json"}
BAD: list[tuple[dict[str, Any], int]] = [
    ({"content": b"{"}, 400),
    ({"json": {}}, 400),
    ({"json": body([1, 2], [1, 2], [1, 2], [1, 2], [1, 2])}, 400),
    ({"json": body([1, 2]), "headers": {"Inference-Header-Content-Length": "x"}}, 400),
    ({"json": body([1, 2]), "headers": {"Inference-Header-Content-Length": "9999"}}, 400),
    ({"json": body([1, 2], outputs=[{"name": "nope"}])}, 400),
    (
        {"json": {"inputs": [{"name": "z", "shape": [1, 2], "datatype": "INT32", "data": [1, 2]}]}},
        400,
    ),
    ({"content": b"123", "headers": {"Inference-Header-Content-Length": "0"}}, 400),
    ({"content": b"plain", "headers": {"content-encoding": "gzip"}}, 400),
    ({"content": b"plain", "headers": {"content-encoding": "br"}}, 415),
    (
        {"content": gzip.compress(bytes(2 * 1024 * 1024)), "headers": {"content-encoding": "gzip"}},
        413,
    ),
    ({"content": bytes(2 * 1024 * 1024)}, 413),
    ({"json": body([1, 2]), "headers": {"authorization": ""}}, 401),
    ({"json": body([1, 2]), "url": "/v2/models/nope/infer"}, 404),
    ({"json": body([1, 2]), "url": "/v2/models/sum/versions/9/infer"}, 404),
    ({"json": body([1, 2]), "url": "/v2/models/sum/versions/x/infer"}, 404),
    ({"json": body([1, 2]), "url": "/v2/nothing"}, 404),
    ({"method": "GET"}, 405),
]


@pytest.fixture
def small(environ: dict[str, str]) -> None:
    """Let bodies be a megabyte."""
    environ["GW_REQUEST_MAX_BYTES"] = str(1024 * 1024)


@pytest.mark.usefixtures("small")
async def test_a_bad_request_changes_nothing_and_says_why(box: Box) -> None:
    """Every error is JSON with one member, whatever part of the service found it."""
    before = await box.look()
    for request, status in BAD:
        answer = await box.http.request(**({"method": "POST", "url": INFER} | request))
        assert answer.status_code == status, (request, answer.text)
        assert answer.headers["content-type"] == "application/json", request
        assert list(answer.json()) == ["error"], request
    assert await box.look() == before


async def test_a_picture_that_is_none_is_refused_before_it_is_stored(box: Box) -> None:
    """One of two is enough."""
    pictures = b"".join(len(each).to_bytes(4, "little") + each for each in (PICTURE, b"none"))
    tensor = {"name": "x", "shape": [2], "datatype": "BYTES"}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}

    answer = await box.http.post(INFER, content=head + pictures, headers=headers)

    assert (answer.status_code, list(answer.json())) == (422, ["error"])
    assert (await box.look()).pictures == frozenset()


async def test_a_full_queue_takes_all_of_a_batch_or_none(
    environ: dict[str, str], redis: Redis, keys: Keyspace, look: Look
) -> None:
    """429 with when to come again; nothing is left of the others."""
    await publish(redis, keys, MODEL)
    token = await add_key(redis, keys, tenant="acme")
    async with running({**environ, "GW_JOBS_WAITING_MAX": "2"}, token=token) as webapp:
        answer = await webapp.http.post(INFER, json=body([1, 2], [3, 4], [5, 6]))
        assert (answer.status_code, list(answer.json())) == (429, ["error"])
        assert int(answer.headers["retry-after"]) >= 1
        assert (await look()).pictures == frozenset()
        assert (await look()).counts[JobState.QUEUED] == 0


async def test_a_key_may_do_what_its_scopes_say(box: Box, redis: Redis, keys: Keyspace) -> None:
    """Reading needs any key, inference ``submit``, loading ``manage_models``; health none."""
    token = await add_key(redis, keys, tenant="acme", scopes=[Scope.READ_OWN])
    headers = {"authorization": f"Bearer {token}"}
    statuses = {
        path: (await box.http.request(method, path, headers=headers, json={})).status_code
        for method, path in (
            ("GET", "/v2/models/sum"),
            ("GET", "/v2/models/sum/ready"),
            ("POST", "/v2/repository/index"),
            ("POST", INFER),
            ("POST", "/v2/repository/models/sum/load"),
            ("POST", "/v2/logging"),
        )
    }
    assert list(statuses.values()) == [200, 200, 200, 403, 403, 403]
    none = {"authorization": ""}
    for path in ("/v2", "/v2/health/live"):
        assert (await box.http.get(path, headers=none)).status_code == 200
    assert (await box.http.get("/v2/models/sum", headers=none)).status_code == 401


async def test_loading_without_a_dispatcher_is_told_at_once(box: Box) -> None:
    """Nobody would answer; and a model cannot be sent along."""
    path = "/v2/repository/models/sum/load"
    away = await box.http.post(path)
    sent = await box.http.post(path, json={"parameters": {"config": "{}"}})
    assert (away.status_code, list(away.json())) == (503, ["error"])
    assert (sent.status_code, "model folder" in sent.json()["error"]) == (400, True)


async def test_what_is_logged_can_be_read_and_not_changed(box: Box) -> None:
    """The level is the same for every service."""
    settings = (await box.http.get("/v2/logging")).json()
    same = await box.http.post("/v2/logging", json=settings)
    other = await box.http.post(
        "/v2/logging", json={"log_verbose_level": 1 - settings["log_verbose_level"]}
    )
    unknown = await box.http.post("/v2/logging", json={"log_colour": True})
    assert (same.status_code, same.json()) == (200, settings)
    assert (other.status_code, "GW_LOG_LEVEL" in other.json()["error"]) == (400, True)
    assert unknown.status_code == 400
