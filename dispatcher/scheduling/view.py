"""The words of scheduling: what waits, what the device holds, and what it may be told next.

Moments are monotonic milliseconds. Priorities are 0 (high), 1 (normal) and 2 (low).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.scheduling.estimates import ModelCost


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """Jobs of one model (``name/version``) with one input shape: they may share a batch."""

    model: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingClass:
    """The ready jobs of one priority in a group; *count* is above 0.

    *unserved_since_ms* is the later of the oldest job's arrival and the class's last batch.
    *earliest_deadline_ms* is the earliest that can still be met.
    """

    priority: int
    count: int
    oldest_waiting_since_ms: float
    unserved_since_ms: float
    earliest_deadline_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingGroup:
    """A group's *classes*, highest priority first. A group without any still tells its arrivals.

    *newest_waiting_since_ms* is the last arrival, whether that job still waits or not.
    *arrival_gap_ms* is the usual time between two arrivals, ``None`` when unknown. *item_weight*
    is what a job costs relative to the model's ``per_item_ms`` (its share of pixels, say).
    """

    key: GroupKey
    classes: tuple[WaitingClass, ...] = ()
    newest_waiting_since_ms: float = 0.0
    arrival_gap_ms: float | None = None
    item_weight: float = 1.0

    @property
    def count(self) -> int:
        """How many jobs are ready."""
        return sum(waiting.count for waiting in self.classes)

    @property
    def oldest_waiting_since_ms(self) -> float:
        """When the longest-waiting job became ready. Only for a group with jobs."""
        return min(waiting.oldest_waiting_since_ms for waiting in self.classes)

    @property
    def earliest_deadline_ms(self) -> float | None:
        """The earliest deadline that can still be met."""
        deadlines = [waiting.earliest_deadline_ms for waiting in self.classes]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """At most *max_size* jobs in a batch, which waits at most *max_delay_ms* to fill.

    With *gears*, the device computes only these sizes, and a batch is padded up to one of them.
    """

    max_size: int
    max_delay_ms: float
    gears: tuple[int, ...] = ()

    @property
    def largest(self) -> int:
        """The most jobs that one batch may hold."""
        return min(self.max_size, max(self.gears, default=self.max_size))

    def padded(self, size: int) -> int:
        """Return the size that the device computes for *size* jobs."""
        return min((gear for gear in self.gears if gear >= size), default=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingModel:
    """One model: its limits, the memory it takes on the device, and its groups."""

    model: str
    limits: BatchLimits
    memory_bytes: int
    groups: tuple[WaitingGroup, ...]

    @property
    def has_jobs(self) -> bool:
        """Whether any group has a ready job."""
        return any(group.classes for group in self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model on the device, from the moment its load was sent (*loaded_ms*)."""

    memory_bytes: int
    loaded_ms: float
    last_used_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A batch or a load of *model* that the device was sent and should end at *ends_ms*."""

    model: str
    ends_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """The device as its supervisor knows it.

    It does what it is sent in order, loads included, with at most *depth* commands in flight.
    *costs* names every waiting and every loaded model.
    """

    loaded: Mapping[str, LoadedModel]
    budget_bytes: int
    in_flight: tuple[InFlight, ...]
    costs: Mapping[str, ModelCost]
    depth: int = 2

    @property
    def free_bytes(self) -> int:
        """The part of the budget that no loaded model takes."""
        return self.budget_bytes - sum(model.memory_bytes for model in self.loaded.values())

    def is_busy(self, model: str) -> bool:
        """Whether *model* has a batch or its load in flight."""
        return any(command.model == model for command in self.in_flight)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBatch:
    """Send *size* jobs of *group*: those that ``scheduler.seat`` names.

    Jobs due by *due_by_ms* sit first; a quarter of the seats is for *starved_priority*.
    """

    group: GroupKey
    size: int
    due_by_ms: float | None = None
    starved_priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel:
    """Load *model*: there is room for it."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictModel:
    """Unload *model*: it has nothing in flight."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Ask again at *until_ms*, or at the next arrival or answer, whichever comes first."""

    until_ms: float | None = None


Action = RunBatch | LoadModel | EvictModel | Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """What ``scheduler.seat`` needs to know of a ready job.

    *turn* is its place among the tenants', see ``fairness.py``.
    """

    priority: int
    waiting_since_ms: float
    deadline_ms: float | None = None
    turn: float = 0.0
