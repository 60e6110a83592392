"""The batch: many pictures in one submission. Its states, its record, its items.

A batch has a source (an archive, a list of URLs, a video) that is expanded in the background: each
item of it becomes one job, or an item error. The job's id is derived from the batch and the item's
index, so that an expansion which was killed and is repeated neither doubles nor loses an item. The
counts of ended jobs are written by the very script that ends a job.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pipeline.documents import compact_json
from pipeline.errors import JobFault, MalformedMessage
from pipeline.ids import derived_id
from pipeline.jobs.job import Job, JobState, PictureFacts

#: The sources' and results' folder inside the data folder, which webapp and operations share.
BATCHES_FOLDER = "batches"

#: A batch's record, items and result file outlive its end by this much. A week.
BATCH_RETENTION_MS = 7 * 24 * 3600 * 1000

#: An item's label is cut to this: it is shown, never used as a path.
NAME_MAX_CHARACTERS = 200


@enum.verify(enum.UNIQUE)
class BatchState(enum.StrEnum):
    """Where a batch is."""

    #: Stored with its source; items are being made into jobs, or wait for it.
    EXPANDING = "expanding"
    #: Every item is a job or an error; the jobs are on their way.
    RUNNING = "running"
    #: Withdrawn; the jobs that had begun go to their end.
    CANCELING = "canceling"
    #: Every job has ended.
    COMPLETED = "completed"
    #: Withdrawn, and every job has ended.
    CANCELED = "canceled"
    #: The source could not be expanded; the reason says why.
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in (BatchState.COMPLETED, BatchState.CANCELED, BatchState.FAILED)


@enum.verify(enum.UNIQUE)
class SourceKind(enum.StrEnum):
    """What a batch is made of."""

    ARCHIVE = "archive"
    URLS = "urls"
    VIDEO = "video"


@enum.verify(enum.UNIQUE)
class OperationsQueue(enum.StrEnum):
    """The queues of the operations plane; each worker process works exactly one."""

    DEFAULT = "default"
    #: What needs OpenCV: it is worked in the dispatcher's image.
    MEDIA = "media"

    @property
    def service(self) -> str:
        """Give the name under which the workers of this queue show their life."""
        return "operations" if self is OperationsQueue.DEFAULT else f"operations-{self}"


def queue_of(kind: SourceKind) -> OperationsQueue:
    """Tell which workers a batch of this kind needs."""
    return OperationsQueue.MEDIA if kind is SourceKind.VIDEO else OperationsQueue.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which frames of a video are taken: every so many frames, or one in so many seconds.

    One of the two is 0.
    """

    every_frames: int = 0
    every_s: float = 0.0


