"""The event's bytes: their form, their time, and that the same facts give the same bytes."""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from notifier.events import CONTENT_TYPES, cloud_event_body, standard_body, utc_timestamp
from pipeline.deliveries.endpoints import Format
from pipeline.errors import ContractBroken
from pipeline.jobs.job import JobState

FINISHED_UNIX_MS = 1767225600123
FACTS = {"job_id": "job_1", "model": "yolo", "reference": "工位 3", "metadata": {"b": 1, "a": [2]}}

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text(st.characters(codec="utf-8")), JSON_VALUES, max_size=5)


def shuffled(value: Any, seed: int) -> Any:
    """Give an equal document whose members stand in another order, at every depth."""
    if isinstance(value, list):
        return [shuffled(item, seed) for item in value]
    if not isinstance(value, dict):
        return value
    members = [(name, shuffled(item, seed)) for name, item in value.items()]
    random.Random(seed).shuffle(members)
    return dict(members)


def body_of(event_type: str, data: dict[str, Any], *, unix_ms: int = FINISHED_UNIX_MS) -> bytes:
    """Give the standard body."""
    return standard_body(event_type=event_type, unix_ms=unix_ms, data=data)


def cloud_event_of(data: dict[str, Any]) -> tuple[bytes, BaseCloudEvent]:
    """Give the body of a CloudEvent, and what the reference library reads from it."""
    body = cloud_event_body(
        message_id="msg_1",
        event_type="job.succeeded",
        unix_ms=FINISHED_UNIX_MS,
        tenant="acme/1",
        subject="job_1",
        data=data,
    )
    headers = {"content-type": CONTENT_TYPES[Format.CLOUDEVENTS]}
    return body, from_http(HTTPMessage(headers=headers, body=body), JSONFormat())


def test_the_body_is_the_documented_one() -> None:
    """Type, time and data stand in this order, compact, as UTF-8."""
    body = body_of(
        "job.succeeded", FACTS | {"result": {"detections": [{"label": "猫", "score": 0.9}]}}
    )

    assert body.decode("utf-8") == (
        '{"type":"job.succeeded","timestamp":"2026-01-01T00:00:00.123Z","data":{'
        '"job_id":"job_1","metadata":{"a":[2],"b":1},"model":"yolo","reference":"工位 3",'
        '"result":{"detections":[{"label":"猫","score":0.9}]}}}'
    )


def test_a_cloud_event_is_read_by_the_reference_library() -> None:
    """In structured mode the cloudevents package finds every attribute and the data."""
    _, event = cloud_event_of(FACTS)

    assert event.get_id() == "msg_1"
    assert event.get_specversion() == "1.0"
    assert event.get_type() == "job.succeeded"
    assert event.get_source() == "/gw/acme%2F1"
    assert event.get_subject() == "job_1"
    assert event.get_datacontenttype() == "application/json"
    at = event.get_time()
    assert at is not None
    assert round(at.timestamp() * 1000) == FINISHED_UNIX_MS
    assert event.get_data() == FACTS


@pytest.mark.parametrize("state", [state for state in JobState if state.is_terminal])
def test_each_end_has_its_type(state: JobState) -> None:
    """Every terminal state makes an event type."""
    event = json.loads(body_of(f"job.{state}", FACTS))

    assert event["type"] == f"job.{state.value}"
    assert event["data"] == FACTS


@given(data=DOCUMENTS, seed=st.integers(0, 99))
def test_the_same_facts_give_the_same_bytes(data: dict[str, Any], seed: int) -> None:
    """The bytes do not depend on the order in which a record gives its members."""
    again = shuffled(data, seed)

    assert body_of("job.failed", again) == body_of("job.failed", data)
    assert cloud_event_of(again)[0] == cloud_event_of(data)[0]


@given(data=DOCUMENTS)
def test_what_is_told_is_what_is_known(data: dict[str, Any]) -> None:
    """Read back, the event holds all facts unchanged, and the input is too."""
    before = json.dumps(data)

    event = json.loads(body_of("job.succeeded", data))

    assert event["data"] == data
    assert json.dumps(data) == before


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_000, "1970-01-01T00:00:01.000Z"),
        (951_782_400_007, "2000-02-29T00:00:00.007Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_in_utc(unix_ms: int, text: str) -> None:
    """The timestamp is UTC with three digits of milliseconds, always."""
    assert utc_timestamp(unix_ms) == text


@given(st.integers(0, 4_102_444_800_000))
def test_a_timestamp_reads_back(unix_ms: int) -> None:
    """No moment is rounded on its way."""
    moment = datetime.fromisoformat(utc_timestamp(unix_ms))

    assert round(moment.timestamp() * 1000) == unix_ms


@pytest.mark.parametrize("name", ["", "a b", 'x"', "é", "a.", "a..b", "a-b", "a\n"])
def test_a_type_outside_the_specification_is_refused(name: str) -> None:
    """An event type has dots between words of letters, digits and underscores, nothing else."""
    with pytest.raises(ContractBroken):
        body_of(name, {})


@pytest.mark.parametrize(
    "data",
    [{"x": float("nan")}, {"x": float("inf")}, {"x": b"bytes"}, {"x": "\ud800"}, {1: 2, "1": 3}],
)
def test_what_is_not_json_is_refused(data: dict[str, Any]) -> None:
    """A fact that JSON cannot hold is a defect of ours and is not sent."""
    with pytest.raises(ContractBroken):
        body_of("job.succeeded", data)


@pytest.mark.parametrize("unix_ms", [10**18, -(10**18)])
def test_an_impossible_moment_is_refused(unix_ms: int) -> None:
    """A time beyond the calendar is a defect of ours."""
    with pytest.raises(ContractBroken):
        body_of("job.succeeded", {}, unix_ms=unix_ms)
