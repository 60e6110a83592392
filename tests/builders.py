"""Objects with defaults for everything: a test states only what it is about."""

from __future__ import annotations

from typing import Any

from pipeline.batches.batch import Batch, SourceKind
from pipeline.clock import SystemClock
from pipeline.ids import new_id
from pipeline.jobs.job import Job, PictureFacts, Subscriber
from pipeline.models.findings import Detection, Findings
from pipeline.models.rules import Rules
from pipeline.protocol import JobInferred, Provenance

_CLOCK = SystemClock()


def make_id(prefix: str = "job") -> str:
    """Make an id of now."""
    return new_id(prefix, _CLOCK.unix_ms())


def make_subscriber(**changes: Any) -> Subscriber:
    """Make a subscriber with a URL and a secret of its own."""
    defaults: dict[str, Any] = {
        "delivery_id": make_id("msg"),
        "url": "http://127.0.0.1:9/hook",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    return Subscriber(**(defaults | changes))


def make_job(**changes: Any) -> Job:
    """Make a queued job of the model ``echo``."""
    defaults: dict[str, Any] = {
        "job_id": make_id(),
        "tenant": "default",
        "model": "echo",
        "version": "1",
        "picture": PictureFacts(format="jpeg", width_px=640, height_px=480, size_bytes=1000),
        "accepted_unix_ms": _CLOCK.unix_ms(),
    }
    return Job(**(defaults | changes))


def make_batch(**changes: Any) -> Batch:
    """Make a batch of an archive, whose jobs are those of :func:`make_job`."""
    defaults: dict[str, Any] = {
        "batch_id": make_id("batch"),
        "kind": SourceKind.ARCHIVE,
        "template": make_job(job_id=""),
    }
    return Batch(**(defaults | changes))


def make_provenance(**changes: Any) -> Provenance:
    """Make the provenance of a result."""
    defaults: dict[str, Any] = {
        "version": "1",
        "model_sha256": "a" * 64,
        "settings_sha256": "b" * 64,
        "runtime": "onnx",
        "device": "cpu:0",
        "batch_size": 1,
        "queued_ms": 1.0,
        "decode_ms": 2.0,
        "waited_ms": 0.5,
        "device_ms": 3.0,
        "reduce_ms": 0.25,
    }
    return Provenance(**(defaults | changes))


def make_inferred(job: Job, **changes: Any) -> JobInferred:
    """Make the message that hands *job* on to postprocess, with one detection."""
    defaults: dict[str, Any] = {
        "job_id": job.job_id,
        "attempt": job.attempt,
        "width_px": 640,
        "height_px": 480,
        "rules_sha256": Rules().sha256(),
        "inferred_unix_ms": _CLOCK.unix_ms(),
        "made_by": make_provenance(),
        "findings": Findings(
            kind="detections",
            detections=(Detection(class_id=0, score=0.9, box=(10.0, 20.0, 110.0, 220.0)),),
        ),
    }
    return JobInferred(**(defaults | changes))
