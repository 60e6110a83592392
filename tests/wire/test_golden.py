"""What crosses Redis and what clients read is as it was, to the last field."""

from __future__ import annotations

import json

import pytest

from pipeline.access.keys import ApiKey
from pipeline.deliveries.delivery import Attempt, Delivery
from pipeline.deliveries.endpoints import Endpoint
from pipeline.health import Heartbeat
from pipeline.jobs.job import Job
from pipeline.models.catalogue import ModelEntry
from pipeline.models.rules import Rules
from pipeline.protocol import DeliveryDue, InferRequested, JobInferred
from tests.wire.samples import FOLDER, JOB, RULES, samples, to_text

SAMPLES = samples()

KINDS = ("classes", "detections", "text_regions", "tensors")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_wire_is_as_it_was(name: str) -> None:
    """A sample is written exactly as its golden file has it: a change changes the contract."""
    assert to_text(SAMPLES[name]) == (FOLDER / f"{name}.json").read_text("utf-8")


def test_every_golden_file_has_its_sample() -> None:
    """No file is left behind from something that is not sent any more."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SAMPLES)


def golden(name: str) -> dict[str, str]:
    """Give the fields of a golden file as Redis holds them."""
    document = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return {
        field: json.dumps(value["json"]) if isinstance(value, dict) else value
        for field, value in document.items()
    }


def test_a_golden_job_is_read() -> None:
    """What an earlier version stored is the job that it was."""
    assert Job.from_fields(JOB.job_id, golden("job_record")) == JOB


@pytest.mark.parametrize("kind", KINDS)
def test_a_golden_answer_is_read(kind: str) -> None:
    """What an earlier dispatcher sent is understood, whatever kind of findings it holds."""
    message = JobInferred.from_fields(golden(f"job_inferred_{kind}"))

    assert (message.job_id, message.findings.kind) == (JOB.job_id, kind)
    assert message.made_by.batch_size == 8


def test_golden_short_messages_are_read() -> None:
    """What an earlier version put into a stream names what it named."""
    assert InferRequested.from_fields(golden("infer_requested")).job_id == JOB.job_id
    assert DeliveryDue.from_fields(golden("delivery_due")).delivery_id.startswith("msg_")


def test_golden_records_are_read() -> None:
    """Deliveries, attempts and rules of an earlier version are understood."""
    assert Delivery.from_fields("msg_1", golden("delivery_record")).attempts == 1
    attempt = json.loads((FOLDER / "attempt.json").read_text("utf-8"))["json"]
    assert Attempt.from_json_text(json.dumps(attempt)).status == 503
    rules = json.loads((FOLDER / "rules.json").read_text("utf-8"))["json"]
    assert Rules.from_json_text(json.dumps(rules)) == RULES


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model_entry", ModelEntry),
        ("heartbeat", Heartbeat),
        ("api_key", ApiKey),
        ("endpoint", Endpoint),
    ],
)
def test_a_golden_document_makes_its_record(name: str, kind: type) -> None:
    """What an earlier version stored has every field that this one needs."""
    document = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))

    assert kind(**document)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_has_its_parts_in_order(kind: str) -> None:
    """Every result begins alike, whatever was found."""
    document = json.loads((FOLDER / f"result_{kind}.json").read_text("utf-8"))

    assert list(document) == [
        "job_id",
        "model",
        "version",
        "kind",
        "picture",
        kind,
        "counts",
        "made_by",
        "timings_ms",
    ]
