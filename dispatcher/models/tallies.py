"""What each version has done since the dispatcher started: counts, and times in fixed bins.

Kept in a few hundred bytes a version and never stored: a restart begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.models.entry import BatchSizeCount, Spent, Statistics
from pipeline.protocol import Provenance

#: Each bin is a quarter wider than the one before: percentiles are right to within a quarter.
_FIRST_MS = 0.1
_GROWTH = 1.25
_BINS = 72  # the last begins at about 760 s


class Histogram:
    """Counts of durations."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS
        self._total = 0

    def add(self, duration_ms: float) -> None:
        """Count one."""
        index, bound_ms = 0, _FIRST_MS
        while duration_ms > bound_ms and index < _BINS - 1:
            index += 1
            bound_ms *= _GROWTH
        self._counts[index] += 1
        self._total += 1

    def percentile_ms(self, share: float) -> float:
        """Give the upper bound of the bin below which *share* of all lie; 0 without any."""
        wanted, seen = share * self._total, 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return float(round(_FIRST_MS * _GROWTH**index, 3))
        return 0.0


@dataclass(slots=True, kw_only=True)
class Tally:
    """One version's counts."""

    jobs: int = 0
    batches: int = 0
    failures: int = 0
    last_used_unix_ms: int = 0
    device_ms: Histogram = field(default_factory=Histogram)
    decode_ms: Histogram = field(default_factory=Histogram)
    spent: Spent = Spent()
    by_size: dict[int, BatchSizeCount] = field(default_factory=dict)

    def add_batch(self, device_ms: float, made_by: Sequence[Provenance]) -> None:
        """Count the times of a batch, of which *made_by* are the jobs that went well."""
        if not made_by:
            return
        self.spent = self.spent.plus(
            Spent(
                queue_ms=sum(each.queued_ms + each.waited_ms for each in made_by),
                decode_ms=sum(each.decode_ms for each in made_by),
                device_ms=sum(each.device_ms for each in made_by),
                reduce_ms=sum(each.reduce_ms for each in made_by),
            )
        )
        size = made_by[0].batch_size
        before = self.by_size.get(size, BatchSizeCount(size=size))
        self.by_size[size] = BatchSizeCount(
            size=size, batches=before.batches + 1, device_ms=before.device_ms + device_ms
        )

    def statistics(self) -> Statistics:
        """Give what others are told."""
        return Statistics(
            jobs=self.jobs,
            batches=self.batches,
            failures=self.failures,
            device_p50_ms=self.device_ms.percentile_ms(0.5),
            device_p99_ms=self.device_ms.percentile_ms(0.99),
            decode_p50_ms=self.decode_ms.percentile_ms(0.5),
            decode_p99_ms=self.decode_ms.percentile_ms(0.99),
            last_used_unix_ms=self.last_used_unix_ms,
            spent=self.spent,
            by_size=tuple(self.by_size[size] for size in sorted(self.by_size)),
        )
