"""Reading jobs, results, deliveries and models."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from pipeline.deliveries.delivery import Attempt, DeliveryState
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import NOTIFIER_GROUP, Keyspace
from pipeline.streams import StreamReader
from tests.builders import make_id
from tests.integration.webapp.running import Webapp, add_key, finish
from webapp import model_schemas, schemas

RESULT = '{"labels": ["猫"], "score": 0.50}'
WEBHOOK = (
    '{"url": "https://example.com/h?token=1", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}'
)


async def test_a_job_can_be_read(webapp: Webapp) -> None:
    """It reads as it was answered."""
    job = await webapp.submit(reference="gate-3")

    answer = await webapp.http.get(f"/v1/jobs/{job['id']}")

    assert (answer.status_code, answer.json()) == (200, job)


async def test_a_job_that_is_not_there_is_not_found(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Unknown, malformed and somebody else's look the same, on every route."""
    job = await webapp.submit()
    stranger = await add_key(redis, keys, tenant="other")
    own = f"Bearer {webapp.token}"
    cases = [
        (make_id(), own),
        ("job_x", own),
        ("..%2Fcounts", own),
        ("%00", own),
        (job["id"].upper(), own),
        (job["id"], f"Bearer {stranger}"),
    ]

    answers = [
        await webapp.http.get(f"/v1/jobs/{job_id}{rest}", headers={"authorization": key})
        for job_id, key in cases
        for rest in ("", "/result", "/deliveries")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"not_found"}


async def test_a_result_is_given_as_it_was_stored(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Byte for byte."""
    job = await webapp.submit()
    await finish(JobStore(redis, keys), job["id"], to=JobState.SUCCEEDED, result=RESULT)

    answer = await webapp.http.get(f"/v1/jobs/{job['id']}/result")

    assert (answer.status_code, answer.text) == (200, RESULT)
    assert answer.headers["content-type"] == "application/json"
    document = (await webapp.http.get(f"/v1/jobs/{job['id']}")).json()
    assert (document["state"], document["reason"]) == ("succeeded", None)
    assert document["finished_at"] is not None


async def test_a_result_that_is_not_there_yet_may_be_asked_for_later(webapp: Webapp) -> None:
    """409 with the state, and when to come back."""
    job = await webapp.submit()

    answer = await webapp.http.get(f"/v1/jobs/{job['id']}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "result_not_ready")
    assert answer.json()["state"] == "queued"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELED, JobState.EXPIRED])
async def test_a_job_that_ended_without_a_result_says_why(
    webapp: Webapp, redis: Redis, keys: Keyspace, state: JobState
) -> None:
    """410: asking again will not help."""
    job = await webapp.submit()
    await finish(
        JobStore(redis, keys), job["id"], to=state, reason_code="model_failed", reason="It crashed."
    )

    answer = await webapp.http.get(f"/v1/jobs/{job['id']}/result")

    assert (answer.status_code, answer.json()["code"]) == (410, "no_result")
    assert answer.json()["state"] == state
    assert answer.json()["reason"] == {"code": "model_failed", "detail": "It crashed."}


async def test_deliveries_show_what_was_tried(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """Before the job's end one waits; afterwards its attempts are listed."""
    job = await webapp.submit()
    assert (await webapp.http.get(f"/v1/jobs/{job['id']}/deliveries")).json() == {"deliveries": []}
    job = (await webapp.post(headers={"gw-webhook": WEBHOOK})).json()
    path = f"/v1/jobs/{job['id']}/deliveries"
    ((waiting),) = (await webapp.http.get(path)).json()["deliveries"]

    await finish(JobStore(redis, keys), job["id"], to=JobState.SUCCEEDED, result=RESULT)
    await record_attempt(redis, keys, waiting["id"])
    answer = await webapp.http.get(path)

    assert (waiting["state"], waiting["attempts"]) == ("pending", [])
    (delivery,) = schemas.DeliveriesDocument.model_validate(answer.json()).deliveries
    assert (delivery.id, delivery.state) == (waiting["id"], DeliveryState.PENDING)
    assert delivery.subscriber.url == "https://example.com/h"
    assert delivery.due == "2030-01-01T00:00:00.000Z"
    (attempt,) = delivery.attempts
    assert (attempt.number, attempt.status, attempt.answer) == (1, 500, "oops")
    assert "whsec" not in answer.text
    assert "token" not in answer.text


async def test_models_are_listed(webapp: Webapp) -> None:
    """Those that run and those that do not, with the reason."""
    answer = await webapp.http.get("/v1/models")

    broken, echo = model_schemas.ModelsDocument.model_validate(answer.json()).models
    assert (echo.name, echo.state, echo.versions) == ("echo", "ready", ["2", "1"])
    assert echo.labels == ["cat", "dog"]
    assert (broken.state, broken.reason) == ("refused", "it was built for another device")


async def test_a_model_can_be_read(webapp: Webapp) -> None:
    """By its name, or it is not found."""
    answer = await webapp.http.get("/v1/models/echo")
    missing = await webapp.http.get("/v1/models/nobody")

    assert model_schemas.ModelDocument.model_validate(answer.json()).name == "echo"
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


async def record_attempt(redis: Redis, keys: Keyspace, delivery_id: str) -> None:
    """Record a failed attempt, as the notifier would."""
    reader = StreamReader(redis, keys, group=NOTIFIER_GROUP, consumer="test", lease_ms=5000)
    await reader.ensure_groups([keys.deliveries])
    (entry,) = await reader.claim([keys.deliveries], count=1, block_ms=0)
    attempt = Attempt(number=1, at_unix_ms=5, duration_ms=7, status=500, answer="oops")
    settlement = Settlement(
        delivery_id=delivery_id,
        job_id="job_1",
        entry=entry,
        state=DeliveryState.PENDING,
        attempt=attempt,
        due_unix_ms=1_893_456_000_000,
    )
    assert await DeliveryStore(redis, keys).settle([settlement], now_unix_ms=0) == [True]
