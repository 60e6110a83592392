"""The job: its states, its moves, its record.

Two rules. Every state and every legal move is in this file. This file does no I/O: the store makes
the same table atomic, and no other code writes the state field.

A job is *live* until it reaches a state without a way out. The record in Redis is the truth; a
stream entry is only a hint that there is work. ``attempt`` counts how often a dispatcher started
the job and fences late finishers: a move out of ``running`` names the attempt it speaks for.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pipeline.documents import compact_json
from pipeline.errors import IllegalTransition, MalformedMessage
from pipeline.models.tensors import TensorFacts


@enum.verify(enum.UNIQUE)
class JobState(enum.StrEnum):
    """Where a job is; the value is what Redis and the API carry."""

    #: Stored and waiting for the device.
    QUEUED = "queued"
    #: Claimed by a dispatcher.
    RUNNING = "running"
    #: The model has answered; business rules come next.
    INFERRED = "inferred"
    #: Finished with a result.
    SUCCEEDED = "succeeded"
    #: Finished without one; the reason says why.
    FAILED = "failed"
    #: Withdrawn by its submitter.
    CANCELED = "canceled"
    #: Its deadline passed before it was done.
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return not TRANSITIONS[self]


_GIVEN_UP = frozenset({JobState.FAILED, JobState.CANCELED, JobState.EXPIRED})

TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING}) | _GIVEN_UP,
    # Back to queued: a stopping dispatcher hands back what it could not finish.
    # To running again: another dispatcher took over a dead one's claim.
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.INFERRED}) | _GIVEN_UP,
    JobState.INFERRED: frozenset({JobState.SUCCEEDED}) | _GIVEN_UP,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

LIVE_STATES = frozenset(state for state in JobState if not state.is_terminal)


def check_transition(old: JobState, new: JobState) -> None:
    """Raise IllegalTransition unless *old* may become *new*."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"a job cannot go from {old} to {new}")


