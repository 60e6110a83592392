"""A model as others see it: what can be asked for, and how each version of it is doing."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pipeline.documents import from_document
from pipeline.errors import MalformedMessage
from pipeline.models.tensors import TensorFacts


@enum.verify(enum.UNIQUE)
class VersionState(enum.StrEnum):
    """How one version of a model is on one dispatcher."""

    #: It can run, and is not on the device now.
    AVAILABLE = "available"
    #: It is on its way to the device.
    LOADING = "loading"
    #: It is on the device.
    LOADED = "loaded"
    #: It cannot be used; the reason says why.
    FAILED = "failed"
    #: It takes no new jobs and leaves the device when the accepted ones are through.
    UNLOADING = "unloading"
    #: It takes no new jobs: removed or replaced. Accepted ones still run for a while.
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The times of all jobs that went well, added up, by stage."""

    queue_ms: float = 0.0
    decode_ms: float = 0.0
    device_ms: float = 0.0
    reduce_ms: float = 0.0

    def plus(self, other: Spent) -> Spent:
        """Add another's times."""
        return Spent(
            queue_ms=self.queue_ms + other.queue_ms,
            decode_ms=self.decode_ms + other.decode_ms,
            device_ms=self.device_ms + other.device_ms,
            reduce_ms=self.reduce_ms + other.reduce_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSizeCount:
    """How many batches of one *size* there were, and their time on the device, added up."""

    size: int
    batches: int = 0
    device_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a version has done since its dispatcher started. Percentiles are of a histogram's bins.

    *failures* are jobs that the model failed; *last_used_unix_ms* is 0 for never. *spent* and
    *by_size* are of the jobs and batches that went well.
    """

    jobs: int = 0
    batches: int = 0
    failures: int = 0
    device_p50_ms: float = 0.0
    device_p99_ms: float = 0.0
    decode_p50_ms: float = 0.0
    decode_p99_ms: float = 0.0
    last_used_unix_ms: int = 0
    spent: Spent = Spent()
    by_size: tuple[BatchSizeCount, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Parse what ``dataclasses.asdict`` gave; raises TypeError, ValueError or the like."""
        fields = dict(document)
        fields["spent"] = from_document(Spent, fields.get("spent", {}))
        fields["by_size"] = tuple(
            from_document(BatchSizeCount, each) for each in fields.get("by_size", ())
        )
        return from_document(cls, fields)

    @property
    def mean_batch(self) -> float:
        """Give the jobs of an average batch, 0 before the first."""
        return self.jobs / self.batches if self.batches else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """One version on one dispatcher.

    *generation* counts how often its files were replaced. *self_test* is "" where there is none,
    ``passed``, or what went wrong. *inputs* and *outputs* are the model file's, batch axis first;
    *platform* is the kind of file it is, as the Open Inference Protocol names it. *batch_max* and
    *batch_delay_ms* bound its batches.
    """

    version: str
    state: VersionState
    reason: str = ""
    instance: str = ""
    device: str = ""
    generation: int = 1
    memory_bytes: int = 0
    file_sha256: str = ""
    self_test: str = ""
    platform: str = ""
    inputs: tuple[TensorFacts, ...] = ()
    outputs: tuple[TensorFacts, ...] = ()
    batch_max: int = 0
    batch_delay_ms: float = 0.0
    statistics: Statistics = Statistics()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Parse what ``dataclasses.asdict`` gave; raises TypeError, ValueError or the like."""
        fields = dict(document)
        fields["state"] = VersionState(fields["state"])
        fields["statistics"] = Statistics.from_json(fields.get("statistics", {}))
        for name in ("inputs", "outputs"):
            fields[name] = tuple(from_document(TensorFacts, each) for each in fields.get(name, ()))
        return from_document(cls, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model as others see it.

    *versions* are offered, the default first: a job that names none gets that. A model that offers
    none is refused, and *reason* says why and what to do. *details* tell of every version that
    there is, offered or not. *queued* is how many accepted jobs wait for it.
    """

    name: str
    task: str = ""
    description: str = ""
    runtime: str = ""
    versions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    reason: str = ""
    queued: int = 0
    details: tuple[VersionEntry, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether jobs for it are accepted."""
        return bool(self.versions)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Parse what ``dataclasses.asdict`` gave; raises MalformedMessage."""
        try:
            fields = dict(document)
            for name in ("versions", "labels"):
                fields[name] = tuple(_texts(fields[name]))
            fields["details"] = tuple(
                VersionEntry.from_json(each) for each in fields.get("details", ())
            )
            return from_document(cls, fields)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"catalogue entry: {exc!r}") from exc


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TypeError(f"a list of texts, not {values!r}")
    return values
