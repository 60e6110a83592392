"""Jobs as the command line shows them, against a scripted API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gw.asking import Refused, ask
from gw.jobs_remote import lines_of, list_jobs, path_of, row_of, show_job
from pipeline.errors import Unavailable
from pipeline.jobs.job import JobState
from pipeline.models.tensors import TensorFacts
from tests.builders import make_job
from webapp.presentation import job_document


def document(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Make a job's document, as the API writes it."""
    made: dict[str, Any] = job_document(make_job(job_id=f"job_{number}", **changes))
    return made


def client_of(handle: Any) -> httpx.Client:
    """Give a client of an API that answers with *handle*."""
    return httpx.Client(base_url="http://gw", transport=httpx.MockTransport(handle))


def test_a_list_is_read_page_by_page() -> None:
    """As many as wanted, with the filters on every page."""
    asked: list[dict[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        first = int(asked[-1].get("cursor", "0"))
        count = min(int(asked[-1]["limit"]), 200)
        jobs = [document(first + number) for number in range(count)]
        return httpx.Response(200, json={"jobs": jobs, "next": str(first + count)})

    jobs = list(list_jobs(client_of(handle), {"state": "failed"}, limit=250))

    assert [job["id"] for job in jobs] == [f"job_{number}" for number in range(250)]
    assert asked == [
        {"state": "failed", "limit": "200"},
        {"state": "failed", "limit": "50", "cursor": "200"},
    ]


def test_a_short_page_is_not_the_last() -> None:
    """An empty one neither, while there is a cursor."""
    pages = [{"jobs": [], "next": "a"}, {"jobs": [document()], "next": None}]
    answers = iter(pages)

    jobs = list(
        list_jobs(client_of(lambda _: httpx.Response(200, json=next(answers))), {}, limit=9)
    )

    assert [job["id"] for job in jobs] == ["job_0"]


def test_a_shown_job_has_its_result_and_deliveries() -> None:
    """Of one that has no result none is asked for."""
    delivery = {
        "state": "delivered",
        "subscriber": {"endpoint": None, "url": "http://a/"},
        "attempts": [{}],
    }

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/deliveries"):
            return httpx.Response(200, json={"deliveries": [delivery]})
        if request.url.path.endswith("/result"):
            return httpx.Response(200, json={"counts": {"total": 1, "by_label": {"cat": 1}}})
        return httpx.Response(200, json=document(state=JobState.SUCCEEDED, metadata={"a": "猫"}))

    lines = dict(lines_of(show_job(client_of(handle), "job_0")))

    assert (lines["found"], lines["told"]) == ("1: 1 cat", "http://a/: delivered, 1 attempts")
    assert lines["metadata"] == '{"a": "猫"}'


def test_a_row_says_why_a_job_has_no_result() -> None:
    """In the API's own words."""
    job = document(state=JobState.FAILED, reason_code="x", reason="It crashed.", reference="r")

    assert row_of(job)[1:4] == ("failed", "echo", "1")
    assert row_of(job)[-2:] == ("r", "It crashed.")


def test_a_refusal_is_told_in_the_apis_words() -> None:
    """And an API that does not answer is told as such."""
    problem = {"detail": "The job has ended as failed; it cannot be canceled any more."}

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(Refused, match="cannot be canceled"):
        ask(client_of(lambda _: httpx.Response(409, json=problem)), "DELETE", path_of("job_0"))
    with pytest.raises(Unavailable, match="no route"):
        ask(client_of(away), "GET", "/v1/jobs")


def test_whatever_is_typed_names_a_job_and_no_other_path() -> None:
    """A slash does not lead elsewhere."""
    assert path_of("../keys?x") == "/v1/jobs/..%2Fkeys%3Fx"


def test_a_job_with_a_tensor_is_shown_too() -> None:
    """It has no picture to describe."""
    tensor = TensorFacts(name="x", datatype="FP32", shape=(3, 8, 8))
    assert ("tensor", "FP32 [3, 8, 8]") in lines_of(
        document(tensor=tensor) | {"result": None, "deliveries": []}
    )
