"""The answers' shapes, for OpenAPI alone: presentation.py writes them, tests compare the two."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.deliveries.delivery import DeliveryState
from pipeline.jobs.job import JobState, Priority

_MOMENT = "RFC 3339, UTC."


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Picture(_Document):
    """What is known about the picture."""

    format: Literal["jpeg", "png", "bmp", "webp"]
    width: int = Field(description="Pixels, of the upright picture.")
    height: int
    bytes: int


class Tensor(_Document):
    """What a job has instead of a picture: one item of an inference request."""

    name: str
    datatype: str
    shape: list[int] = Field(description="Without the batch axis.")
    bytes: int


class Reason(_Document):
    """Why a job has no result."""

    code: str
    detail: str


class JobLinks(_Document):
    """Where more is to be found."""

    self: str
    result: str
    deliveries: str
    events: str
    picture: str | None = Field(description="Null where pictures are not kept.")
    preview: str | None = Field(description="Null where none was asked for.")
    outputs: str | None = Field(description="The model's raw outputs; null where not asked for.")


class JobDocument(_Document):
    """A job."""

    id: str = Field(examples=["job_01jd3k4m5n6p7q8r9s0t1v2w3x"])
    state: JobState
    model: str
    version: str
    priority: Priority
    reference: str | None
    metadata: dict[str, Any]
    accepted_at: str = Field(description=_MOMENT, examples=["2030-01-31T12:00:00.000Z"])
    started_at: str | None = Field(description=_MOMENT)
    finished_at: str | None = Field(description=_MOMENT)
    deadline: str | None = Field(description=_MOMENT)
    picture: Picture | None = Field(description="Null for a job that has a tensor instead.")
    tensor: Tensor | None = Field(description="Null for a job that has a picture.")
    reason: Reason | None = Field(description="Set when the job ended without a result.")
    links: JobLinks


class FinishedJobDocument(JobDocument):
    """A job that has ended, with its result."""

    result: Any = Field(description="As GET .../result gives it; null when there is none.")


class JobsDocument(_Document):
    """The jobs of a request with several pictures, in their order."""

    jobs: list[JobDocument]


class FinishedJobsDocument(_Document):
    """The same, all ended, with their results."""

    jobs: list[FinishedJobDocument]


class JobPageDocument(_Document):
    """Some jobs, newest first."""

    jobs: list[JobDocument]
    next: str | None = Field(description="The cursor of the next page; null when this is the last.")


class RemovedJobDocument(_Document):
    """What is left of a job whose record is gone."""

    id: str


class EventDocument(_Document):
    """One thing that happened to a job."""

    id: str = Field(description="The cursor behind it.", examples=["1795309584742-0"])
    type: Literal["job.accepted", "job.succeeded", "job.failed", "job.canceled", "job.expired"]
    timestamp: str = Field(description=_MOMENT)
    data: JobDocument | RemovedJobDocument = Field(description="The job as it is now.")


class EventsDocument(_Document):
    """Events, oldest first."""

    events: list[EventDocument]
    next: str = Field(description="The cursor behind all of them; go on with it.")


class SubscriberCursorDocument(_Document):
    """How far a named subscriber has come."""

    subscriber: str
    cursor: str
    noted_at: str = Field(description=_MOMENT)


class SubscribersDocument(_Document):
    """The named subscribers of a tenant."""

    subscribers: list[SubscriberCursorDocument]


class AckDocument(_Document):
    """All up to *cursor* has been worked on."""

    subscriber: str = Field(examples=["belt-7"])
    cursor: str = Field(examples=["1795309584742-0"])


class AttemptDocument(_Document):
    """One try at a delivery."""

    number: int
    at: str = Field(description=_MOMENT)
    duration_ms: int
    status: int | None = Field(description="The receiver's HTTP status, null without an answer.")
    error: str | None = Field(description="Why there was no answer.")
    answer: str | None = Field(description="The beginning of the answer's body.")


class SubscriberDocument(_Document):
    """Who is told: an endpoint's id, or a URL without its query."""

    endpoint: str | None
    url: str | None


class DeliveryDocument(_Document):
    """The announcement of the job's end to one subscriber."""

    id: str = Field(description="The webhook-id that the receiver sees, the same at every try.")
    state: DeliveryState
    subscriber: SubscriberDocument
    due: str | None = Field(description="The next try; null for at once, or when none follows.")
    attempts: list[AttemptDocument]


class DeliveriesDocument(_Document):
    """The deliveries of one job."""

    deliveries: list[DeliveryDocument]


class AliveDocument(_Document):
    """The process answers."""

    status: Literal["alive"]


class ReadyDocument(_Document):
    """Whether work that comes in now would be done, and if not, why."""

    ready: bool
    reasons: list[str]


class ProblemDocument(BaseModel):
    """A problem (RFC 9457). Other members may be there."""

    type: str = Field(examples=["/problems/unknown_model"])
    title: str
    status: int
    detail: str
    code: str = Field(description="The stable word for this kind of problem.")
    field: str | None = Field(None, description="The field that is wrong.")
    allowed: list[str] | None = Field(None, description="What the field may be.")
    state: JobState | None = Field(None, description="The job's state.")
    estimate_s: float | None = Field(
        None, description="In how many seconds the result would be there."
    )
    scope: str | None = Field(None, description="The scope that the API key lacks.")
    reason: Reason | None = Field(None, description="The job's own reason.")