class SourceFault(JobFault):
    """A batch's source cannot be expanded, or not further. *code* tells which way."""

    code = "unusable_source"

    def __init__(self, message: str, *, code: str = "unusable_source") -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # the class's word is the default


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a batch: its label, and what is wrong with it; "" where it became a job."""

    name: str
    error_code: str = ""
    error: str = ""

    def to_json_text(self) -> str:
        """Give the stored form."""
        return compact_json([self.name, self.error_code, self.error])

    @classmethod
    def from_json_text(cls, text: str) -> Item:
        """Parse the stored form; raises MalformedMessage."""
        try:
            name, error_code, error = json.loads(text)
            return cls(name=str(name), error_code=str(error_code), error=str(error))
        except (TypeError, ValueError) as exc:
            raise MalformedMessage(f"batch item: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """How far a batch is: *items* of the source that were looked at, and what became of them.

    *jobs* were made, *refused* are no pictures; the others are jobs that have ended.
    """

    items: int = 0
    jobs: int = 0
    refused: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    expired: int = 0

    #: The fields of the record that hold counts, whatever their order.
    FIELDS: ClassVar[tuple[str, ...]] = (
        "items",
        "jobs",
        "refused",
        *(state.value for state in JobState if state.is_terminal),
    )

    @property
    def ended(self) -> int:
        """Give how many jobs have ended."""
        return self.succeeded + self.failed + self.canceled + self.expired

    @property
    def live(self) -> int:
        """Give how many jobs are on their way."""
        return max(0, self.jobs - self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The record of one batch, whole.

    *template* is the job that every item becomes, but for its id and its picture; its subscribers
    are the batch's. *items_total* is 0 while it is not known (a video). *attempts* counts how often
    the expansion was begun since it last got further. *is_withdrawn*: nothing more will become a
    job, and what waited has been canceled.
    """

    batch_id: str
    state: BatchState = BatchState.EXPANDING
    kind: SourceKind
    template: Job
    size_bytes: int = 0
    items_total: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    attempts: int = 0
    is_withdrawn: bool = False
    finished_unix_ms: int = 0
    reason_code: str = ""
    reason: str = ""
    counts: BatchCounts = field(default_factory=BatchCounts)

    @property
    def tenant(self) -> str:
        """Give whose batch it is."""
        return self.template.tenant

    @property
    def accepted_unix_ms(self) -> int:
        """Give when it was accepted."""
        return self.template.accepted_unix_ms

    @property
    def final_state(self) -> BatchState:
        """Give the state that this batch ends in."""
        if self.state is BatchState.CANCELING:
            return BatchState.CANCELED
        return BatchState.FAILED if self.reason_code else BatchState.COMPLETED

    def job_id(self, index: int) -> str:
        """Give the id of the job of item *index*, the same however often it is asked for."""
        return derived_id("job", self.accepted_unix_ms, of=f"{self.batch_id}:{index}")

    def job(self, index: int, picture: PictureFacts) -> Job:
        """Make the job of item *index*."""
        return replace(
            self.template,
            job_id=self.job_id(index),
            batch_id=self.batch_id,
            picture=picture,
            # Whoever submitted a batch is told of its end, not of ten thousand.
            subscribers=(),
        )

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields of the record but for its counts; the id is the key's."""
        return {
            "state": self.state,
            "kind": self.kind,
            "template": _compact(self.template.to_fields()),
            "size_bytes": str(self.size_bytes),
            "items_total": str(self.items_total),
            "sampling": _compact([self.sampling.every_frames, self.sampling.every_s]),
            "attempts": str(self.attempts),
            "withdrawn": "1" if self.is_withdrawn else "",
            "finished_unix_ms": str(self.finished_unix_ms),
            "reason_code": self.reason_code,
            "reason": self.reason,
        }

    @classmethod
    def from_fields(cls, batch_id: str, fields: Mapping[str, str]) -> Batch:
        """Parse a record; unknown fields are ignored, anything else raises MalformedMessage."""
        try:
            every_frames, every_s = json.loads(fields["sampling"])
            return cls(
                batch_id=batch_id,
                state=BatchState(fields["state"]),
                kind=SourceKind(fields["kind"]),
                template=Job.from_fields("", json.loads(fields["template"])),
                size_bytes=int(fields["size_bytes"]),
                items_total=int(fields["items_total"]),
                sampling=Sampling(every_frames=int(every_frames), every_s=float(every_s)),
                attempts=int(fields["attempts"]),
                is_withdrawn=bool(fields["withdrawn"]),
                finished_unix_ms=int(fields["finished_unix_ms"]),
                reason_code=fields["reason_code"],
                reason=fields["reason"],
                counts=BatchCounts(
                    **{name: int(fields.get(name, 0)) for name in BatchCounts.FIELDS}
                ),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"batch record {batch_id}: {exc!r}") from exc


class Step(enum.Enum):
    """What a batch needs next of the operations plane."""

    EXPAND = "expand"
    WITHDRAW = "withdraw"
    FINISH = "finish"


def next_step(batch: Batch) -> Step | None:
    """Tell what *batch* needs next; None while it waits for its jobs, or needs nothing any more."""
    if batch.state.is_terminal:
        return None
    if batch.state is BatchState.EXPANDING:
        return Step.EXPAND
    if batch.state is BatchState.CANCELING and not batch.is_withdrawn:
        return Step.WITHDRAW
    return Step.FINISH if batch.counts.live == 0 else None


def _compact(document: Any) -> str:
    return compact_json(document)
