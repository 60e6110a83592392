"""One sample of everything that is stored or sent, always the same.

``python -m tests.wire.samples`` writes the golden files anew: the diff then shows what changed on
the wire, and must be one that older readers survive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.access.keys import ApiKey
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.receivers import Health
from pipeline.events.event import Event
from pipeline.health import Heartbeat
from pipeline.jobs.job import Job, JobState, PictureFacts, Priority, Subscriber
from pipeline.models.catalogue import ModelEntry
from pipeline.models.commands import CommandKind, ModelCommand
from pipeline.models.devices import DeviceRecord
from pipeline.models.entry import BatchSizeCount, Spent, Statistics, VersionEntry, VersionState
from pipeline.models.findings import ClassScore, Detection, Findings, NamedTensor, TextRegion
from pipeline.models.rules import Region, Rules
from pipeline.models.tensors import TensorFacts
from pipeline.protocol import DeliveryDue, EventAnnounced, InferRequested, JobInferred, Provenance
from postprocess.document import result_document
from postprocess.judgement import judge

FOLDER = Path(__file__).parent

_ID = "01jd0000000000000000000000"
_AT_UNIX_MS = 1_700_000_000_000

RULES = Rules(
    labels=("head", "安全帽"),
    min_score=0.25,
    min_scores={"head": 0.4},
    exclude=("vest",),
    regions=(
        Region(
            name="door",
            points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
            anchor="bottom_center",
            labels=("head", "安全帽"),
        ),
    ),
)

JOB = Job(
    job_id=f"job_{_ID}",
    state=JobState.INFERRED,
    tenant="default",
    model="helmet",
    version="2",
    priority=Priority.HIGH,
    reference="工位-7",
    metadata={"camera": {"id": 3}, "tags": ["a"]},
    picture=PictureFacts(format="jpeg", width_px=640, height_px=480, size_bytes=51_234),
    subscribers=(
        Subscriber(delivery_id=f"msg_{_ID}", url="https://example.com/hook", secret="whsec_AAAA"),
        Subscriber(delivery_id=f"msg_{_ID[:-1]}1", endpoint_id=f"ep_{_ID}"),
    ),
    accepted_unix_ms=_AT_UNIX_MS,
    deadline_unix_ms=_AT_UNIX_MS + 60_000,
    attempt=2,
    alone=True,
    started_unix_ms=_AT_UNIX_MS + 4,
)

_FINDINGS = {
    "classes": Findings(kind="classes", classes=(ClassScore(class_id=1, score=0.875),)),
    "detections": Findings(
        kind="detections",
        detections=(Detection(class_id=1, score=0.875, box=(10.0, 20.0, 110.5, 220.0)),),
    ),
    "text_regions": Findings(
        kind="text_regions",
        text_regions=(
            TextRegion(score=0.75, quad=((1.0, 2.0), (30.0, 2.5), (30.0, 9.0), (1.0, 8.5))),
        ),
    ),
    "tensors": Findings(
        kind="tensors",
        tensors=(NamedTensor(name="out", shape=(1, 2), dtype="float32", values=(0.5, -1.0)),),
    ),
    "outputs": Findings(
        kind="outputs",
        outputs=(TensorFacts(name="out", datatype="FP32", shape=(8400, 84)),),
    ),
}


def _inferred(kind: str) -> JobInferred:
    return JobInferred(
        job_id=JOB.job_id,
        attempt=JOB.attempt,
        width_px=640,
        height_px=480,
        rules_sha256=RULES.sha256(),
        inferred_unix_ms=_AT_UNIX_MS + 40,
        made_by=Provenance(
            version="2",
            model_sha256="a" * 64,
            settings_sha256="b" * 64,
            runtime="onnx",
            device="cpu:0",
            batch_size=8,
            queued_ms=4.0,
            decode_ms=2.5,
            waited_ms=1.5,
            device_ms=30.0,
            reduce_ms=0.25,
        ),
        findings=_FINDINGS[kind],
    )


def _result(kind: str) -> Any:
    inferred = _inferred(kind)
    judgement = judge(inferred.findings, RULES, width_px=640, height_px=480)
    return json.loads(result_document(JOB, inferred, judgement, now_unix_ms=_AT_UNIX_MS + 43))


def samples() -> Mapping[str, Any]:
    """Give each golden file's name, without its ending, and what belongs into it.

    Texts that are JSON themselves are opened up, so that a diff shows their parts.
    """
    found: dict[str, Any] = {
        "infer_requested": InferRequested(job_id=JOB.job_id).to_fields(),
        "event_announced": EventAnnounced(
            event_id=f"evt_{_ID}", tenant="default", job_id=JOB.job_id
        ).to_fields(),
        "event_record": Event(
            event_id=f"evt_{_ID}",
            tenant="default",
            type="batch.completed",
            subject=f"batch_{_ID}",
            unix_ms=_AT_UNIX_MS,
            data={"id": f"batch_{_ID}"},
            subscribers=JOB.subscribers[:1],
        ).to_fields(),
        "receiver_record": Health(failures=5, failing_since=_AT_UNIX_MS, openings=1).to_fields(),
        "delivery_due": DeliveryDue(delivery_id=f"msg_{_ID}").to_fields(),
        "job_record": JOB.to_fields(),
        "job_record_of_a_tensor": replace(
            JOB,
            picture=PictureFacts(format="tensor", width_px=0, height_px=0, size_bytes=1_228_800),
            tensor=TensorFacts(name="images", datatype="UINT8", shape=(3, 640, 640)),
            raw_outputs=True,
        ).to_fields(),
        "delivery_record": Delivery(
            delivery_id=f"msg_{_ID}",
            job_id=JOB.job_id,
            state=DeliveryState.PENDING,
            url="https://example.com/hook",
            secret="whsec_AAAA",
            attempts=1,
            due_unix_ms=_AT_UNIX_MS + 5000,
        ).to_fields(),
        "attempt": Attempt(
            number=1,
            at_unix_ms=_AT_UNIX_MS + 50,
            duration_ms=12,
            status=503,
            error="",
            answer="忙",
        ).to_json_text(),
        "rules": RULES.to_json_text(),
        "model_entry": asdict(
            ModelEntry(
                name="helmet",
                versions=("2", "1"),
                labels=("head",),
                details=(
                    VersionEntry(
                        version="2",
                        state=VersionState.LOADED,
                        file_sha256="d" * 64,
                        platform="ascend_om",
                        inputs=(
                            TensorFacts(name="images", datatype="UINT8", shape=(-1, 3, 640, 640)),
                        ),
                        outputs=(TensorFacts(name="out", datatype="FP32", shape=(-1, 8400, 84)),),
                        batch_max=8,
                        batch_delay_ms=5.0,
                        statistics=Statistics(
                            jobs=3,
                            batches=2,
                            spent=Spent(queue_ms=4.5, device_ms=60.0),
                            by_size=(BatchSizeCount(size=2, batches=1, device_ms=30.0),),
                        ),
                    ),
                ),
            )
        ),
        "model_command": ModelCommand(
            command_id=f"cmd_{_ID}",
            command=CommandKind.RELOAD,
            model="helmet",
            version="2",
            asked_by="0123abcd",
            asked_unix_ms=_AT_UNIX_MS,
            until_unix_ms=_AT_UNIX_MS + 600_000,
        ).to_fields(),
        "heartbeat": asdict(
            Heartbeat(
                service="webapp",
                instance="box-1",
                pid=7,
                started_unix_ms=_AT_UNIX_MS,
                beat_unix_ms=_AT_UNIX_MS + 2000,
            )
        ),
        "device_record": asdict(
            DeviceRecord(
                instance="box-1",
                device="npu:0",
                runtime="acl",
                status="ready",
                seen_unix_ms=_AT_UNIX_MS,
                started_unix_ms=_AT_UNIX_MS - 5000,
                pid=7,
                models=("helmet/2",),
                health="OK",
                temperature_c=53.0,
            )
        ),
        "api_key": asdict(
            ApiKey(
                key_id="0123abcd",
                tenant="default",
                description="",
                created_unix_ms=_AT_UNIX_MS,
                secret_sha256="c" * 64,
            )
        ),
        "endpoint": asdict(
            Endpoint(
                endpoint_id=f"ep_{_ID}",
                tenant="default",
                url="https://example.com/hook",
                description="",
                created_unix_ms=_AT_UNIX_MS,
                secret="whsec_AAAA",
            )
        ),
    }
    for kind in _FINDINGS:
        found[f"job_inferred_{kind}"] = _inferred(kind).to_fields()
        found[f"result_{kind}"] = _result(kind)
    return {name: _opened(value) for name, value in sorted(found.items())}


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _opened(part) for name, part in value.items()}
    if isinstance(value, str) and value[:1] in ("{", "["):
        return {"json": json.loads(value)}
    return value


def to_text(sample: Any) -> str:
    """Give a golden file's text; the order of names is the order on the wire."""
    return json.dumps(sample, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, sample in samples().items():
        (FOLDER / f"{name}.json").write_text(to_text(sample), "utf-8")
