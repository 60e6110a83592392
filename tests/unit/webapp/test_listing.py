"""Which jobs a list asks for."""

from __future__ import annotations

import pytest

from pipeline.errors import InvalidRequest
from pipeline.ids import first_id, new_id
from pipeline.jobs.index import Span
from pipeline.jobs.job import JobState
from tests.builders import make_job
from webapp.listing import Wanted, has_label
from webapp.paging import PAGE_DEFAULT

RESULT = '{"counts":{"total":2,"by_label":{"猫":1,"a\\"b":1},"by_region":{}},"note":"dog"}'


def test_nothing_asked_for_is_everything() -> None:
    """Any job, the newest page of the usual size."""
    wanted = Wanted.parse(b"")

    assert wanted.matches(make_job())
    assert (wanted.limit, wanted.span) == (PAGE_DEFAULT, Span())


def test_every_filter_counts() -> None:
    """A job has to be what each of them asks for."""
    wanted = Wanted.parse(b"state=succeeded,failed&model=echo&reference=a%20b&label=%E7%8C%AB")
    good = {"state": JobState.SUCCEEDED, "reference": "a b", "result": RESULT}

    assert wanted.matches(make_job(**good))
    for change in (
        {"state": JobState.QUEUED},
        {"model": "other"},
        {"reference": "a"},
        {"result": "{}"},
    ):
        assert not wanted.matches(make_job(**(good | change)))


@pytest.mark.parametrize(
    ("label", "found"), [("猫", True), ('a"b', True), ("dog", False), ("", False), ("total", False)]
)
def test_a_label_is_looked_for_among_the_counts(label: str, found: bool) -> None:
    """Not anywhere in the text."""
    assert has_label(RESULT, label) is found


@pytest.mark.parametrize("result", ["", "null", "[]", '{"counts":3}', '{"counts":{"by_label":0}}'])
def test_a_result_of_another_shape_found_nothing(result: str) -> None:
    """A record of an older version stops no list."""
    assert not has_label(result, "猫")


def test_moments_bound_the_ids() -> None:
    """The first is included and the last is not, to the millisecond."""
    span = Wanted.parse(
        b"accepted_from=2030-01-01T00:00:00Z&accepted_until=2030-01-01T01:00:00+01:00"
    ).span
    at_ms = 1_893_456_000_000

    assert span.lower == f"[{first_id('job', at_ms)}"
    assert span.upper == f"({first_id('job', at_ms)}"
    assert new_id("job", at_ms - 1) < span.lower[1:] <= new_id("job", at_ms)


def test_a_cursor_narrows_the_span() -> None:
    """The earlier of cursor and last moment counts."""
    early, late = new_id("job", 1_000), new_id("job", 2_000)

    assert Span(before_id=early, until_unix_ms=1_500).upper == f"({early}"
    assert Span(before_id=late, until_unix_ms=1_500).upper == f"({first_id('job', 1_500)}"


@pytest.mark.parametrize(
    "query", [b"state=done", b"limit=1e3", b"cursor=%2B", b"cursor=" + b"z" * 25, b"a&b", b"\xff"]
)
def test_what_cannot_be_is_refused(query: bytes) -> None:
    """Before anything is read."""
    with pytest.raises(InvalidRequest):
        Wanted.parse(query)
