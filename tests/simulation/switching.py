"""Two models that do not fit together: the best that any order of switching could do.

The trace is known in advance here, and the device does what it is told without round trips, noise
or stalls: nothing that runs the trace as it comes can do better. A job may start only once it has
arrived; a batch is of one model, which must be loaded. The state is which model is loaded and how
many jobs of each are done, in order of arrival; for each state the earliest moment is kept, which
is all that matters for what follows: later is never better.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.view import BatchLimits
from tests.simulation.policies import Scheduled
from tests.simulation.simulator import (
    EVICT_MS,
    Scenario,
    SimulatedJob,
    SimulatedModel,
    Simulation,
)

_SIZE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternation:
    """Traffic that goes from one model to the other and back, in stretches of *jobs* jobs.

    Within a stretch jobs come as fast as *load* times what the device does in full batches; each
    stretch but the first costs a load of *load_ms* if nothing is run together.
    """

    jobs: int
    load: float
    load_ms: float
    stretches: int


ALTERNATIONS = (
    Alternation(jobs=24, load=1.0, load_ms=200.0, stretches=36),
    Alternation(jobs=40, load=1.2, load_ms=400.0, stretches=24),
    Alternation(jobs=16, load=1.5, load_ms=600.0, stretches=60),
    Alternation(jobs=64, load=1.0, load_ms=1000.0, stretches=16),
    Alternation(jobs=8, load=1.5, load_ms=300.0, stretches=100),
)

#: Each job is to be done in so long: the class of what nobody waits for at a screen.
DEADLINE_MS = 10_000.0


def alternating(kind: Alternation, seed: int) -> Scenario:
    """Give the scenario of *kind* with this seed; each model alone fills the device's memory."""
    rng = random.Random(f"{kind}/{seed}")
    cost = ModelCost(load_ms=kind.load_ms, fixed_ms=8.0, per_item_ms=4.0)
    models = tuple(
        SimulatedModel(
            name=name,
            limits=BatchLimits(max_size=_SIZE, max_delay_ms=5),
            memory_bytes=100,
            cost=cost,
            believed=replace(cost, load_ms=cost.load_ms * 1.2, per_item_ms=3.0),
        )
        for name in ("even/1", "odd/1")
    )
    gap_ms = cost.run_ms(_SIZE) / _SIZE / kind.load
    jobs: list[SimulatedJob] = []
    moment_ms = 0.0
    for stretch in range(kind.stretches):
        for _ in range(kind.jobs):
            moment_ms += rng.expovariate(1.0 / gap_ms)
            jobs.append(
                SimulatedJob(
                    index=len(jobs),
                    group=models[stretch % 2].groups[0],
                    priority=1,
                    arrives_ms=moment_ms,
                    deadline_ms=moment_ms + DEADLINE_MS,
                )
            )
    return Scenario(seed=seed, models=models, jobs=tuple(jobs), budget_bytes=100, warm=("even/1",))


def offline_optimum_ms(scenario: Scenario) -> float:
    """Give the earliest moment at which all jobs of two models could be done; see the module.

    By dynamic programming over (jobs done of one, jobs done of the other, model loaded). A batch
    that waits for one more job is among the choices: it starts when the last of its jobs arrives.
    """
    names = [model.name for model in scenario.models]
    arrivals = [
        sorted(job.arrives_ms for job in scenario.jobs if job.group.model == name) for name in names
    ]
    runs_ms = [
        [model.cost.run_ms(size) for size in range(model.limits.largest + 1)]
        for model in scenario.models
    ]
    switch_ms = [EVICT_MS + model.cost.load_ms for model in scenario.models]
    never = math.inf
    first, second = (len(each) for each in arrivals)
    # best[a][b] are the moments with the one and with the other model loaded.
    best = [[[never, never] for _ in range(second + 1)] for _ in range(first + 1)]
    best[0][0][names.index(scenario.warm[0])] = 0.0
    for a in range(first + 1):
        for b in range(second + 1):
            one_ms, other_ms = best[a][b]
            moments_ms = (
                min(one_ms, other_ms + switch_ms[0]),
                min(other_ms, one_ms + switch_ms[1]),
            )
            for size in range(1, min(first - a, len(runs_ms[0]) - 1) + 1):
                ends_ms = max(moments_ms[0], arrivals[0][a + size - 1]) + runs_ms[0][size]
                best[a + size][b][0] = min(best[a + size][b][0], ends_ms)
            for size in range(1, min(second - b, len(runs_ms[1]) - 1) + 1):
                ends_ms = max(moments_ms[1], arrivals[1][b + size - 1]) + runs_ms[1][size]
                best[a][b + size][1] = min(best[a][b + size][1], ends_ms)
    return min(best[first][second])


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """How the scheduler did on all seeds of one kind of traffic."""

    kind: Alternation
    #: The least, over the seeds, of its throughput over the offline optimum's.
    worst_share: float
    mean_share: float
    oldest_ms: float
    missed: int
    loads: float


def measure(kind: Alternation, seeds: Iterable[int]) -> Switching:
    """Run the scheduler on one kind of traffic and compare it with the offline optimum."""
    shares, oldest_ms, missed, loads = [], 0.0, 0, []
    for seed in seeds:
        scenario = alternating(kind, seed)
        outcome = Simulation(scenario, Scheduled()).run()
        done = len(outcome.ended_ms)
        throughput = done / outcome.finished_ms
        shares.append(throughput / (len(scenario.jobs) / offline_optimum_ms(scenario)))
        ages_ms = [
            outcome.ended_ms[job.index] - job.arrives_ms
            for job in scenario.jobs
            if job.index in outcome.ended_ms
        ]
        oldest_ms = max(oldest_ms, *ages_ms)
        missed += len(scenario.jobs) - done
        loads.append(outcome.loads)
    return Switching(
        kind=kind,
        worst_share=min(shares),
        mean_share=statistics.fmean(shares),
        oldest_ms=oldest_ms,
        missed=missed,
        loads=statistics.fmean(loads),
    )
