"""How fast the devices get through each model's jobs, and what that means for a deadline. Pure.

A rate is measured only while enough waits: what an idle device gets through says how little there
was to do, not how much it can.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.jobs.job import Job, Priority
from pipeline.jobs.loads import Loads, line_field, model_field, through_field
from pipeline.jobs.quotas import Ceiling

#: Over how much of the past a rate is taken.
WINDOW_MS = 10_000.0

#: A rate counts from this much measured time on.
_MEASURED_MIN_MS = 1500.0

#: An interval counts when so much of what it got through was waiting at both of its ends.
_BUSY_SHARE = 0.1

#: So much of the time that is left is counted on; the rest is for batches, postprocess and chance.
_USABLE = 0.8

#: The name of the ceiling that a deadline makes.
DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class _Interval:
    ends_ms: float
    took_ms: float
    through: int


class ServiceRates:
    """Jobs per second of each model, from samples of the loads."""

    def __init__(self) -> None:
        self._last: tuple[float, Loads] | None = None
        self._intervals: dict[str, deque[_Interval]] = {}

    def add(self, now_ms: float, loads: Loads) -> None:
        """Take a sample."""
        if self._last is not None:
            before_ms, before = self._last
            for name in loads.fields:
                kind, _, model = name.partition(":")
                if kind == "through":
                    self._add(model, before, loads, before_ms, now_ms)
        self._last = (now_ms, loads)

    def per_s(self, model: str) -> float:
        """Give a model's rate; 0 while it is not known."""
        intervals = self._intervals.get(model, ())
        took_ms = sum(each.took_ms for each in intervals)
        if took_ms < _MEASURED_MIN_MS:
            return 0.0
        return sum(each.through for each in intervals) / took_ms * 1000

    def _add(
        self, model: str, before: Loads, after: Loads, before_ms: float, now_ms: float
    ) -> None:
        field_name = through_field(model)
        through = after.of(field_name) - before.of(field_name)
        waited = min(before.model(model), after.model(model))
        intervals = self._intervals.setdefault(model, deque())
        if through > 0 and waited >= max(1.0, _BUSY_SHARE * through):
            took_ms = max(1.0, now_ms - before_ms)
            intervals.append(_Interval(ends_ms=now_ms, took_ms=took_ms, through=through))
        # Counted from the last measurement: what a model could do before a calm it can after it.
        while intervals and intervals[-1].ends_ms - intervals[0].ends_ms > WINDOW_MS:
            intervals.popleft()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What can be said about the time that new work of one model and tenant will take.

    *share* is how much of the device the tenant has beside the others that have work now.
    """

    per_s: float
    share: float
    loads: Loads = field(default_factory=lambda: Loads(fields={}))

    def wait_s(self, job: Job, *, count: int) -> float:
        """Estimate when the last of *count* jobs such as *job* is through; 0 while unknown."""
        if self.per_s <= 0:
            return 0.0
        ahead = self.loads.ahead(job.model, job.priority) + count
        own = count + sum(self.loads.of(name) for name in _own_fields(job))
        return min(ahead / self.per_s, own / (self.per_s * self.share))

    def ceiling(self, job: Job, *, count: int, left_ms: float) -> Ceiling | None:
        """Give what may lie before *count* jobs that are due in *left_ms*; None while unknown.

        A tenant waits for everybody's work, or for its own at its share of the device, whichever is
        the shorter.
        """
        if self.per_s <= 0:
            return None
        doable = self.per_s * max(0.0, left_ms) / 1000 * _USABLE
        # An idle device takes a job even where the rate says that it will hardly do.
        return Ceiling(
            name=DEADLINE,
            fields=_model_fields(job),
            by=count,
            at_most=max(count, math.floor(doable)),
            unless=Ceiling(
                name=DEADLINE,
                fields=_own_fields(job),
                by=count,
                at_most=max(0, math.floor(doable * self.share)),
            ),
        )


def outlook_of(
    model: str, tenant: str, *, rates: ServiceRates, loads: Loads, weights: Mapping[str, float]
) -> Outlook:
    """Give the outlook of *tenant*'s next job for *model*."""
    others = loads.tenants(model) - {tenant}
    own = weights.get(tenant, 1.0)
    total = own + sum(weights.get(other, 1.0) for other in others)
    return Outlook(per_s=rates.per_s(model), share=own / total, loads=loads)


def _model_fields(job: Job) -> tuple[str, ...]:
    urgent = [each for each in Priority if each.rank <= job.priority.rank]
    return tuple(model_field(job.model, each) for each in urgent)


def _own_fields(job: Job) -> tuple[str, ...]:
    urgent = [each for each in Priority if each.rank <= job.priority.rank]
    return tuple(line_field(job.model, each, job.tenant) for each in urgent)
