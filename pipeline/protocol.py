"""Every name that crosses Redis, and every message. Nothing else in gw spells a key.

========================================= ====== =============================== ================ ===============================
key                                       type   written by                      read by          lives
========================================= ====== =============================== ================ ===============================
``{p}:job:{job_id}``                      hash   webapp, dispatcher, postprocess everyone         its retention past its end
``{p}:counts``                            hash   every job move                  webapp, gw       for ever
``{p}:deadlines``                         zset   webapp, every last move         dispatcher       while the job lives
``{p}:jobs:{tenant}``                     zset   webapp                          webapp           as long as its jobs
``{p}:events:{tenant}``                   stream webapp, every last move         webapp           until trimmed by age
``{p}:events-trimmed``                    hash   webapp                          webapp           for ever
``{p}:cursors:{tenant}``                  hash   webapp                          webapp           until removed
``{p}:promise:{tenant}:{key}``            string webapp                          webapp           GW_IDEMPOTENCY_S
``{p}:submitters``                        set    webapp                          webapp           for ever
``{p}:infer:{model}:{priority}:{tenant}`` stream webapp, dispatcher              dispatcher       until the job left it
``{p}:infer:{model}:{priority}``          stream an older webapp                 dispatcher       until the job left it
``{p}:waiting:{model}``                   set    webapp, dispatcher              dispatcher       while a stream has jobs
``{p}:bell:{model}``                      stream webapp, dispatcher              dispatcher       the newest entry
``{p}:loads``                             hash   every job move                  webapp, gw       for ever
``{p}:bucket:{tenant}:{key}``             hash   webapp, operations              the same         until it is full again
``{p}:results``                           stream dispatcher                      postprocess      until the job left it
``{p}:deliveries``                        stream every last move, notifier       notifier         until attempted
``{p}:delivery:{delivery_id}``            hash   every last move, notifier       notifier, webapp as long as its job
``{p}:deliveries-of:{tenant}``            zset   every last move, notifier       webapp           as long as its deliveries
``{p}:exhausted:{tenant}``                zset   notifier, operations            webapp, gw       as long as its deliveries
``{p}:told-events:{tenant}``              zset   every service                   operations       as long as its events
``{p}:operation:{operation_id}``          hash   webapp, operations              webapp           a week past its end
``{p}:open-operations``                   hash   webapp, operations              operations       until ended
``{p}:attempts:{delivery_id}``            list   notifier                        webapp           as long as its job
``{p}:delivery-schedule``                 zset   notifier                        notifier         until due
``{p}:retries``                           stream notifier                        notifier         until attempted
``{p}:backlog:{receiver}``                zset   notifier                        notifier         until released
``{p}:backlogs``                          zset   notifier                        notifier         while there is a backlog
``{p}:receiver:{receiver}``               hash   notifier, webapp, gw            notifier, webapp with its endpoint; 30 days else
``{p}:pace:{receiver}``                   string notifier                        notifier         while it slows somebody
``{p}:order:{endpoint}:{group}``          list   notifier                        notifier         while one waits for another
``{p}:announcements``                     stream every last move, every service  notifier         until fanned out
``{p}:event:{event_id}``                  hash   every service                   notifier         its retention
``{p}:subscribed:{tenant}``               hash   webapp, gw                      every last move  while an endpoint subscribes
``{p}:batch:{batch_id}``                  hash   webapp, operations, last moves  webapp, operations its retention past its end
``{p}:batch-items:{batch_id}``            list   operations                      webapp, operations as long as its batch
``{p}:open-batches``                      zset   webapp, operations              webapp, operations until ended
``{p}:batches:{tenant}``                  zset   webapp, operations              webapp           until swept
``{p}:batch-sources:{tenant}``            hash   webapp, operations              webapp           while they are open
``{p}:rq``                                many   operations: RQ's keys begin so  operations, rq   hours past their end
``{p}:dead``                              stream every stream reader             operator         until trimmed by hand
``{p}:models``                            hash   dispatcher                      webapp, gw       until its dispatcher is gone
``{p}:models-seen``                       zset   dispatcher                      dispatcher       till its last job's end
``{p}:models-unloaded``                   hash   webapp                          dispatcher       until loaded again
``{p}:model-commands``                    stream webapp                          dispatcher       the newest 1,000
``{p}:model-command:{id}``                hash   webapp, dispatcher              webapp           a day
``{p}:model-costs``                       hash   dispatcher                      dispatcher       the newest 1,000
``{p}:rules:{sha256}``                    string dispatcher                      postprocess      30 days past its use
``{p}:api-keys``                          hash   gw, webapp                      webapp           until revoked
``{p}:api-keys-used``                     hash   webapp                          webapp, gw       until revoked
``{p}:audit``                             stream gw, webapp                      webapp, gw       the newest 10,000
``{p}:tenants``                           hash   gw, webapp                      webapp, gw       until removed
``{p}:tenant-secrets``                    hash   webapp                          webapp           for ever
``{p}:endpoints``                         hash   gw, webapp                      webapp, notifier until removed
``{p}:health``                            hash   every service                   webapp, gw       until it stops
``{p}:devices``                           hash   dispatcher                      webapp, gw       a day past its last sign
========================================= ====== =============================== ================ ===============================

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

from pipeline.documents import compact_json, from_document
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
        self.loads = f"{prefix}:loads"
        self.events_trimmed = f"{prefix}:events-trimmed"
        self.submitters = f"{prefix}:submitters"
        self.results = f"{prefix}:results"
        self.deliveries = f"{prefix}:deliveries"
        self.delivery_schedule = f"{prefix}:delivery-schedule"
        self.retries = f"{prefix}:retries"
        self.backlogs = f"{prefix}:backlogs"
        self.announcements = f"{prefix}:announcements"
        self.dead = f"{prefix}:dead"
        self.models = f"{prefix}:models"
        self.models_seen = f"{prefix}:models-seen"
        self.models_unloaded = f"{prefix}:models-unloaded"
        self.model_commands = f"{prefix}:model-commands"
        self.model_costs = f"{prefix}:model-costs"
        self.api_keys = f"{prefix}:api-keys"
        self.api_keys_used = f"{prefix}:api-keys-used"
        self.audit = f"{prefix}:audit"
        self.tenants = f"{prefix}:tenants"
        self.tenant_secrets = f"{prefix}:tenant-secrets"
        self.endpoints = f"{prefix}:endpoints"
        self.health = f"{prefix}:health"
        self.open_operations = f"{prefix}:open-operations"
        self.open_batches = f"{prefix}:open-batches"
        self.rq = f"{prefix}:rq"
        self.devices = f"{prefix}:devices"
        self.ended_channel = f"{prefix}:ended"

    def job(self, job_id: str) -> str:
        """Give the key of a job's record."""
        return f"{self.prefix}:job:{job_id}"

    def jobs(self, tenant: str) -> str:
        """Give the index of a tenant's jobs: their ids, which sort by time."""
        return f"{self.prefix}:jobs:{tenant}"

    def events(self, tenant: str) -> str:
        """Give the log of what happened to a tenant's jobs."""
        return f"{self.prefix}:events:{tenant}"

    def cursors(self, tenant: str) -> str:
        """Give how far the named readers of a tenant's log have come."""
        return f"{self.prefix}:cursors:{tenant}"

    def promise(self, tenant: str, key_sha256: str) -> str:
        """Give what was promised to a tenant's request with an idempotency key."""
        return f"{self.prefix}:promise:{tenant}:{key_sha256}"

    def infer(self, model: str, priority: Priority, tenant: str = "") -> str:
        """Give the stream of *tenant*'s jobs that wait for *model* at *priority*.

        Without a tenant, the one stream of all that an older webapp wrote to.
        """
        stream = f"{self.prefix}:infer:{model}:{priority}"
        return f"{stream}:{tenant}" if tenant else stream

    def waiting(self, model: str) -> str:
        """Give the set of streams that hold jobs for *model*, as ``{priority}:{tenant}``."""
        return f"{self.prefix}:waiting:{model}"

    def bell(self, model: str) -> str:
        """Give the stream that tells dispatchers of new work for *model*."""
        return f"{self.prefix}:bell:{model}"

    def bucket(self, tenant: str, key_id: str = "") -> str:
        """Give the key of what is left of the rate of *tenant*, or of one of its keys."""
        return f"{self.prefix}:bucket:{tenant}:{key_id}"

    def delivery(self, delivery_id: str) -> str:
        """Give the key of a delivery's record."""
        return f"{self.prefix}:delivery:{delivery_id}"

    def attempts(self, delivery_id: str) -> str:
        """Give the list of a delivery's attempts, oldest first."""
        return f"{self.prefix}:attempts:{delivery_id}"

    def tenant_deliveries(self, tenant: str) -> str:
        """Give the index of a tenant's deliveries: their places, which sort by time."""
        return f"{self.prefix}:deliveries-of:{tenant}"

    def exhausted(self, tenant: str) -> str:
        """Give the places of a tenant's deliveries that are exhausted: its dead letters."""
        return f"{self.prefix}:exhausted:{tenant}"

    def told_events(self, tenant: str) -> str:
        """Give the index of a tenant's events that are no job's end."""
        return f"{self.prefix}:told-events:{tenant}"

    def operation(self, operation_id: str) -> str:
        """Give the key of the record of an operation that somebody asked for."""
        return f"{self.prefix}:operation:{operation_id}"

    def backlog(self, receiver: str) -> str:
        """Give the deliveries that wait until *receiver* is fit for more."""
        return f"{self.prefix}:backlog:{receiver}"

    def receiver(self, receiver: str) -> str:
        """Give the key of a receiver's health: of an endpoint's id, or of a URL's digest."""
        return f"{self.prefix}:receiver:{receiver}"

    def pace(self, receiver: str) -> str:
        """Give the key of what is left of a receiver's rate."""
        return f"{self.prefix}:pace:{receiver}"

    def order(self, endpoint_id: str, group: str) -> str:
        """Give the deliveries to an endpoint that go one after the other, the next one first."""
        return f"{self.prefix}:order:{endpoint_id}:{group}"

    def event(self, event_id: str) -> str:
        """Give the key of the record of an event that is not a job's end."""
        return f"{self.prefix}:event:{event_id}"

    def subscribed(self, tenant: str) -> str:
        """Give the endpoints of *tenant* that get events without being named."""
        return f"{self.prefix}:subscribed:{tenant}"

    def model_command(self, command_id: str) -> str:
        """Give the key of a command of an operator, with what became of it."""
        return f"{self.prefix}:model-command:{command_id}"

    def batch(self, batch_id: str) -> str:
        """Give the key of a batch's record."""
        return f"{self.prefix}:batch:{batch_id}"

    def batch_items(self, batch_id: str) -> str:
        """Give the list of a batch's items, by index."""
        return f"{self.prefix}:batch-items:{batch_id}"

    def batches(self, tenant: str) -> str:
        """Give the batches of *tenant* by the moment of their acceptance."""
        return f"{self.prefix}:batches:{tenant}"

    def batch_sources(self, tenant: str) -> str:
        """Give the bytes of the sources of the open batches of *tenant*, by batch id."""
        return f"{self.prefix}:batch-sources:{tenant}"

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
    to its batch's start, *device_ms* is the batch's time on the device. *decoder* is what decoded
    the picture: ``opencv`` or ``dvpp``, and ``none`` for a tensor.
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
    decoder: str = "opencv"


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
        text = compact_json(document)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAnnounced:
    """a terminal move, or whoever announces -> notifier: *event_id* is to be told to subscribers.

    *job_id* is the job that ended; "" for an event with a record of its own.
    """

    KIND: ClassVar[str] = "event.announced.v1"

    event_id: str
    tenant: str
    job_id: str = ""

    def to_fields(self) -> dict[str, str]:
        """Give the stream entry's fields."""
        fields = {"kind": self.KIND, "event_id": self.event_id, "tenant": self.tenant}
        return fields | {"job_id": self.job_id}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Parse an entry; raises MalformedMessage."""
        return cls(
            event_id=_text(fields, cls.KIND, "event_id"),
            tenant=_text(fields, cls.KIND, "tenant"),
            job_id=_text(fields, cls.KIND, "job_id"),
        )


def _text(fields: Mapping[str, str], kind: str, name: str) -> str:
    if fields.get("kind") != kind:
        raise MalformedMessage(f"expected {kind}, got {fields.get('kind')!r}")
    try:
        return fields[name]
    except KeyError as exc:
        raise MalformedMessage(f"{kind}: no field {exc}") from exc
