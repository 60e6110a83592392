"""Every name that crosses Redis, and every message. Nothing else in gw spells a key.

================================ ====== =============================== ================ =====================
key                              type   written by                      read by          lives
================================ ====== =============================== ================ =====================
``{p}:job:{job_id}``             hash   webapp, dispatcher, postprocess everyone         its retention past its end
``{p}:counts``                   hash   every job move                  webapp, gw       for ever
``{p}:deadlines``                zset   webapp, every last move         dispatcher       while the job lives
``{p}:infer:{model}:{priority}`` stream webapp, dispatcher              dispatcher       until the job left it
``{p}:results``                  stream dispatcher                      postprocess      until the job left it
``{p}:deliveries``               stream every last move, notifier       notifier         until attempted
``{p}:delivery:{delivery_id}``   hash   every last move, notifier       notifier, webapp as long as its job
``{p}:attempts:{delivery_id}``   list   notifier                        webapp           as long as its job
``{p}:delivery-schedule``        zset   notifier                        notifier         until due
``{p}:dead``                     stream every stream reader             operator         until trimmed by hand
``{p}:models``                   hash   dispatcher                      webapp, gw       until published anew
``{p}:rules:{sha256}``           string dispatcher                      postprocess      30 days past its use
``{p}:api-keys``                 hash   gw                              webapp           until revoked
``{p}:endpoints``                hash   gw                              webapp, notifier until removed
``{p}:health``                   hash   every service                   webapp, gw       until it stops
================================ ====== =============================== ================ =====================

Pub/sub channel ``{p}:ended`` carries the id of each job that reached its end: a hint that saves
polling, never the only way to learn it.

Rules: delivery is at least once, so every step is safe to repeat. A message names a job and never
carries its picture. The record is the truth and an entry only a hint. Unknown kinds are parked in
the dead stream, never dropped. Within a version of the schema (the prefix) fields are added, never
renamed. All keys live on one Redis node.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from pipeline.documents import from_document
from pipeline.errors import MalformedMessage
from pipeline.jobs.job import Priority
from pipeline.models.findings import Findings

SCHEMA = "gw1"

# Consumer groups, one per service that reads a stream.
DISPATCHER_GROUP = "dispatcher"
POSTPROCESS_GROUP = "postprocess"
NOTIFIER_GROUP = "notifier"

#: A job's record outlives its end by this much, unless the operator says otherwise; while a
#: delivery is to be tried again, by this much after that attempt. One day.
JOB_RETENTION_MS = 24 * 3600 * 1000

#: Rules stay this long after they were last published: longer than any job waits. Thirty days.
RULES_RETENTION_MS = 30 * 24 * 3600 * 1000

#: A job that was started this often without an end is started alone, with nothing else beside it:
#: if the dispatcher dies of it once more it is given up, and no neighbour's crash is held against it.
ALONE_FROM_ATTEMPT = 4


class Keyspace:
    """The keys under one prefix. Tests give each test its own."""

    def __init__(self, prefix: str = SCHEMA) -> None:
        self.prefix = prefix
        self.counts = f"{prefix}:counts"
        self.deadlines = f"{prefix}:deadlines"
        self.results = f"{prefix}:results"
        self.deliveries = f"{prefix}:deliveries"
        self.delivery_schedule = f"{prefix}:delivery-schedule"
        self.dead = f"{prefix}:dead"
        self.models = f"{prefix}:models"
        self.api_keys = f"{prefix}:api-keys"
        self.endpoints = f"{prefix}:endpoints"
        self.health = f"{prefix}:health"
        self.ended_channel = f"{prefix}:ended"

    def job(self, job_id: str) -> str:
        """Give the key of a job's record."""
        return f"{self.prefix}:job:{job_id}"

    def infer(self, model: str, priority: Priority) -> str:
        """Give the stream of jobs that wait for *model* at *priority*."""
        return f"{self.prefix}:infer:{model}:{priority}"

    def delivery(self, delivery_id: str) -> str:
        """Give the key of a delivery's record."""
        return f"{self.prefix}:delivery:{delivery_id}"

    def attempts(self, delivery_id: str) -> str:
        """Give the list of a delivery's attempts, oldest first."""
        return f"{self.prefix}:attempts:{delivery_id}"

    def rules(self, sha256: str) -> str:
        """Give the key of the rules with this sha256."""
        return f"{self.prefix}:rules:{sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequested:
    """webapp -> dispatcher: *job_id* is stored and ready for the device."""

    KIND: ClassVar[str] = "infer.requested.v1"

    job_id: str

    def to_fields(self) -> dict[str, str]:
        """Give the stream entry's fields."""
        return {"kind": self.KIND, "job_id": self.job_id}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Parse an entry; raises MalformedMessage."""
        return cls(job_id=_text(fields, cls.KIND, "job_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a result, and how long each stage took, in milliseconds.

    *queued_ms* runs from acceptance to the dispatcher's claim, *waited_ms* from the decoded picture
    to its batch's start, *device_ms* is the batch's time on the device.
    """

    version: str
    model_sha256: str
    settings_sha256: str
    runtime: str
    device: str
    batch_size: int
    queued_ms: float
    decode_ms: float
    waited_ms: float
    device_ms: float
    reduce_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInferred:
    """dispatcher -> postprocess: the model has answered *job_id* in its *attempt*.

    *width_px* and *height_px* are the picture's, after its orientation was applied.
    """

    KIND: ClassVar[str] = "job.inferred.v1"

    job_id: str
    attempt: int
    width_px: int
    height_px: int
    rules_sha256: str
    inferred_unix_ms: int
    made_by: Provenance
    findings: Findings

    def to_fields(self) -> dict[str, str]:
        """Give the stream entry's fields."""
        document = {
            "attempt": self.attempt,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "rules_sha256": self.rules_sha256,
            "inferred_unix_ms": self.inferred_unix_ms,
            "made_by": asdict(self.made_by),
            "findings": self.findings.to_json(),
        }
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        return {"kind": self.KIND, "job_id": self.job_id, "document": text}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Parse an entry; raises MalformedMessage."""
        job_id = _text(fields, cls.KIND, "job_id")
        try:
            document: dict[str, Any] = json.loads(_text(fields, cls.KIND, "document"))
            return cls(
                job_id=job_id,
                attempt=int(document["attempt"]),
                width_px=int(document["width_px"]),
                height_px=int(document["height_px"]),
                rules_sha256=str(document["rules_sha256"]),
                inferred_unix_ms=int(document["inferred_unix_ms"]),
                made_by=from_document(Provenance, document["made_by"]),
                findings=Findings.from_json(document["findings"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"{cls.KIND}: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDue:
    """a terminal move, or the schedule -> notifier: *delivery_id* is to be attempted now."""

    KIND: ClassVar[str] = "delivery.due.v1"

    delivery_id: str

    def to_fields(self) -> dict[str, str]:
        """Give the stream entry's fields."""
        return {"kind": self.KIND, "delivery_id": self.delivery_id}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Parse an entry; raises MalformedMessage."""
        return cls(delivery_id=_text(fields, cls.KIND, "delivery_id"))


def _text(fields: Mapping[str, str], kind: str, name: str) -> str:
    if fields.get("kind") != kind:
        raise MalformedMessage(f"expected {kind}, got {fields.get('kind')!r}")
    try:
        return fields[name]
    except KeyError as exc:
        raise MalformedMessage(f"{kind}: no field {exc}") from exc
