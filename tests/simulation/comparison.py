"""Every policy on the same scenarios, as rows of a table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.simulation.policies import (
    FirstComeFirstServed,
    FixedBatch,
    OldestFirstBatches,
    RoundRobin,
    Scheduled,
)
from tests.simulation.scenarios import FAMILIES, Family, draw
from tests.simulation.simulator import Outcome, Policy, Scenario, Simulation

POLICIES: tuple[Callable[[], Policy], ...] = (
    Scheduled,
    FirstComeFirstServed,
    FixedBatch,
    RoundRobin,
    OldestFirstBatches,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy on all scenarios of one family; means over the scenarios.

    A job that expired counts with the time it waited. *relative_latency* is the geometric mean of
    the scheduler's mean latency over this policy's: below 1 the scheduler is the faster.
    """

    family: str
    policy: str
    mean_ms: float
    high_mean_ms: float
    p99_ms: float
    missed_share: float
    loads: float
    relative_latency: float


def compare(seeds: Iterable[int], jobs: int, families: Sequence[Family] = FAMILIES) -> list[Row]:
    """Run every policy on every family and seed."""
    rows = []
    for family in families:
        scenarios = [draw(family, seed, jobs) for seed in seeds]
        results = {
            policy().name: [(s, Simulation(s, policy()).run()) for s in scenarios]
            for policy in POLICIES
        }
        ours = [mean_ms(*pair) for pair in results[Scheduled.name]]
        rows += [_row(family.name, name, pairs, ours) for name, pairs in results.items()]
    return rows


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| family | policy | mean ms | high mean ms | p99 ms | missed | loads | gw / this |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.family} | {r.policy} | {r.mean_ms:.0f} | {r.high_mean_ms:.0f} | {r.p99_ms:.0f} "
        f"| {r.missed_share:.1%} | {r.loads:.1f} | {r.relative_latency:.2f} |"
        for r in rows
    ]
    return "\n".join(lines)


def latencies_ms(scenario: Scenario, outcome: Outcome, most_priority: int = 2) -> list[float]:
    """Return the latency of every job of *most_priority* or higher, or what it waited to expire."""
    ended_ms = outcome.ended_ms | outcome.expired_ms
    jobs = [job for job in scenario.jobs if job.priority <= most_priority]
    return [ended_ms[job.index] - job.arrives_ms for job in jobs]


def mean_ms(scenario: Scenario, outcome: Outcome) -> float:
    """Return the mean latency over all jobs."""
    return statistics.fmean(latencies_ms(scenario, outcome))


def missed_share(scenario: Scenario, outcome: Outcome) -> float:
    """Return the share of jobs with a deadline that expired or ended after it."""
    due = [job for job in scenario.jobs if job.deadline_ms is not None]
    missed = [
        job
        for job in due
        if job.deadline_ms is not None
        and outcome.ended_ms.get(job.index, float("inf")) > job.deadline_ms
    ]
    return len(missed) / len(due) if due else 0.0


def _row(
    family: str, policy: str, pairs: Sequence[tuple[Scenario, Outcome]], ours: Sequence[float]
) -> Row:
    high = [ms for pair in pairs for ms in latencies_ms(*pair, most_priority=0)]
    ratios = [our / mean_ms(*pair) for our, pair in zip(ours, pairs, strict=True)]
    return Row(
        family=family,
        policy=policy,
        mean_ms=statistics.fmean(mean_ms(*pair) for pair in pairs),
        high_mean_ms=statistics.fmean(high) if high else 0.0,
        p99_ms=statistics.fmean(
            statistics.quantiles(latencies_ms(*pair), n=100)[98] for pair in pairs
        ),
        missed_share=statistics.fmean(missed_share(*pair) for pair in pairs),
        loads=statistics.fmean(outcome.loads for _, outcome in pairs),
        relative_latency=statistics.geometric_mean(ratios),
    )
