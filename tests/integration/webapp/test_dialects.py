"""Predictions, queue requests and picture calls: jobs like any other, under other names."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.access.tenants import Tenant, TenantStore
from pipeline.jobs.job import Job, JobState, Priority
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import PICTURE, Webapp, add_key, finish, running
from tests.waiting import wait_until
from webapp.dialects import schemas

BASE64 = base64.b64encode(PICTURE).decode()
DATA_URL = f"data:image/jpeg;base64,{BASE64}"
INPUT = {"image": DATA_URL, "camera": 3}
ASKED = {"version": "echo", "input": INPUT}
ASYNC = {"prefer": "respond-async"}
RESULT = '{"labels": ["猫"]}'

#: Where a submission may be made, with a body that is good.
PLACES = (
    ("/predictions?model=echo", {"input": INPUT}),
    ("/v1/predictions", ASKED),
    ("/v1/models/gw/echo/predictions", {"input": INPUT}),
    ("/fal/gw/echo", {"image_url": DATA_URL}),
    ("/fal-run/gw/echo", {"image_url": DATA_URL}),
    ("/aip?model=echo", {"image": BASE64}),
)


async def record(webapp: Webapp, job_id: str) -> Job:
    """Give a job's record."""
    job = await webapp.parts.store.get(job_id)
    assert job is not None
    return job


async def only_job(webapp: Webapp) -> Job:
    """Wait for the one job that there is; give its record."""

    async def found() -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = (await webapp.http.get("/v1/jobs")).json()["jobs"]
        return jobs

    (job,) = await wait_until(found)
    return await record(webapp, job["id"])


async def end(
    webapp: Webapp, redis: Redis, keys: Keyspace, to: JobState = JobState.SUCCEEDED, **facts: Any
) -> Job:
    """Bring the one job to its end."""
    job = await only_job(webapp)
    facts = facts or ({"result": RESULT} if to is JobState.SUCCEEDED else {})
    return await finish(JobStore(redis, keys), job.job_id, to=to, **facts)


