"""Whether a submission may come in: pure decisions, and how long to stay away otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from pipeline.errors import Overloaded
from pipeline.jobs.job import JobState
from pipeline.models.catalogue import ModelEntry
from pipeline.models.entry import VersionState
from webapp.refusals import ModelNotReady, UnknownModel, UnknownVersion

#: The bounds of every Retry-After that is computed.
RETRY_AFTER_S = (1, 60)

#: For so long a refusal says something about the next submission.
REFUSAL_COUNTS_MS = 2_000.0
_REFUSED_MAX = 1024

#: Over how much of the past the drain rate is taken.
_RATE_WINDOW_MS = 30_000.0


def choose_version(models: Mapping[str, ModelEntry], *, model: str, version: str) -> str:
    """Give the version to run; "" asks for the newest.

    Raises UnknownModel, UnknownVersion or ModelNotReady.
    """
    entry = models.get(model)
    if entry is None:
        raise UnknownModel(model, known=tuple(models))
    if not entry.is_ready:
        raise ModelNotReady(model, entry.reason or "it has no usable version")
    if version and version not in entry.versions:
        for detail in entry.details:
            if detail.version == version and detail.state is not VersionState.RETIRED:
                reason = detail.reason or f"it is {detail.state} on {detail.instance}"
                raise ModelNotReady(f"{model}/{version}", reason)
        raise UnknownVersion(model, version, known=entry.versions)
    return version or entry.versions[0]


def full(*, waiting: int, wanted: int, waiting_max: int, drained_per_s: float) -> Overloaded:
    """Say that *wanted* more jobs are too many, and when there will be room for them."""
    return Overloaded(
        f"{waiting} jobs wait already, and {waiting_max} may.",
        retry_after_s=retry_after_s(waiting + wanted - waiting_max, drained_per_s),
    )


def retry_after_s(excess: int, drained_per_s: float) -> int:
    """Give the seconds until *excess* jobs have left, within RETRY_AFTER_S."""
    low, high = RETRY_AFTER_S
    if drained_per_s <= 0:
        return high
    # To the nearest: whole seconds rounded up would be half of a short wait too much.
    return min(high, max(low, round(excess / drained_per_s)))


class RecentRefusals:
    """Who was refused a moment ago: the next one likely is, too, and is weighed before it costs."""

    def __init__(self) -> None:
        self._until_ms: dict[str, float] = {}

    def note(self, tenant: str, now_ms: float) -> None:
        """Note that something of *tenant* was refused."""
        if len(self._until_ms) >= _REFUSED_MAX:
            self._until_ms.clear()
        self._until_ms[tenant] = now_ms + REFUSAL_COUNTS_MS

    def is_likely(self, tenant: str, now_ms: float) -> bool:
        """Tell whether the next submission of *tenant* is likely refused."""
        return now_ms < self._until_ms.get(tenant, 0.0)


class DrainRate:
    """How many jobs leave the queue per second, from samples of the counts of states."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_ms: float, counts: Mapping[JobState, int]) -> None:
        """Take a sample; those past the window are dropped."""
        ended = sum(count for state, count in counts.items() if state.is_terminal)
        self._samples.append((now_ms, ended))
        while now_ms - self._samples[0][0] > _RATE_WINDOW_MS:
            self._samples.popleft()

    @property
    def per_s(self) -> float:
        """Give the rate over the window, 0 before there are two samples."""
        if len(self._samples) < 2:
            return 0.0
        (first_ms, first), (last_ms, last) = self._samples[0], self._samples[-1]
        return max(0.0, (last - first) / max(1.0, last_ms - first_ms) * 1000)
