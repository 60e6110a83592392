"""The demonstration's table, and the sentence that says what failed."""

from __future__ import annotations

from pathlib import Path

from gw.demo.pictures import Picture
from gw.demo.report import COLUMNS, failure, line, table
from tests.unit.gw.demo.passages import make_passage, make_result

LOGS = Path("data/demo/log")


def test_the_table_has_each_pictures_size_regions_times_and_webhook() -> None:
    """One row holds the size, the count of regions, the stages in ms, attempts and the verdict."""
    head, row = table([make_passage(result=make_result(regions=2), attempts=3)]).splitlines()

    assert [name.lower() for name in head.split()] == list(COLUMNS)
    assert row.split() == ["page.png", "384x191", "2", "3", "8", "0", "190", "4", "211", "3", "yes"]


def test_a_picture_without_a_result_shows_its_state() -> None:
    """A failed job has its state where regions would be, and no times."""
    job = {"state": "failed", "picture": {"width": 384, "height": 191}}

    row = table([make_passage(job=job, result=None, is_verified=False)]).splitlines()[1]

    assert row.split() == ["page.png", "384x191", "failed", "-", "-", "-", "-", "-", "-", "1", "no"]


def test_a_refused_picture_has_no_size() -> None:
    """What the API refused has a row all the same."""
    passage = make_passage(job=None, result=None, attempts=0, is_verified=False)

    assert table([passage]).splitlines()[1].split()[:3] == ["page.png", "-", "refused"]


def test_when_all_went_well_nothing_failed() -> None:
    """Jobs that succeeded and webhooks that were verified leave nothing to say."""
    assert failure([make_passage(), make_passage()], logs=LOGS) == ""


def test_a_failed_job_is_named_with_its_reason_and_the_logs() -> None:
    """The sentence names the picture, why it has no result, and where the logs are."""
    job = {"state": "failed", "picture": {"width": 1, "height": 1}}
    bad = make_passage(
        picture=Picture(name="torn.png", data=b""), job=job, result=None, error="it is torn"
    )

    assert failure([make_passage(), bad], logs=LOGS) == (
        "1 of 2 pictures have no result: torn.png (failed: it is torn)."
        " The logs are in data/demo/log"
    )


def test_an_unverified_webhook_is_a_failure_of_its_own() -> None:
    """A result whose announcement was not verified fails the demonstration."""
    sentence = failure([make_passage(is_verified=False)], logs=LOGS)

    assert sentence == "1 webhooks did not arrive verified: page.png. The logs are in data/demo/log"


def test_many_failures_are_counted_rather_than_listed() -> None:
    """Past five names the rest is a number."""
    sentence = failure([make_passage(is_verified=False)] * 7, logs=LOGS)

    assert "page.png and 2 more" in sentence


def test_a_line_tells_how_many_regions_were_found() -> None:
    """Progress names the picture, its regions, its time and its webhook."""
    assert line(make_passage()) == "page.png: 1 region in 211 ms, webhook verified"
    assert line(make_passage(job=None, result=None, error="too large")) == (
        "page.png: refused: too large"
    )
