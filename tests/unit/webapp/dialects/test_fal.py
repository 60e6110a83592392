"""Requests for the queue: keys, headers, and how errors are named."""

from __future__ import annotations

import pytest

from webapp.dialects.fal import bearer_of, error_type_of, parse_wanted, status_of
from webapp.problems import Problem

BODY = {"image_url": "https://example.com/a.jpg", "camera": 3}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("Key gw_1", "Bearer gw_1"),
        ("key  gw_1", "Bearer gw_1"),
        ("Bearer gw_1", "Bearer gw_1"),
        ("Key", "Key"),
        ("", ""),
    ],
)
def test_a_key_is_a_bearer_token(given: str, read: str) -> None:
    """Anything else is left to be refused."""
    assert bearer_of(given) == read


def test_headers_become_fields() -> None:
    """What the body says besides the picture is kept with the job."""
    headers = {"x-fal-queue-priority": "LOW", "x-fal-request-timeout": "2.5"}

    wanted = parse_wanted(BODY, headers, max_bytes=9)

    assert wanted.to_fields() == {
        "priority": "low",
        "deadline_s": 2.5,
        "metadata": {"camera": 3},
    }
    assert "deadline_s" not in parse_wanted(BODY, {}, max_bytes=9).to_fields()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (429, "deadline_unreachable", (504, "request_timeout")),
        (429, "rate_limited", (429, "bad_request")),
        (503, "model_not_ready", (503, "runner_scheduling_failure")),
        (500, "internal_error", (500, "internal_error")),
        (404, "unknown_model", (404, "bad_request")),
    ],
)
def test_errors_have_names_there(status: int, code: str, said: tuple[int, str]) -> None:
    """What clients would repeat by themselves is only what may succeed later."""
    problem = Problem(status=status, code=code, detail="x")

    assert (status_of(problem), error_type_of(problem)) == said
