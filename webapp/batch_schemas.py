"""The shapes of batches' answers, for OpenAPI alone; tests compare them with what is written."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.batches.batch import BatchState, SourceKind
from pipeline.jobs.job import Priority

_MOMENT = "RFC 3339, UTC."


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ItemFault(_Document):
    """What is wrong with an item, or why its job has no result."""

    code: str
    detail: str


class ItemErrorDocument(_Document):
    """An item that became no job."""

    index: int
    name: str
    code: str
    detail: str


class ItemDocument(_Document):
    """One item of a batch."""

    index: int
    name: str = Field(description="The entry's name, the URL without its query, or the frame.")
    job: str | None = Field(description="The job's id; null where the item became none.")
    state: str = Field(
        description="The job's state; `refused` without a job, `forgotten` when its record is gone."
    )
    error: ItemFault | None


class ItemPageDocument(_Document):
    """A page of items."""

    items: list[ItemDocument]
    next: int | None = Field(description="The `from` of the next page, null on the last one.")


class BatchItems(_Document):
    """How far the source was expanded."""

    total: int | None = Field(description="Null while it is not known, as of a video.")
    expanded: int = Field(description="Items looked at so far.")
    refused: int = Field(description="Items that became no job, such as files that are no picture.")


class BatchJobs(_Document):
    """What became of the jobs."""

    made: int
    live: int = Field(description="Jobs that have not ended.")
    succeeded: int
    failed: int
    canceled: int
    expired: int


class BatchReason(_Document):
    """Why the source gave nothing, or not all."""

    code: str
    detail: str


class BatchLinks(_Document):
    """Where more is to be found."""

    self: str
    items: str
    results: str


class BatchDocument(_Document):
    """A batch."""

    id: str = Field(examples=["batch_01jd3k4m5n6p7q8r9s0t1v2w3x"])
    state: BatchState
    kind: SourceKind
    model: str
    version: str
    priority: Priority
    reference: str | None
    metadata: dict[str, Any]
    bytes: int
    accepted_at: str = Field(description=_MOMENT)
    finished_at: str | None = Field(description=_MOMENT)
    deadline: str | None = Field(description=_MOMENT)
    items: BatchItems
    jobs: BatchJobs
    reason: BatchReason | None
    links: BatchLinks


class ReadBatchDocument(BatchDocument):
    """A batch with its first item errors."""

    errors: list[ItemErrorDocument]


class BatchPageDocument(_Document):
    """A page of batches, newest first."""

    batches: list[BatchDocument]
    next: str | None = Field(description="The `cursor` of the next page, null on the last one.")


DOCUMENTS = (
    BatchDocument,
    ReadBatchDocument,
    BatchPageDocument,
    ItemPageDocument,
)
