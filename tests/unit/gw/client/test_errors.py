"""Problems as errors, held to what the server can answer."""

from __future__ import annotations

import json

import pytest

from egress import fetch
from gw.client import errors
from gw.client.documents import ENDED_BATCH_STATES, ENDED_STATES
from gw.client.wire import Answer
from pipeline.batches.batch import BatchState
from pipeline.errors import GwError
from pipeline.jobs.job import JobState
from webapp import refusals
from webapp.problems import CODE_OF_STATUS, status_of


def kinds(kind: type[GwError]) -> set[type[GwError]]:
    """Give a class and all below it."""
    return {kind}.union(*(kinds(each) for each in kind.__subclasses__()))


SERVERS = sorted(
    (each for each in kinds(GwError) if each.__module__ == refusals.__name__),
    key=lambda each: each.__name__,
)


def problem(status: int, code: str, **more: object) -> errors.ProblemError:
    """Give the error of a problem."""
    body = json.dumps({"detail": "No.", "code": code, **more}).encode()
    return errors.problem_of(Answer(status=status, body=body))


@pytest.mark.parametrize("kind", SERVERS)
def test_every_refusal_has_an_error_of_its_status(kind: type[GwError]) -> None:
    """What the server can refuse is told apart here."""
    status = status_of(kind.__new__(kind))
    error = problem(status, kind.code)

    if kind.code in errors.CLASS_OF_CODE:
        assert type(error) is errors.CLASS_OF_CODE[kind.code]
    elif status in errors.CLASS_OF_STATUS:
        assert type(error) is errors.CLASS_OF_STATUS[status]
    else:
        assert type(error) in (errors.ServerFault, errors.ProblemError)


def test_every_code_belongs_to_a_refusal() -> None:
    """None is left over from an older server."""
    codes = {each.code for each in kinds(GwError)}

    assert set(errors.CLASS_OF_CODE) <= codes


def test_a_fetch_that_failed_is_one_whatever_the_way() -> None:
    """Its code says which way."""
    assert fetch.FetchFailed.code.startswith("fetch_")
    assert type(problem(422, "fetch_timed_out")) is errors.FetchFailed


def test_a_strangers_answer_is_an_error_too() -> None:
    """By its status."""
    for status in CODE_OF_STATUS:
        assert isinstance(problem(status, "new_word"), errors.ProblemError)
    page = errors.problem_of(Answer(status=502, body=b"<html>"))
    assert (type(page), str(page), page.code) == (
        errors.ServerFault,
        "the API answered 502",
        "",
    )
    assert type(problem(418, "teapot")) is errors.ProblemError
    assert type(problem(500, "internal_error")) is errors.ServerFault


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), (" 7 ", 7.0), ("-1", None), ("soon", None), ("²", None)]
)
def test_a_pause_that_makes_sense_is_kept_to(text: str, seconds: float | None) -> None:
    """Any other is as good as none."""
    answer = Answer(status=429, headers={"retry-after": text})

    assert errors.problem_of(answer).retry_after_s == seconds


def test_ended_states_are_the_servers() -> None:
    """Jobs' and batches'."""
    assert {state for state in JobState if state.is_terminal} == ENDED_STATES
    assert {state for state in BatchState if state.is_terminal} == ENDED_BATCH_STATES
