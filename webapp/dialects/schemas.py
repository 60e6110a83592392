"""The shapes of other protocols' bodies and answers, for OpenAPI alone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_PICTURE = "An http or https URL, or a data URL in base64."


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PredictionInput(BaseModel):
    """The picture, and anything else: that comes back as the prediction's input."""

    model_config = ConfigDict(extra="allow")

    image: str = Field(description=_PICTURE)


class PredictionRequest(_Document):
    """A request for a prediction."""

    input: PredictionInput
    version: str | None = Field(
        None, description="The model, or one of its versions.", examples=["echo", "echo:2"]
    )
    model: str | None = Field(None, description="The same under another name.")
    id: str | None = Field(None, max_length=128, description="The caller's own id.")
    webhook: str | None = Field(None, description="A URL that is told of the end.")
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] | None = Field(
        None, description="Only `completed` is sent, and must be among them."
    )
    webhook_completed: str | None = Field(None, description="The older name of `webhook`.")
    context: Any = Field(None, description="Of no consequence.")
    stream: bool | None = Field(None, description="Of no consequence.")
    created_at: str | None = Field(None, description="Of no consequence.")


class PredictionUrls(_Document):
    """Where more is to be found."""

    get: str
    cancel: str


class PredictionDocument(_Document):
    """A prediction."""

    id: str
    model: str = Field(examples=["gw/echo"])
    version: str = Field(examples=["echo:2"])
    status: Literal["starting", "processing", "succeeded", "failed", "canceled"]
    input: dict[str, Any] = Field(description="Without the picture.")
    output: Any = Field(description="The result, as GET /v1/jobs/{job_id}/result gives it.")
    error: str | None
    logs: str
    metrics: dict[str, float]
    created_at: str | None
    started_at: str | None
    completed_at: str | None
    urls: PredictionUrls


class PredictionsDocument(_Document):
    """One page of predictions, newest first."""

    previous: None
    next: str | None
    results: list[PredictionDocument]


class CogFault(_Document):
    """One thing that cannot be taken."""

    loc: list[str]
    msg: str
    type: str
    ctx: dict[str, Any] | None = None


class CogFaultsDocument(_Document):
    """What of a request cannot be taken."""

    detail: list[CogFault]


class CogHealthDocument(BaseModel):
    """Whether predictions would be made."""

    status: Literal["STARTING", "READY", "UNHEALTHY"]
    setup: dict[str, Any]
    version: dict[str, str]
    user_healthcheck_error: str | None = None


class ReplicateVersionDocument(_Document):
    """A version of a model."""

    id: str = Field(examples=["echo:2"])
    created_at: str = Field(description="Not known: the epoch.")
    cog_version: str
    openapi_schema: dict[str, Any]


class ReplicateVersionsDocument(_Document):
    """The versions of a model, newest first."""

    previous: None
    next: None
    results: list[ReplicateVersionDocument]


class ReplicateModelDocument(BaseModel):
    """A model."""

    url: str
    owner: str
    name: str
    description: str | None
    visibility: Literal["private"]
    run_count: int
    latest_version: ReplicateVersionDocument | None


class WebhookSecretDocument(_Document):
    """What webhooks of predictions and of fal's requests are signed with."""

    key: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class FalInput(BaseModel):
    """The picture, and anything else: that is kept with the job."""

    model_config = ConfigDict(extra="allow")

    image_url: str | None = Field(None, description=_PICTURE)
    image: str | None = Field(None, description="The same under another name.")


class FalQueuedDocument(_Document):
    """A request that is in the queue."""

    request_id: str
    status: Literal["IN_QUEUE"]
    queue_position: int
    response_url: str
    status_url: str
    cancel_url: str


class FalStatusDocument(_Document):
    """Where a request stands."""

    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    request_id: str
    queue_position: int | None = None
    logs: list[Any] | None
    metrics: dict[str, float] | None = None
    error: str | None = None
    error_type: str | None = None
    response_url: str
    status_url: str
    cancel_url: str


class FalCancelDocument(_Document):
    """What became of the wish to cancel."""

    status: Literal["CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]


class FalErrorDocument(BaseModel):
    """An error."""

    detail: str
    error_type: str | None = None


class AipRequest(_Document):
    """A picture."""

    image: str = Field(description="The picture as a file, in base64.")


DOCUMENTS = (
    PredictionRequest,
    PredictionDocument,
    PredictionsDocument,
    CogFaultsDocument,
    CogHealthDocument,
    ReplicateModelDocument,
    ReplicateVersionDocument,
    ReplicateVersionsDocument,
    WebhookSecretDocument,
    FalInput,
    FalQueuedDocument,
    FalStatusDocument,
    FalCancelDocument,
    FalErrorDocument,
    AipRequest,
)
