"""What the API tells of jobs, results, events and batches, typed.

Every class keeps the whole ``document`` that it was read from. Moments know their offset. States
are plain words: a newer server may know more of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

#: The states that nothing follows.
ENDED_STATES: Final = frozenset({"succeeded", "failed", "expired", "canceled"})
ENDED_BATCH_STATES: Final = frozenset({"completed", "canceled", "failed"})

Document = Mapping[str, Any]


def _kept() -> Any:
    return field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why there is no result."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is known about a job's picture; pixels of the upright one."""

    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A thing that was found. *box* is x0, y0, x1, y1 in pixels of the upright picture."""

    label: str
    score: float
    box: tuple[float, ...]
    class_id: int = -1
    regions: tuple[str, ...] = ()
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """A class, and how sure the model is."""

    label: str
    score: float
    class_id: int = -1
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRegion:
    """A region of text. *quad* are its corners, clockwise from the top left, in pixels."""

    label: str
    score: float
    quad: tuple[tuple[float, ...], ...]
    regions: tuple[str, ...] = ()
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many findings there are."""

    total: int
    by_label: Mapping[str, int]
    by_region: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a model found in one picture.

    *kind* names the list that is filled; one that is none of these is in ``document``, as are
    tensors with their values. *timings_ms* has a time for each stage, and their ``total``.
    """

    kind: str = ""
    job_id: str = ""
    model: str = ""
    version: str = ""
    detections: tuple[Detection, ...] = ()
    classes: tuple[ClassScore, ...] = ()
    text_regions: tuple[TextRegion, ...] = ()
    counts: Counts | None = None
    made_by: Mapping[str, Any] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job. *result* is there where it was waited for and the job has one."""

    id: str
    state: str
    model: str
    version: str
    priority: str
    reference: str | None
    metadata: Mapping[str, Any]
    accepted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    picture: Picture | None
    reason: Reason | None
    result: Result | None = None
    document: Document = _kept()

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows."""
        return self.state in ENDED_STATES

    @property
    def has_succeeded(self) -> bool:
        """Whether there is a result."""
        return self.state == "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job. *id* is the cursor behind it.

    *job* is the job as it is now, None where its record is gone.
    """

    id: str
    type: str
    timestamp: datetime
    job_id: str
    job: Job | None
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberCursor:
    """How far a named subscriber of the events has come."""

    subscriber: str
    cursor: str
    noted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a delivery."""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """Who is told: an endpoint's id, or a URL without its query."""

    endpoint: str | None
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The announcement of a job's end to one subscriber. *id* is its webhook-id."""

    id: str
    state: str
    attempts: tuple[Attempt, ...]
    subscriber: Subscriber | None = None
    due: datetime | None = None
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """How far a batch's source was expanded; *total* None is not known yet."""

    total: int | None
    expanded: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """What became of a batch's jobs."""

    made: int
    live: int
    succeeded: int
    failed: int
    canceled: int
    expired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """An item that became no job."""

    index: int
    name: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Many pictures in one submission. *errors* are the first item errors, where it was read."""

    id: str
    state: str
    kind: str
    model: str
    version: str
    priority: str
    reference: str | None
    metadata: Mapping[str, Any]
    accepted_at: datetime
    finished_at: datetime | None
    deadline: datetime | None
    items: ItemCounts
    jobs: JobCounts
    reason: Reason | None
    errors: tuple[ItemError, ...] = ()
    document: Document = _kept()

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows."""
        return self.state in ENDED_BATCH_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One item of a batch. *job* is its job's id, *result* there where results were read."""

    index: int
    name: str
    state: str
    job: str | None
    error: Reason | None
    result: Result | None = None
    document: Document = _kept()
