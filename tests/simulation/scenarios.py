"""Seeded scenarios, in families that each stress one thing."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.view import BatchLimits, GroupKey
from tests.simulation.simulator import Scenario, SimulatedJob, SimulatedModel

GEARS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of scenario. Ranges are drawn from uniformly.

    *load* is the offered work as a share of what the device does in full batches, loads of models
    not counted. *fitting* is the share of the models that fit in memory at once (at least one).
    """

    name: str
    models: tuple[int, int] = (1, 4)
    load: tuple[float, float] = (0.2, 0.95)
    fitting: tuple[float, float] = (1.0, 1.0)
    load_ms: tuple[float, float] = (50.0, 1500.0)
    fixed_ms: tuple[float, float] = (1.0, 15.0)
    item_ms: tuple[float, float] = (0.5, 8.0)
    burst: tuple[int, int] = (1, 1)
    deadline_share: float = 0.0
    #: A deadline is so many times the job's own batch of one, plus some round trips.
    slack: tuple[float, float] = (4.0, 40.0)
    #: Shares of high, normal and low.
    priorities: tuple[float, float, float] = (0.2, 0.6, 0.2)
    #: Low-priority jobs that all arrive at the start, as a share of the jobs.
    bulk_share: float = 0.0
    #: Whether the device starts with all models loaded; only where all fit.
    warm: bool = True


FAMILIES = (
    Family(name="one model", models=(1, 1)),
    Family(name="all models fit"),
    Family(name="cold start", warm=False),
    Family(name="bursts", burst=(4, 24), load=(0.2, 0.8)),
    Family(
        name="dear batches",
        burst=(1, 8),
        load=(0.2, 0.8),
        fixed_ms=(15.0, 40.0),
        item_ms=(0.5, 2.0),
    ),
    Family(name="one priority", priorities=(0.0, 1.0, 0.0)),
    Family(name="deadlines", deadline_share=0.6),
    Family(name="overload", load=(1.1, 1.6), deadline_share=0.4),
    Family(name="bulk and interactive", bulk_share=0.5, load=(0.2, 0.7), deadline_share=0.2),
    Family(
        name="half the models fit", warm=False, models=(3, 5), fitting=(0.4, 0.7), load=(0.1, 0.6)
    ),
    Family(
        name="half fit, bursts",
        warm=False,
        models=(3, 5),
        fitting=(0.4, 0.7),
        load=(0.1, 0.6),
        burst=(4, 24),
    ),
    Family(name="one model fits", warm=False, models=(2, 3), fitting=(0.0, 0.0), load=(0.1, 0.4)),
    Family(
        name="one fits, deadlines",
        warm=False,
        models=(2, 3),
        fitting=(0.0, 0.0),
        load=(0.1, 0.4),
        deadline_share=0.5,
        slack=(40.0, 400.0),
    ),
)


def draw(family: Family, seed: int, jobs: int) -> Scenario:
    """Return the scenario of *family* with this *seed* and about so many *jobs*."""
    rng = random.Random(f"{family.name}/{seed}")
    models = tuple(_model(rng, family, i) for i in range(rng.randint(*family.models)))
    total_bytes = sum(model.memory_bytes for model in models)
    largest_bytes = max(model.memory_bytes for model in models)
    budget_bytes = max(largest_bytes, int(total_bytes * rng.uniform(*family.fitting)))
    return Scenario(
        seed=seed,
        models=models,
        jobs=_jobs(rng, family, models, jobs),
        budget_bytes=budget_bytes,
        depth=rng.choice((1, 2, 2)),
        warm=tuple(model.name for model in models) if family.warm else (),
    )


def _model(rng: random.Random, family: Family, index: int) -> SimulatedModel:
    max_size = rng.choice((1, 4, 8, 8, 16))
    gears = tuple(gear for gear in GEARS if gear <= max_size) if rng.random() < 0.3 else ()
    cost = ModelCost(
        load_ms=rng.uniform(*family.load_ms),
        fixed_ms=rng.uniform(*family.fixed_ms),
        per_item_ms=rng.uniform(*family.item_ms),
    )
    return SimulatedModel(
        name=f"model-{index}/1",
        limits=BatchLimits(max_size=max_size, max_delay_ms=rng.choice((0, 5, 20)), gears=gears),
        memory_bytes=rng.randint(60, 300),
        cost=cost,
        believed=replace(
            cost,
            load_ms=cost.load_ms * rng.uniform(0.5, 2.0),
            fixed_ms=cost.fixed_ms * rng.uniform(0.5, 2.0),
            per_item_ms=cost.per_item_ms * rng.uniform(0.5, 2.0),
        ),
        item_weights=rng.choice(((1.0,), (1.0,), (1.0, 2.0), (0.5, 1.0, 3.0))),
    )


def _jobs(
    rng: random.Random, family: Family, models: tuple[SimulatedModel, ...], count: int
) -> tuple[SimulatedJob, ...]:
    """Return Poisson arrivals of bursts, each burst for one group, at the family's load."""
    groups = [(model, group) for model in models for group in model.groups]
    shares = [rng.uniform(0.1, 1.0) ** 2 for _ in groups]
    job_ms = sum(
        share * _alone_ms(model, group, model.limits.largest)
        for (model, group), share in zip(groups, shares, strict=True)
    ) / sum(shares)
    bulk = int(count * family.bulk_share)
    load = rng.uniform(*family.load)
    gap_ms = job_ms / load

    jobs: list[SimulatedJob] = []
    moment_ms = 0.0
    while len(jobs) < count:
        size = rng.randint(*family.burst)
        model, group = rng.choices(groups, shares)[0]
        if len(jobs) >= bulk:
            moment_ms += rng.expovariate(1.0 / (gap_ms * size))
        for _ in range(size):
            priority = rng.choices((0, 1, 2), family.priorities)[0]
            if len(jobs) < bulk:
                priority = 2
            # Members of a burst are decoded one after the other.
            arrives_ms = moment_ms + rng.uniform(0.0, 4.0)
            deadline_ms = None
            if priority < 2 and rng.random() < family.deadline_share:
                slack = rng.uniform(*family.slack)
                deadline_ms = arrives_ms + 10.0 + slack * _alone_ms(model, group, 1)
            jobs.append(
                SimulatedJob(
                    index=len(jobs),
                    group=group,
                    priority=priority,
                    arrives_ms=arrives_ms,
                    deadline_ms=deadline_ms,
                )
            )
    return tuple(jobs)


def _alone_ms(model: SimulatedModel, group: GroupKey, size: int) -> float:
    """Return the device's time per job in batches of *size*."""
    padded = model.limits.padded(size) * model.item_weights[group.shape[0]]
    return model.cost.run_ms(padded) / size
