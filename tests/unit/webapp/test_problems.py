"""Errors as HTTP answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from egress import fetch
from pipeline import errors
from pipeline.errors import (
    AccessDenied,
    GwError,
    InvalidRequest,
    JobFault,
    MalformedMessage,
    Overloaded,
    Unavailable,
)
from webapp import refusals
from webapp.problems import plain_problem, problem_of, status_of
from webapp.refusals import NoResult, ResultNotReady, UnknownModel


def all_below(kind: type[GwError]) -> Iterator[type[GwError]]:
    """Give a class and all its descendants."""
    yield kind
    for child in kind.__subclasses__():
        yield from all_below(child)


def test_every_callers_error_is_a_4xx() -> None:
    """Whatever is the caller's doing is told as such, in every package that webapp loads."""
    for kind in all_below(errors.CallerError):
        assert 400 <= status_of(kind.__new__(kind)) < 500, kind


@pytest.mark.parametrize("kind", [*all_below(errors.ContractBroken), *all_below(JobFault), GwError])
def test_every_defect_is_a_500(kind: type[GwError]) -> None:
    """What is our own fault is never blamed on the caller."""
    assert status_of(kind.__new__(kind)) == 500


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("x"), 400),
        (AccessDenied("x"), 401),
        (UnknownModel("x", known=()), 404),
        (refusals.UploadTimedOut(5), 408),
        (ResultNotReady("queued"), 409),
        (NoResult("failed", reason_code="a", reason="b"), 410),
        (refusals.BodyTooLarge(5), 413),
        (refusals.UnsupportedContent("x"), 415),
        (refusals.RefusedPicture("x", field="picture"), 422),
        (refusals.RefusedTarget("x", field="picture_url"), 422),
        (fetch.FetchTimedOut("x"), 422),
        (Overloaded("x", retry_after_s=3), 429),
        (refusals.ModelNotReady("x", "y"), 503),
        (Unavailable("x"), 503),
    ],
)
def test_an_error_has_the_status_of_its_nearest_class(error: GwError, status: int) -> None:
    """The table is asked along the line of descent."""
    problem = problem_of(error)

    assert (status_of(error), problem.status) == (status, status)


def test_a_problem_document_is_complete() -> None:
    """It has every member of RFC 9457 that applies, and ours."""
    problem = problem_of(UnknownModel("ehco", known=("echo",)))

    assert json.loads(problem.to_json_bytes()) == {
        "type": "/problems/unknown_model",
        "title": "Unknown model",
        "status": 404,
        "detail": "There is no model 'ehco'.",
        "code": "unknown_model",
        "field": "model",
        "allowed": ["echo"],
    }


def test_a_problem_tells_when_to_try_again() -> None:
    """Whatever can succeed later says when."""
    assert problem_of(Overloaded("x", retry_after_s=7)).headers == {"Retry-After": "7"}
    assert problem_of(Unavailable("x")).headers == {"Retry-After": "5"}
    assert problem_of(ResultNotReady("running")).headers == {"Retry-After": "1"}
    assert problem_of(InvalidRequest("x")).headers == {}


def test_a_missing_key_is_asked_for() -> None:
    """A 401 names its scheme, as RFC 9110 demands."""
    assert problem_of(AccessDenied("x")).headers["WWW-Authenticate"].startswith("Bearer")


def test_a_job_without_a_result_gives_its_reason() -> None:
    """The problem carries the job's state and the job's own reason."""
    error = NoResult("failed", reason_code="model_failed", reason="It crashed.")

    document = json.loads(problem_of(error).to_json_bytes())

    assert document["state"] == "failed"
    assert document["reason"] == {"code": "model_failed", "detail": "It crashed."}


def test_a_defect_says_nothing_of_its_inside() -> None:
    """What broke is for the log, not for the caller."""
    problem = problem_of(MalformedMessage("job record job_x: KeyError('secret')"))

    text = problem.to_json_bytes().decode()
    assert problem.status == 500
    assert "secret" not in text
    assert "job_x" not in text


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [("it is away", "It is away."), ("Why?", "Why?"), ("It is.", "It is."), ("", ".")],
)
def test_details_are_sentences(sentence: str, shown: str) -> None:
    """Errors of other packages begin in lower case and end without a full stop."""
    assert problem_of(InvalidRequest(sentence)).detail == shown


def test_a_status_can_stand_for_itself() -> None:
    """Routes that do not exist have a code too."""
    problem = plain_problem(405, headers={"Allow": "GET"})

    assert (problem.code, problem.headers) == ("method_not_allowed", {"Allow": "GET"})
