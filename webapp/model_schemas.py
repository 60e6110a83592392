"""The shapes of the answers about models, for OpenAPI alone."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.models.commands import CommandKind
from pipeline.models.entry import VersionState

_MOMENT = "RFC 3339, UTC."


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PercentilesDocument(_Document):
    """Two percentiles in milliseconds, right to within a quarter; 0 without any measurement."""

    p50: float
    p99: float


class StatisticsDocument(_Document):
    """What a version has done since its dispatcher started."""

    jobs: int
    failures: int = Field(description="Jobs that the model failed.")
    batches: int
    mean_batch: float
    device_ms: PercentilesDocument
    decode_ms: PercentilesDocument
    last_used: str | None = Field(description=_MOMENT)


class VersionDocument(_Document):
    """One version on one dispatcher's device."""

    version: str
    state: VersionState
    reason: str | None
    dispatcher: str
    device: str
    generation: int = Field(description="How often its files were replaced, counted from 1.")
    memory_bytes: int | None = Field(description="What it takes on the device when loaded.")
    sha256: str | None = Field(description="Of the model file that runs.")
    self_test: str | None = Field(description="passed; null where there is none.")
    statistics: StatisticsDocument


class ModelDocument(_Document):
    """A model."""

    name: str
    task: str
    description: str
    state: Literal["ready", "refused"]
    reason: str | None = Field(description="Why versions of it are not offered, and what to do.")
    versions: list[str] = Field(description="Those that jobs may name, the default first.")
    labels: list[str]
    queued: int = Field(description="Accepted jobs that wait or run.")
    details: list[VersionDocument] = Field(description="Every version, offered or not.")


class ModelsDocument(_Document):
    """All models."""

    models: list[ModelDocument]


class CommandLinks(_Document):
    """Where more is to be found."""

    self: str


class CommandAnswerDocument(_Document):
    """What one dispatcher says of a command."""

    name: str
    state: Literal["pending", "done", "failed"]
    reason: str | None
    answered_at: str | None = Field(description=_MOMENT)


class CommandDocument(_Document):
    """A command about a model, and what became of it."""

    id: str
    command: CommandKind
    model: str
    version: str | None
    state: Literal["pending", "done", "failed", "expired"]
    asked_at: str | None = Field(description=_MOMENT)
    dispatchers: list[CommandAnswerDocument]
    links: CommandLinks
