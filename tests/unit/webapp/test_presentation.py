"""Records as documents."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.jobs.job import JobState
from pipeline.models.tensors import TensorFacts
from tests.builders import make_job, make_subscriber
from webapp import schemas
from webapp.presentation import (
    delivery_document,
    job_document,
    job_json,
    jobs_json,
    moment,
    public_url,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_jobs_document_has_the_documented_shape() -> None:
    """What OpenAPI promises is what is written, for a fresh job and for one that has ended."""
    fresh = make_job(job_id="job_1", accepted_unix_ms=1_700_000_000_123)
    failed = make_job(
        state=JobState.FAILED,
        reference="订单",
        metadata={"a": [1]},
        deadline_unix_ms=1_700_000_009_000,
        started_unix_ms=1_700_000_001_000,
        finished_unix_ms=1_700_000_002_000,
        reason_code="model_failed",
        reason="It crashed.",
    )

    assert job_document(fresh) == {
        "id": "job_1",
        "state": "queued",
        "model": "echo",
        "version": "1",
        "priority": "normal",
        "reference": None,
        "metadata": {},
        "accepted_at": "2023-11-14T22:13:20.123Z",
        "started_at": None,
        "finished_at": None,
        "deadline": None,
        "picture": {"format": "jpeg", "width": 640, "height": 480, "bytes": 1000},
        "tensor": None,
        "reason": None,
        "links": {
            "self": "/v1/jobs/job_1",
            "result": "/v1/jobs/job_1/result",
            "deliveries": "/v1/jobs/job_1/deliveries",
            "events": "/v1/jobs/job_1/events",
            "picture": None,
            "preview": None,
            "outputs": None,
        },
    }
    document = schemas.JobDocument.model_validate_json(job_json(failed))
    assert document.reason == schemas.Reason(code="model_failed", detail="It crashed.")
    assert (document.reference, document.metadata) == ("订单", {"a": [1]})


def test_a_tensor_stands_in_the_pictures_place() -> None:
    """A job that was given a tensor has no picture, and says where its outputs are."""
    tensor = TensorFacts(name="x", datatype="FP32", shape=(3, 2))
    job = make_job(job_id="job_1", tensor=tensor, raw_outputs=True)

    document = schemas.JobDocument.model_validate_json(job_json(job))

    assert document.picture is None
    assert document.tensor == schemas.Tensor(name="x", datatype="FP32", shape=[3, 2], bytes=24)
    assert document.links.outputs == "/v1/jobs/job_1/outputs"


def test_a_jobs_document_never_has_its_webhook() -> None:
    """Neither secret nor URL comes back with a job."""
    text = job_json(make_job(subscribers=(make_subscriber(secret=SECRET, url="http://a/?t=1"),)))

    assert SECRET not in text
    assert "http://a" not in text


def test_a_result_is_spliced_in_as_it_was_stored() -> None:
    """Not a byte of it changes, and it is null where there is none."""
    done = make_job(state=JobState.SUCCEEDED, result='{"labels":["猫"], "n": 1.50}')
    failed = make_job(state=JobState.FAILED, reason_code="x", reason="y")

    text = job_json(done, with_result=True)

    assert text.endswith('"result":{"labels":["猫"], "n": 1.50}}')
    schemas.FinishedJobDocument.model_validate_json(text)
    assert json.loads(job_json(failed, with_result=True))["result"] is None


def test_one_job_stands_alone_and_several_in_a_list() -> None:
    """The shape follows the number of pictures."""
    first, second = make_job(), make_job()

    assert json.loads(jobs_json([first]))["id"] == first.job_id
    jobs = json.loads(jobs_json([first, second]))["jobs"]
    assert [job["id"] for job in jobs] == [first.job_id, second.job_id]


def test_a_delivery_shows_its_attempts() -> None:
    """Each with what came of it, and the subscriber without its query."""
    subscriber = make_subscriber(
        delivery_id="msg_1", url="https://u:p@example.com:8443/h?token=1#f"
    )
    delivery = Delivery(
        delivery_id="msg_1", job_id="job_1", url=subscriber.url, due_unix_ms=1_700_000_005_000
    )
    attempts = [
        Attempt(number=1, at_unix_ms=1_700_000_000_000, duration_ms=12, error="connect"),
        Attempt(number=2, at_unix_ms=1_700_000_001_000, duration_ms=9, status=500, answer="oops"),
    ]

    document = delivery_document(subscriber, delivery, attempts)

    assert document == {
        "id": "msg_1",
        "state": "pending",
        "subscriber": {"endpoint": None, "url": "https://example.com:8443/h"},
        "due": "2023-11-14T22:13:25.000Z",
        "attempts": [
            {
                "number": 1,
                "at": "2023-11-14T22:13:20.000Z",
                "duration_ms": 12,
                "status": None,
                "error": "connect",
                "answer": None,
            },
            {
                "number": 2,
                "at": "2023-11-14T22:13:21.000Z",
                "duration_ms": 9,
                "status": 500,
                "error": None,
                "answer": "oops",
            },
        ],
    }
    schemas.DeliveryDocument.model_validate(document)


def test_a_delivery_before_the_jobs_end_is_pending() -> None:
    """It has its id already, and no record yet."""
    subscriber = make_subscriber(endpoint_id="ep_1", url="", secret="")

    document = delivery_document(subscriber, None, ())

    assert (document["state"], document["due"], document["attempts"]) == ("pending", None, [])
    assert document["subscriber"] == {"endpoint": "ep_1", "url": None}


def test_a_settled_delivery_is_not_due() -> None:
    """Whatever its record still says."""
    subscriber = make_subscriber()
    delivery = Delivery(
        delivery_id=subscriber.delivery_id,
        job_id="job_1",
        state=DeliveryState.EXHAUSTED,
        due_unix_ms=5,
    )

    assert delivery_document(subscriber, delivery, ())["due"] is None


def test_a_public_url_has_no_secret_part() -> None:
    """User-info, query and fragment are gone, the rest stays."""
    assert public_url("https://u:p@[::1]:9/a/b;c?d=e#f") == "https://[::1]:9/a/b;c"
    assert public_url("") == ""


@given(st.integers(min_value=1, max_value=4_000_000_000_000))
def test_a_moment_is_exact_to_the_millisecond(unix_ms: int) -> None:
    """No rounding moves it, however far it is."""
    text = moment(unix_ms)

    assert text is not None
    assert text.endswith(f".{unix_ms % 1000:03d}Z")
    assert moment(0) is None