@enum.verify(enum.UNIQUE)
class Priority(enum.StrEnum):
    """How urgent a job is, as its submitter sees it. Each priority has its own stream."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """Give 0 for the most urgent."""
        return list(Priority).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What is known about the picture without decoding it: format word, size, bytes."""

    format: str
    width_px: int
    height_px: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One place that is told when the job ends: a registered endpoint, or a URL with its secret.

    *delivery_id* is fixed when the job is accepted, so the announcement has one stable id.
    """

    delivery_id: str
    endpoint_id: str = ""
    url: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of one job, whole.

    *key_id* is the API key that submitted it, "" where that is not known. *pinned* tells that the
    submitter named the version; where it did not, another version may run the job.
    *deadline_unix_ms* is 0 for none. *preview* asks for a drawing of the findings. *keep_record_s*
    is how long the record outlives the end, 0 for the platform's own, and *keep_picture_s* how long
    the picture does, 0 for not at all. *tensor* is what a job has instead of a picture, without the
    batch axis; *raw_outputs* asks for the model's outputs as they are. *dialect* is the protocol of
    the submission where it was not the API's own: ``cog`` or ``fal``. *alone* marks a last start
    with nothing else beside it: should the dispatcher die of it, this job is the culprit. *result*
    is the final document as JSON text, "" before ``succeeded``. *reason_code* and *reason* are set
    with every other terminal state.
    """

    job_id: str
    state: JobState = JobState.QUEUED
    tenant: str
    key_id: str = ""
    batch_id: str = ""
    model: str
    version: str
    pinned: bool = True
    priority: Priority = Priority.NORMAL
    reference: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    picture: PictureFacts
    subscribers: tuple[Subscriber, ...] = ()
    accepted_unix_ms: int
    deadline_unix_ms: int = 0
    preview: bool = False
    keep_record_s: int = 0
    keep_picture_s: int = 0
    tensor: TensorFacts | None = None
    raw_outputs: bool = False
    dialect: str = ""
    attempt: int = 0
    alone: bool = False
    started_unix_ms: int = 0
    finished_unix_ms: int = 0
    result: str = ""
    reason_code: str = ""
    reason: str = ""

    def moved_to(self, new: JobState) -> Job:
        """Give a copy in state *new*; raises IllegalTransition where the table has no arrow."""
        check_transition(self.state, new)
        return replace(self, state=new)

    def is_past_deadline(self, now_unix_ms: int) -> bool:
        """Whether the deadline, if any, has passed."""
        return 0 < self.deadline_unix_ms <= now_unix_ms

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields of the record; the id is the key's, not a field.

        What a job was not asked for takes no field.
        """
        wanted = {
            "preview": "1" if self.preview else "",
            "keep_record_s": str(self.keep_record_s or ""),
            "keep_picture_s": str(self.keep_picture_s or ""),
            "tensor": json.dumps(self.tensor.to_list(), separators=(",", ":"))
            if self.tensor
            else "",
            "raw_outputs": "1" if self.raw_outputs else "",
            "dialect": self.dialect,
        }
        return {name: text for name, text in wanted.items() if text} | {
            "state": self.state,
            "tenant": self.tenant,
            "key_id": self.key_id,
            "batch_id": self.batch_id,
            "model": self.model,
            "version": self.version,
            "pinned": "1" if self.pinned else "",
            "priority": self.priority,
            "reference": self.reference,
            "metadata": compact_json(self.metadata),
            "picture": json.dumps(
                [
                    self.picture.format,
                    self.picture.width_px,
                    self.picture.height_px,
                    self.picture.size_bytes,
                ],
                separators=(",", ":"),
            ),
            "subscribers": json.dumps(
                [[s.delivery_id, s.endpoint_id, s.url, s.secret] for s in self.subscribers],
                separators=(",", ":"),
            ),
            "accepted_unix_ms": str(self.accepted_unix_ms),
            "deadline_unix_ms": str(self.deadline_unix_ms),
            "attempt": str(self.attempt),
            "alone": "1" if self.alone else "",
            "started_unix_ms": str(self.started_unix_ms),
            "finished_unix_ms": str(self.finished_unix_ms),
            "result": self.result,
            "reason_code": self.reason_code,
            "reason": self.reason,
        }

    @classmethod
    def from_fields(cls, job_id: str, fields: Mapping[str, str]) -> Job:
        """Parse a record; unknown fields are ignored, anything else raises MalformedMessage."""
        try:
            kind, width_px, height_px, size_bytes = json.loads(fields["picture"])
            return cls(
                job_id=job_id,
                state=JobState(fields["state"]),
                tenant=fields["tenant"],
                key_id=fields.get("key_id", ""),
                batch_id=fields.get("batch_id", ""),
                model=fields["model"],
                version=fields["version"],
                pinned=bool(fields.get("pinned", "1")),
                priority=Priority(fields["priority"]),
                reference=fields["reference"],
                metadata=json.loads(fields["metadata"]),
                picture=PictureFacts(
                    format=kind, width_px=width_px, height_px=height_px, size_bytes=size_bytes
                ),
                subscribers=tuple(
                    Subscriber(delivery_id=d, endpoint_id=e, url=u, secret=s)
                    for d, e, u, s in json.loads(fields["subscribers"])
                ),
                accepted_unix_ms=int(fields["accepted_unix_ms"]),
                deadline_unix_ms=int(fields["deadline_unix_ms"]),
                preview=bool(fields.get("preview")),
                keep_record_s=int(fields.get("keep_record_s", 0)),
                keep_picture_s=int(fields.get("keep_picture_s", 0)),
                tensor=TensorFacts.from_list(json.loads(fields["tensor"]))
                if fields.get("tensor")
                else None,
                raw_outputs=bool(fields.get("raw_outputs")),
                dialect=fields.get("dialect", ""),
                attempt=int(fields["attempt"]),
                alone=bool(fields["alone"]),
                started_unix_ms=int(fields["started_unix_ms"]),
                finished_unix_ms=int(fields["finished_unix_ms"]),
                result=fields["result"],
                reason_code=fields["reason_code"],
                reason=fields["reason"],
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"job record {job_id}: {exc!r}") from exc


#: What a list tells of a job: neither its result, nor who is told.
SUMMARY_FIELDS = tuple(
    each.name for each in fields(Job) if each.name not in ("job_id", "result", "subscribers")
)


def summary_from_fields(job_id: str, fields: Mapping[str, str | None]) -> Job | None:
    """Parse the SUMMARY_FIELDS of a record; None where it is gone or cannot be read."""
    present = {name: text for name, text in fields.items() if text is not None}
    try:
        return Job.from_fields(job_id, {"result": "", "subscribers": "[]"} | present)
    except MalformedMessage:
        return None