async def test_a_prediction_is_a_job(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """Its input is the job's metadata, its output the result, and both ways to read it agree."""
    answer = await webapp.http.post("/v1/predictions", json=ASKED)
    made = schemas.PredictionDocument.model_validate(answer.json())
    assert (answer.status_code, made.status, made.input) == (201, "starting", {"camera": 3})

    job = await end(webapp, redis, keys)

    assert (job.job_id, job.metadata, job.dialect) == (made.id, {"camera": 3}, "cog")
    read = await webapp.http.get(f"/v1/predictions/{made.id}")
    document = schemas.PredictionDocument.model_validate(read.json())
    assert (document.status, document.output) == ("succeeded", json.loads(RESULT))
    assert (document.model, document.version) == ("gw/echo", "echo:2")
    assert read.json() == (await webapp.http.get(document.urls.get)).json()
    assert (await webapp.http.get(f"/predictions/{made.id}")).json() == read.json()


async def test_cog_waits_unless_it_is_told_not_to(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """200 with the output when it has ended; 202 at once with respond-async."""
    calling = asyncio.ensure_future(
        webapp.http.post("/predictions?model=echo", json={"input": INPUT})
    )
    await end(webapp, redis, keys)
    answer = await calling

    assert (answer.status_code, answer.json()["output"]) == (200, json.loads(RESULT))
    answer = await webapp.http.post(
        "/predictions?model=echo&version=1", json={"input": INPUT}, headers=ASYNC
    )
    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    assert answer.json()["version"] == "echo:1"


async def test_an_id_of_the_callers_own_makes_one_prediction(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """Whoever repeats it joins, at the same moment or later; another request is refused."""

    async def put(**options: Any) -> httpx.Response:
        body = {"input": INPUT | options}
        return await webapp.http.put("/predictions/a-1?model=echo", json=body, headers=ASYNC)

    answers = await asyncio.gather(*(put() for _ in range(8)))

    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["id"] for answer in answers} == {"a-1"}
    assert len((await look()).pictures) == 1
    other = await put(camera=4)
    assert (other.status_code, other.json()["detail"][0]["loc"]) == (422, ["body", "id"])
    job = await end(webapp, redis, keys)
    assert job.reference == "a-1"
    done = await put()
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    assert (await webapp.http.get("/v1/jobs?reference=a-1")).json()["jobs"][0]["id"] == job.job_id
    assert (await webapp.http.get("/v1/predictions/a-1")).json() == done.json()


async def test_an_id_belongs_to_its_tenant(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """Another tenant neither sees it nor is kept from having the same."""
    await webapp.http.put("/predictions/a-1", json=ASKED, headers=ASYNC)
    token = await add_key(redis, keys, tenant="other")
    headers = {"authorization": f"Bearer {token}"}

    hidden = await webapp.http.get("/predictions/a-1", headers=headers)
    made = await webapp.http.put("/predictions/a-1", json=ASKED, headers=headers | ASYNC)

    assert hidden.status_code == 404
    assert (made.status_code, made.json()["id"]) == (202, "a-1")


async def test_a_death_after_the_acceptance_leaves_an_id_that_is_found(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """The id is stored by the very step that stores the job: another process knows it."""
    async with running(environ, token=token) as first:
        made = await first.http.put("/predictions/a-1", json=ASKED, headers=ASYNC)
    async with running(environ, token=token) as second:
        again = await second.http.put("/predictions/a-1", json=ASKED, headers=ASYNC)
        read = await second.http.get("/predictions/a-1")

    assert again.json()["created_at"] == made.json()["created_at"] == read.json()["created_at"]
    assert len((await look()).pictures) == 1


async def test_a_request_in_the_queue_is_a_job(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Its headers become priority and deadline, its status follows the job's."""
    answer = await webapp.http.post(
        "/fal/gw/echo/1",
        json={"image_url": DATA_URL, "camera": 3},
        headers={
            "authorization": f"Key {webapp.token}",
            "x-fal-queue-priority": "low",
            "x-fal-request-timeout": "60",
        },
    )
    queued = schemas.FalQueuedDocument.model_validate(answer.json())
    assert (answer.status_code, queued.queue_position) == (200, 0)
    status = await webapp.http.get(f"{queued.status_url}?logs=1")
    assert (status.status_code, status.json()["status"]) == (202, "IN_QUEUE")
    assert (await webapp.http.get(queued.response_url)).status_code == 400

    job = await end(webapp, redis, keys)

    assert (job.job_id, job.version, job.priority) == (queued.request_id, "1", Priority.LOW)
    assert job.deadline_unix_ms - job.accepted_unix_ms == pytest.approx(60_000, abs=5000)
    status = await webapp.http.get(queued.status_url)
    assert (status.status_code, status.json()["status"]) == (200, "COMPLETED")
    assert schemas.FalStatusDocument.model_validate(status.json()).logs is None
    assert (await webapp.http.get(queued.response_url)).json() == json.loads(RESULT)
    wrong = queued.response_url.replace("/echo/", "/other/")
    assert (await webapp.http.get(wrong)).status_code == 404


async def test_a_request_is_followed_to_its_end(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The stream tells its states and ends with the last."""
    queued = (await webapp.http.post("/fal/gw/echo", json={"image_url": DATA_URL})).json()
    states = []
    async with webapp.http.stream("GET", f"{queued['status_url']}/stream") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                states.append(json.loads(line[6:])["status"])
                if len(states) == 1:
                    await end(webapp, redis, keys)

    assert states == ["IN_QUEUE", "COMPLETED"]


@pytest.mark.parametrize(
    ("to", "code", "expected"),
    [
        (JobState.FAILED, "undecodable_picture", (422, "bad_request")),
        (JobState.FAILED, "model_failed", (500, "internal_error")),
        (JobState.EXPIRED, "deadline_passed", (504, "request_timeout")),
        (JobState.CANCELED, "canceled", (499, "client_cancelled")),
    ],
)
async def test_an_end_without_a_result_is_told_in_each_tongue(
    webapp: Webapp,
    redis: Redis,
    keys: Keyspace,
    to: JobState,
    code: str,
    expected: tuple[int, str],
) -> None:
    """The queue has a status and a type for it, a prediction a word and an error."""
    queued = (await webapp.http.post("/fal/gw/echo", json={"image_url": DATA_URL})).json()
    job = await end(webapp, redis, keys, to, reason_code=code, reason="why")

    result = await webapp.http.get(queued["response_url"])
    told = (await webapp.http.get(queued["status_url"])).json()
    prediction = (await webapp.http.get(f"/predictions/{job.job_id}")).json()

    status, error_type = expected
    assert result.status_code == status
    assert result.json() == {"detail": "why", "error_type": error_type}
    assert result.headers["x-fal-error-type"] == error_type
    assert (told["status"], told["error"]) == ("COMPLETED", "why")
    is_canceled = to is JobState.CANCELED
    assert prediction["status"] == ("canceled" if is_canceled else "failed")
    assert prediction["error"] == (None if is_canceled else "why")


async def test_each_protocol_cancels_what_another_has_made(webapp: Webapp) -> None:
    """A wish to cancel is the same wish everywhere, and so is its coming too late."""
    queued = (await webapp.http.post("/fal/gw/echo", json={"image_url": DATA_URL})).json()
    prediction = (await webapp.http.post("/v1/predictions", json=ASKED)).json()
    job = await webapp.submit()

    by_cog = await webapp.http.post(f"/predictions/{queued['request_id']}/cancel")
    by_fal = await webapp.http.put(f"/fal/x/echo/requests/{job['id']}/cancel")
    by_us = await webapp.http.delete(f"/v1/jobs/{prediction['id']}")

    assert (by_cog.status_code, by_cog.json()["status"]) == (200, "canceled")
    assert (by_fal.status_code, by_fal.json()["status"]) == (202, "CANCELLATION_REQUESTED")
    assert (by_us.status_code, by_us.json()["state"]) == (200, "canceled")
    late = await webapp.http.put(f"/fal/x/echo/requests/{prediction['id']}/cancel")
    assert (late.status_code, late.json()) == (400, {"status": "ALREADY_COMPLETED"})
    none = await webapp.http.put("/fal/x/echo/requests/nothing/cancel")
    assert (none.status_code, none.json()) == (404, {"status": "NOT_FOUND"})
    again = await webapp.http.post(f"/v1/predictions/{job['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "canceled")


async def test_predictions_are_listed_in_pages(webapp: Webapp) -> None:
    """All jobs are in it, however they were made, newest first, and the next page is a URL."""
    ids = [(await webapp.submit())["id"]]
    await webapp.http.put("/predictions/a-1", json=ASKED, headers=ASYNC)
    ids += [(await webapp.submit())["id"] for _ in range(100)]

    page = (await webapp.http.get("/v1/predictions")).json()
    document = schemas.PredictionsDocument.model_validate(page)
    rest = (await webapp.http.get(document.next or "")).json()

    assert [each.id for each in document.results] == ids[:0:-1]
    assert [each["id"] for each in rest["results"]] == ["a-1", ids[0]]
    assert rest["next"] is None


async def test_the_picture_call_gives_the_result_alone(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The model is that of the key; the job is named in a header."""
    key = {"tenant": "acme", "default_model": "echo:1"}
    made = (await webapp.http.post("/v1/keys", json=key)).json()
    assert made["default_model"] == "echo:1"
    headers = {"authorization": f"Bearer {made['token']}"}
    calling = asyncio.ensure_future(
        webapp.http.post("/aip", json={"image": BASE64}, headers=headers)
    )
    job = await end(webapp, redis, keys)
    answer = await calling

    assert (answer.status_code, answer.text, job.version) == (200, RESULT, "1")
    assert answer.headers["location"] == f"/v1/jobs/{job.job_id}"


async def test_a_call_that_waits_is_told_why_there_is_no_result(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """A failed job is the answer's problem, with the job's reason."""
    for path, status in (("/aip?model=echo", 422), ("/fal-run/gw/echo", 500)):
        body = {"image": BASE64 if "aip" in path else DATA_URL}
        calling = asyncio.ensure_future(webapp.http.post(path, json=body))
        job = await end(webapp, redis, keys, JobState.FAILED, reason_code="x", reason="why")
        answer = await calling
        assert (answer.status_code, "why" in answer.text) == (status, True)
        await webapp.http.delete(f"/v1/jobs/{job.job_id}/record")


async def test_a_call_waits_so_long_and_no_longer(
    environ: dict[str, str], token: str, redis: Redis, keys: Keyspace
) -> None:
    """504, and the job has a deadline: nobody would ask for its result."""
    async with running(environ | {"GW_WAIT_MAX_S": "1"}, token=token) as webapp:
        aip = await webapp.http.post("/aip?model=echo", json={"image": BASE64})
        run = await webapp.http.post("/fal-run/gw/echo", json={"image_url": DATA_URL})
        cog = await webapp.http.post("/predictions", json=ASKED)

        assert (aip.status_code, aip.json()["code"]) == (504, "result_late")
        assert (await record(webapp, aip.headers["location"][9:])).deadline_unix_ms > 0
    assert (run.status_code, run.json()["error_type"]) == (504, "request_timeout")
    assert run.headers["x-fal-request-timeout-type"] == "user"
    assert (cog.status_code, cog.json()["status"]) == (202, "starting")


async def test_a_webhook_is_signed_with_the_tenants_secret(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The secret is made once, is the tenant's own, and takes the scope to manage webhooks."""
    hook = "https://example.com/hook?x=1"
    one = await webapp.http.post("/v1/predictions", json=ASKED | {"webhook": hook})
    two = await webapp.http.post(
        "/fal/gw/echo", params={"fal_webhook": hook}, json={"image_url": DATA_URL}
    )
    answer = await webapp.http.get("/v1/webhooks/default/secret")
    secret = answer.json()["key"]

    for made in (one.json()["id"], two.json()["request_id"]):
        (subscriber,) = (await record(webapp, made)).subscribers
        assert (subscriber.url, subscriber.secret) == (hook, secret)
    assert answer.headers["cache-control"] == "no-store"
    client = await add_key(redis, keys, tenant="acme", scopes=[Scope.SUBMIT, Scope.READ_ALL])
    other = await add_key(redis, keys, tenant="other")
    refused, others = [
        await webapp.http.get(
            "/v1/webhooks/default/secret", headers={"authorization": f"Bearer {each}"}
        )
        for each in (client, other)
    ]
    assert refused.status_code == 403
    assert others.json()["key"] != secret


BAD_PREDICTIONS: Sequence[tuple[dict[str, Any], str]] = (
    ({}, "input"),
    ({"input": "x"}, "input"),
    ({"input": {}}, "input.image"),
    ({"input": {"image": 3}}, "input.image"),
    ({"input": {"image": "file:///etc/passwd"}}, "input.image"),
    ({"input": {"image": "data:image/png,abc"}}, "input.image"),
    ({"input": {"image": "data:image/png;base64,***"}}, "input.image"),
    ({"input": {"image": "data:image/png;base64,"}}, "input.image"),
    ({"version": "echo", "input": {"image": "data:image/png;base64,AAAA"}}, "input.image"),
    ({"version": "echo", "input": INPUT | {"note": "x" * 17_000}}, "input"),
    ({"input": INPUT, "versoin": "echo"}, "versoin"),
    ({"input": INPUT, "version": 2}, "version"),
    ({"input": INPUT, "version": "2"}, "version"),
    ({"input": INPUT, "version": "a/b/c"}, "version"),
    ({"input": INPUT, "version": "echo:"}, "version"),
    ({"input": INPUT, "version": "echo", "model": "echo"}, "version"),
    (ASKED | {"id": 7}, "id"),
    (ASKED | {"id": "job_x"}, "id"),
    (ASKED | {"id": "a b"}, "id"),
    (ASKED | {"webhook": "ftp://example.com"}, "webhook"),
    (ASKED | {"webhook": "http://169.254.169.254/"}, "webhook"),
    (ASKED | {"webhook": 5}, "webhook"),
    (ASKED | {"webhook_events_filter": ["end"]}, "webhook_events_filter"),
    (ASKED | {"webhook_events_filter": "completed"}, "webhook_events_filter"),
    (ASKED | {"webhook_events_filter": ["start"]}, "webhook_events_filter"),
)


async def test_a_bad_prediction_is_refused_and_changes_nothing(webapp: Webapp, look: Look) -> None:
    """Cog's paths say it as a list and Replicate's as a problem; both name what is wrong."""
    before = await look()

    for body, field in BAD_PREDICTIONS:
        cog = await webapp.http.post("/predictions?model=", json=body)
        replicate = await webapp.http.post("/v1/predictions", json=body)

        assert cog.status_code == 422, body
        (fault,) = schemas.CogFaultsDocument.model_validate(cog.json()).detail
        assert ".".join(fault.loc) == f"body.{field}", body
        assert replicate.status_code in (400, 422), body
        assert replicate.json()["field"] == field, body
    assert await look() == before


BAD_REQUESTS: Sequence[tuple[dict[str, str], dict[str, Any]]] = (
    ({}, {}),
    ({}, {"image_url": DATA_URL, "image": DATA_URL}),
    ({}, {"image_url": ["x"]}),
    ({"x-fal-queue-priority": "high"}, {"image_url": DATA_URL}),
    ({"x-fal-request-timeout": "soon"}, {"image_url": DATA_URL}),
    ({"x-fal-request-timeout": "nan"}, {"image_url": DATA_URL}),
    ({"x-fal-request-timeout": "-1"}, {"image_url": DATA_URL}),
)


async def test_a_bad_request_for_the_queue_is_refused_and_changes_nothing(
    webapp: Webapp, look: Look
) -> None:
    """In fal's own form."""
    before = await look()

    for headers, body in BAD_REQUESTS:
        answer = await webapp.http.post("/fal/gw/echo", json=body, headers=headers)

        assert answer.status_code == 400, (headers, body)
        assert schemas.FalErrorDocument.model_validate(answer.json()).error_type == "bad_request"
    assert await look() == before


BAD_CALLS: Sequence[tuple[str, dict[str, Any], int, str]] = (
    ("/aip", {"image": BASE64}, 400, "model"),
    ("/aip?model=none", {"image": BASE64}, 404, "model"),
    ("/aip?model=echo&version=9", {"image": BASE64}, 404, "version"),
    ("/aip?model=broken", {"image": BASE64}, 503, "model"),
    ("/aip?model=echo", {}, 400, "image"),
    ("/aip?model=echo", {"image": "***"}, 400, "image"),
    ("/aip?model=echo", {"image": "AAAA"}, 422, "picture"),
    ("/aip?model=echo", {"image": BASE64, "picture": BASE64}, 400, "picture"),
    ("/aip?modle=echo", {"image": BASE64}, 400, "modle"),
    ("/v1/predictions", {"version": "none", "input": INPUT}, 404, "model"),
    ("/v1/models/gw/echo:9/predictions", {"input": INPUT}, 404, "version"),
)


async def test_a_bad_call_is_a_problem_that_names_its_field(webapp: Webapp, look: Look) -> None:
    """And nothing is accepted."""
    before = await look()

    for path, body, status, field in BAD_CALLS:
        answer = await webapp.http.post(path, json=body)

        assert (answer.status_code, answer.json().get("field")) == (status, field), (path, body)
    assert await look() == before


async def test_every_place_is_held_to_the_same_rules(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """No key, a key without the scope, a wrong body, or a spent limit: nothing is accepted."""
    reader = await add_key(redis, keys, tenant="acme", scopes=[Scope.READ_OWN])
    poor = await add_key(redis, keys, tenant="poor")
    await TenantStore(redis, keys).add(Tenant(tenant="poor", bytes_max=1))
    before = await look()

    for path, body in PLACES:

        async def status(path: str = path, **request: Any) -> int:
            return (await webapp.http.post(path, **request)).status_code

        assert await status(json=body, headers={"authorization": ""}) == 401, path
        assert await status(json=body, headers={"authorization": f"Bearer {reader}"}) == 403, path
        assert await status(json=body, headers={"authorization": f"Bearer {poor}"}) == 429, path
        assert await status(json=body, headers={"content-encoding": "gzip"}) == 415, path
        assert await status(content=b"x", headers={"content-type": "text/plain"}) == 415, path
        json_type = {"content-type": "application/json"}
        assert await status(content=b"{", headers=json_type) in (400, 422), path
    assert await look() == before


async def test_a_stream_of_output_cannot_be_had(webapp: Webapp) -> None:
    """406 for whoever accepts nothing else."""
    answer = await webapp.http.post(
        "/predictions", json=ASKED, headers={"accept": "text/event-stream"}
    )

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


async def test_models_are_read_as_replicate_describes_them(webapp: Webapp) -> None:
    """The owner says nothing; a version is named with its model."""
    model = (await webapp.http.get("/v1/models/gw/echo")).json()
    versions = (await webapp.http.get("/v1/models/any/echo/versions")).json()
    schemas.ReplicateModelDocument.model_validate(model)
    schemas.ReplicateVersionsDocument.model_validate(versions)

    assert [each["id"] for each in versions["results"]] == ["echo:2", "echo:1"]
    for version in ("1", "echo:1"):
        answer = await webapp.http.get(f"/v1/models/gw/echo/versions/{version}")
        assert answer.json()["id"] == "echo:1"
    for path in ("gw/none", "gw/echo/versions/9", "gw/echo/versions/other:1"):
        assert (await webapp.http.get(f"/v1/models/{path}")).status_code == 404
    files = await webapp.http.post("/v1/files", files={"content": b"x"})
    assert (files.status_code, "data URL" in files.json()["detail"]) == (415, True)


async def test_health_says_whether_predictions_would_be_made(webapp: Webapp) -> None:
    """Without a key, always 200, with the reason where they would not."""

    async def document() -> dict[str, Any] | None:
        answer = await webapp.http.get("/health-check", headers={"authorization": ""})
        found: dict[str, Any] = answer.json()
        assert answer.status_code == 200
        return found if found["status"] != "STARTING" else None

    found = await wait_until(document)

    assert found is not None
    assert schemas.CogHealthDocument.model_validate(found).status == "UNHEALTHY"
    assert found["user_healthcheck_error"] == "no dispatcher is running"
