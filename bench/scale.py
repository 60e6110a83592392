"""How much is measured: enough to trust, or just enough to see that it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The counts of all measurements.

    *rounds* is how often reference and platform take turns, *window* how many jobs are in flight at
    saturation.
    """

    rounds: int
    window: int
    detector_jobs: int
    text_jobs: int
    saturated_jobs: int
    trickle_jobs: int
    latency_jobs: int
    warm_up_jobs: int
    backlog_jobs: int
    bare_jobs: int


FULL = Scale(
    rounds=3,
    window=128,
    detector_jobs=1500,
    text_jobs=40,
    saturated_jobs=4000,
    trickle_jobs=500,
    latency_jobs=600,
    warm_up_jobs=300,
    backlog_jobs=10_000,
    bare_jobs=2000,
)

#: Seconds instead of minutes: what it gives is no measurement.
QUICK = Scale(
    rounds=1,
    window=32,
    detector_jobs=80,
    text_jobs=4,
    saturated_jobs=200,
    trickle_jobs=30,
    latency_jobs=30,
    warm_up_jobs=40,
    backlog_jobs=300,
    bare_jobs=100,
)
