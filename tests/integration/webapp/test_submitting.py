"""Submitting pictures in each of the ways there are."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.ids import is_id
from pipeline.jobs.job import Job, JobState, PictureFacts, Priority
from pipeline.jobs.store import JobStore
from pipeline.models.catalogue import ModelEntry
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import InferRequested, Keyspace
from tests.fakes.webhook_receiver import WebhookReceiver, answering
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import PICTURE, Webapp, publish, running
from tests.unit.webapp.pictures import jpeg, png
from webapp import schemas

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def stored(redis: Redis, keys: Keyspace, document: dict[str, Any]) -> Job:
    """Give the record of an accepted job."""
    job = await JobStore(redis, keys).get(document["id"])
    assert job is not None
    return job


def picture_of(folder: Path, document: dict[str, Any]) -> bytes | None:
    """Give the stored picture of an accepted job."""
    return FileBlobs(folder / "pictures").get(document["id"])


async def test_a_raw_picture_becomes_a_job(
    webapp: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """The answer names the job; record, picture and stream entry are there when it arrives."""
    answer = await webapp.post(
        headers={"gw-metadata": '{"gate": 3}'}, reference="订单 1", priority="high", deadline_s="30"
    )

    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{document['id']}"
    schemas.JobDocument.model_validate(document)
    assert document["picture"] == {"format": "jpeg", "width": 64, "height": 48, "bytes": 1000}
    assert (document["state"], document["version"]) == ("queued", "2")
    job = await stored(redis, keys, document)
    assert (job.tenant, job.reference, job.metadata) == ("acme", "订单 1", {"gate": 3})
    assert job.picture == PictureFacts(format="jpeg", width_px=64, height_px=48, size_bytes=1000)
    assert 29_000 < job.deadline_unix_ms - job.accepted_unix_ms <= 30_000
    assert picture_of(tmp_path, document) == PICTURE
    entries = await redis.xrange(keys.infer("echo", Priority.HIGH, "acme"))
    assert entries
    assert [fields for _, fields in entries] == [InferRequested(job_id=job.job_id).to_fields()]


async def test_a_form_with_one_file_becomes_a_job(webapp: Webapp, tmp_path: Path) -> None:
    """Fields stand beside the file, objects among them as JSON text."""
    answer = await webapp.http.post(
        "/v1/jobs",
        files={"picture": ("a.jpg", PICTURE, "image/jpeg")},
        data={"model": "echo", "version": "1", "metadata": '{"a": "你好"}'},
    )

    document = answer.json()
    assert answer.status_code == 202
    assert (document["version"], document["metadata"]) == ("1", {"a": "你好"})
    assert picture_of(tmp_path, document) == PICTURE


async def test_a_form_with_several_files_becomes_as_many_jobs(
    webapp: Webapp, look: Look, tmp_path: Path
) -> None:
    """In the order of the files, whatever their field is called."""
    pictures = [jpeg(10, 10), png(1, 1), jpeg(30, 30)]
    files = [(f"file{n}", ("x", data)) for n, data in enumerate(pictures)]

    answer = await webapp.http.post("/v1/jobs", files=files, data={"model": "echo"})

    assert answer.status_code == 202
    jobs = schemas.JobsDocument.model_validate(answer.json()).jobs
    assert [job.picture.width for job in jobs if job.picture] == [10, 1, 30]
    assert [picture_of(tmp_path, {"id": job.id}) for job in jobs] == pictures
    assert (await look()).counts[JobState.QUEUED] == 3


async def test_json_with_base64_becomes_a_job(webapp: Webapp, tmp_path: Path) -> None:
    """The picture is stored as it was before."""
    body = {"model": "echo", "picture": base64.b64encode(PICTURE).decode(), "priority": "low"}

    answer = await webapp.http.post("/v1/jobs", json=body)

    assert answer.status_code == 202
    assert answer.json()["priority"] == "low"
    assert picture_of(tmp_path, answer.json()) == PICTURE


async def test_json_with_a_url_becomes_a_job(
    environ: dict[str, str], token: str, tmp_path: Path
) -> None:
    """The picture is fetched before the job is accepted, from where the operator allows."""
    async with WebhookReceiver() as server:
        server.behaviours["gate"] = answering(200, body=PICTURE)
        environ["GW_EGRESS_ALLOW"] = f"127.0.0.1/32:{server.port}"
        async with running(environ, token=token) as webapp:
            body = {"model": "echo", "picture_url": server.url("gate/3.jpg?token=1")}
            answer = await webapp.http.post("/v1/jobs", json=body)

    assert answer.status_code == 202
    assert picture_of(tmp_path, answer.json()) == PICTURE


async def test_a_single_pixel_is_a_picture(webapp: Webapp, tmp_path: Path) -> None:
    """The smallest picture there is goes the same way."""
    answer = await webapp.post(png(1, 1))

    assert answer.status_code == 202
    assert answer.json()["picture"]["width"] == answer.json()["picture"]["height"] == 1
    assert picture_of(tmp_path, answer.json()) == png(1, 1)


async def test_a_chunked_body_is_taken(webapp: Webapp, tmp_path: Path) -> None:
    """A length need not be known before."""

    async def pieces() -> Any:
        for start in range(0, len(PICTURE), 100):
            yield PICTURE[start : start + 100]

    answer = await webapp.http.post(
        "/v1/jobs?model=echo", content=pieces(), headers={"content-type": "image/png"}
    )

    assert answer.status_code == 202
    assert picture_of(tmp_path, answer.json()) == PICTURE


async def test_a_webhook_is_stored_and_never_shown(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Its delivery has an id from the start."""
    webhook = json.dumps({"url": "https://example.com/h?token=1", "secret": SECRET})

    answer = await webapp.post(headers={"gw-webhook": webhook})

    assert answer.status_code == 202
    assert SECRET not in answer.text
    (subscriber,) = (await stored(redis, keys, answer.json())).subscribers
    assert is_id(subscriber.delivery_id, "msg")
    assert (subscriber.url, subscriber.secret) == ("https://example.com/h?token=1", SECRET)


