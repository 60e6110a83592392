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
    device_busy_s: float
    power_cuts: int
    notifier_rounds: int
    notifier_deliveries: int
    chaos_deliveries: int
    batch_items: int
    endurance_runs: int
    endurance_limit_s: float
    overload_s: float
    api_jobs: int
    api_posts: int


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
    device_busy_s=30.0,
    power_cuts=50,
    notifier_rounds=40,
    notifier_deliveries=3000,
    chaos_deliveries=10_000,
    batch_items=2000,
    endurance_runs=1_000_000,
    endurance_limit_s=900.0,
    overload_s=60.0,
    api_jobs=20_000,
    api_posts=5000,
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
    device_busy_s=4.0,
    power_cuts=2,
    notifier_rounds=2,
    notifier_deliveries=200,
    chaos_deliveries=100,
    batch_items=70,
    endurance_runs=5000,
    endurance_limit_s=60.0,
    overload_s=8.0,
    api_jobs=2000,
    api_posts=500,
)
