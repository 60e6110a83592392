"""Result lines, and the table that is made of them."""

from __future__ import annotations

import csv
import io
import json

import pytest

from pipeline.batches.batch import Item
from pipeline.batches.results import CSV_COLUMNS, csv_row, csv_text, is_final, result_line
from pipeline.jobs.job import JobState
from tests.builders import make_job


def test_a_result_is_spliced_in_as_it_was_stored() -> None:
    """Every item has a line of JSON with the same members."""
    done = make_job(state=JobState.SUCCEEDED, result='{"counts":{"total":2}}')

    line = json.loads(result_line(3, Item(name="a.jpg"), done.job_id, done))

    assert line == {
        "index": 3,
        "name": "a.jpg",
        "job": done.job_id,
        "state": "succeeded",
        "error": None,
        "result": {"counts": {"total": 2}},
    }


@pytest.mark.parametrize(
    ("item", "job", "state", "error"),
    [
        (
            Item(name="a", error_code="invalid_picture", error="no"),
            None,
            "refused",
            {"code": "invalid_picture", "detail": "no"},
        ),
        (Item(name="a"), None, "forgotten", None),
        (Item(name="a"), make_job(), "queued", None),
        (
            Item(name="a"),
            make_job(state=JobState.FAILED, reason_code="model_failed", reason="why"),
            "failed",
            {"code": "model_failed", "detail": "why"},
        ),
    ],
)
def test_an_item_without_a_result_says_why(
    item: Item, job: object, state: str, error: object
) -> None:
    """Refused, forgotten, on its way, or failed with its job's reason."""
    line = json.loads(result_line(0, item, "job_1", job))  # type: ignore[arg-type]  # as parametrized

    assert (line["state"], line["error"], line["result"]) == (state, error, None)
    assert is_final(line) == (state in {"refused", "failed"})


def test_a_table_survives_its_text() -> None:
    """Quotes, commas and line ends in a name stay in their cell."""
    job = make_job(state=JobState.SUCCEEDED, result='{"a":"b,\\"c\\""}')
    line = json.loads(result_line(1, Item(name='x,"y"\nz'), job.job_id, job))

    rows = list(csv.reader(io.StringIO(csv_text([CSV_COLUMNS, csv_row(line)]))))

    assert rows[0] == list(CSV_COLUMNS)
    assert rows[1][1] == 'x,"y"\nz'
    assert json.loads(rows[1][-1]) == {"a": 'b,"c"'}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_name_is_a_formula(name: str) -> None:
    """A spreadsheet shows it as text."""
    line = json.loads(result_line(0, Item(name=name), "job_1", None))

    assert csv_row(line)[1] == f"'{name}"
