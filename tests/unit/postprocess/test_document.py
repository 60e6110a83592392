"""The result document."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from pipeline.models.findings import Detection, Findings
from pipeline.models.rules import Rules
from postprocess.document import result_document
from postprocess.judgement import judge
from tests.builders import make_inferred, make_job, make_provenance

ACCEPTED_UNIX_MS = 1_700_000_000_000
INFERRED_UNIX_MS = ACCEPTED_UNIX_MS + 40
NOW_UNIX_MS = ACCEPTED_UNIX_MS + 43


def make_document(
    *, box: tuple[float, float, float, float] = (1.0, 2.0, 3.0, 4.0), now_unix_ms: int = NOW_UNIX_MS
) -> dict[str, Any]:
    """Make the document of a job with one detection, and parse it as a strict client would."""
    job = make_job(version="latest", accepted_unix_ms=ACCEPTED_UNIX_MS, attempt=2)
    findings = Findings(kind="detections", detections=(Detection(class_id=0, score=0.75, box=box),))
    inferred = make_inferred(
        job,
        findings=findings,
        inferred_unix_ms=INFERRED_UNIX_MS,
        made_by=make_provenance(version="7", batch_size=3),
    )
    judgement = judge(findings, Rules(labels=("安全帽",)), width_px=640, height_px=480)

    text = result_document(job, inferred, judgement, now_unix_ms=now_unix_ms)

    document: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return document


def test_the_items_lie_under_their_kind() -> None:
    """The document says what kind it is, and the list has the kind's name."""
    document = make_document()

    assert document["kind"] == "detections"
    assert document["detections"] == [
        {"label": "安全帽", "class_id": 0, "score": 0.75, "box": [1.0, 2.0, 3.0, 4.0]}
    ]
    assert document["counts"] == {"total": 1, "by_label": {"安全帽": 1}, "by_region": {}}


def test_it_tells_what_made_it() -> None:
    """The version that ran, the batch and the attempt are those of the answer."""
    document = make_document()

    assert document["version"] == "7"
    assert (document["made_by"]["batch_size"], document["made_by"]["attempt"]) == (3, 2)
    assert document["made_by"]["rules_sha256"] == Rules().sha256()


def test_times_run_from_acceptance_and_from_the_answer() -> None:
    """The total begins with the acceptance, postprocess where the model's work ended."""
    timings_ms = make_document()["timings_ms"]

    assert (timings_ms["total"], timings_ms["postprocess"]) == (43, 3)


def test_a_stepped_clock_gives_no_negative_time() -> None:
    """A clock that was set back meanwhile gives nought, never less."""
    timings_ms = make_document(now_unix_ms=ACCEPTED_UNIX_MS - 3_600_000)["timings_ms"]

    assert (timings_ms["total"], timings_ms["postprocess"]) == (0, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_place_that_is_no_number_makes_no_document(value: float) -> None:
    """What JSON cannot carry is told, rather than written in a way that clients cannot read."""
    with pytest.raises(ValueError, match="JSON"):
        make_document(box=(0.0, 0.0, value, 1.0))