async def test_a_webhook_may_be_an_endpoint_of_the_tenant(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The job refers to it by its id."""
    await add_endpoint(redis, keys, tenant="acme")

    job = await webapp.submit(webhook='{"endpoint": "ep_1"}')

    (subscriber,) = (await stored(redis, keys, job)).subscribers
    assert (subscriber.endpoint_id, subscriber.url) == ("ep_1", "")


async def test_the_endpoint_of_another_tenant_does_not_exist(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """Whether it is there at all cannot be told."""
    await add_endpoint(redis, keys, tenant="other")
    before = await look()

    answer = await webapp.post(webhook='{"endpoint": "ep_1"}')

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_endpoint"
    assert await look() == before


async def test_a_model_published_a_moment_ago_is_found(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """A name that the last look at the catalogue lacks is looked up at once."""
    await publish(redis, keys, ModelEntry(name="fresh", versions=("7",)))

    answer = await webapp.post(model="fresh")

    assert (answer.status_code, answer.json()["version"]) == (202, "7")


async def test_many_callers_at_once_are_served(webapp: Webapp, look: Look) -> None:
    """Two hundred pictures in flight become two hundred jobs."""
    answers = await asyncio.gather(*(webapp.post() for _ in range(200)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 200
    after = await look()
    assert after.counts[JobState.QUEUED] == len(after.pictures) == 200


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json"])
async def test_some_pages_need_no_key(webapp: Webapp, path: str) -> None:
    """They tell nothing of anybody's jobs."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{webapp.port}") as stranger:
        answer = await stranger.get(path)

    assert answer.status_code == 200


async def add_endpoint(redis: Redis, keys: Keyspace, *, tenant: str) -> None:
    """Register the endpoint ``ep_1``."""
    endpoint = Endpoint(
        endpoint_id="ep_1",
        tenant=tenant,
        url="https://example.com/h",
        description="",
        created_unix_ms=1,
        secret=SECRET,
    )
    await EndpointStore(redis, keys).add(endpoint)
