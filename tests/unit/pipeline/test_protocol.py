"""Messages between services."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedMessage
from pipeline.models.findings import ClassScore, Detection, Findings, NamedTensor, TextRegion
from pipeline.protocol import DeliveryDue, InferRequested, JobInferred, Keyspace
from tests.builders import make_inferred, make_job

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
corner = st.tuples(numbers, numbers)
findings = st.one_of(
    st.lists(st.builds(ClassScore, class_id=st.integers(0, 999), score=numbers)).map(
        lambda items: Findings(kind="classes", classes=tuple(items))
    ),
    st.lists(
        st.builds(
            Detection,
            class_id=st.integers(0, 999),
            score=numbers,
            box=st.tuples(numbers, numbers, numbers, numbers),
        )
    ).map(lambda items: Findings(kind="detections", detections=tuple(items))),
    st.lists(
        st.builds(TextRegion, score=numbers, quad=st.tuples(corner, corner, corner, corner))
    ).map(lambda items: Findings(kind="text_regions", text_regions=tuple(items))),
    st.lists(
        st.builds(
            NamedTensor,
            name=st.text(max_size=5),
            shape=st.lists(st.integers(0, 5), max_size=3).map(tuple),
            dtype=st.just("float32"),
            values=st.lists(numbers, max_size=4).map(tuple),
        )
    ).map(lambda items: Findings(kind="tensors", tensors=tuple(items))),
)


@given(findings)
def test_findings_survive_the_way(found: Findings) -> None:
    """Whatever a decoder found is read as it was written."""
    message = make_inferred(make_job(), findings=found)

    assert JobInferred.from_fields(message.to_fields()) == message


@pytest.mark.parametrize(
    "message", [InferRequested(job_id="job_1"), DeliveryDue(delivery_id="msg_1")]
)
def test_a_short_message_survives_the_way(message: InferRequested | DeliveryDue) -> None:
    """A message that only names a record is read as it was written."""
    assert type(message).from_fields(message.to_fields()) == message


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "job.inferred.v2", "job_id": "job_1", "document": "{}"},
        {"kind": "job.inferred.v1", "document": "{}"},
        {"kind": "job.inferred.v1", "job_id": "job_1", "document": "{}"},
        {"kind": "job.inferred.v1", "job_id": "job_1", "document": "["},
        {"kind": "job.inferred.v1", "job_id": "job_1", "document": "[]"},
    ],
)
def test_anything_else_is_malformed(fields: dict[str, str]) -> None:
    """An entry of another kind, or cut short, is told apart at the edge."""
    with pytest.raises(MalformedMessage):
        JobInferred.from_fields(fields)


@pytest.mark.parametrize("document", [{}, {"kind": "sounds", "items": []}, {"kind": "classes"}])
def test_unknown_findings_are_malformed(document: dict[str, object]) -> None:
    """Findings of an unknown kind do not pass."""
    with pytest.raises(MalformedMessage):
        Findings.from_json(document)


def test_every_key_carries_the_prefix() -> None:
    """Two keyspaces share no key."""
    keyspace = Keyspace("t1")
    names = [value for name, value in vars(keyspace).items() if name != "prefix"]

    assert all(name.startswith("t1:") for name in names)
    assert keyspace.job("job_1").startswith("t1:")
