"""The offline optimum is one, and the scheduler comes near it where models alternate."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from tests.simulation.simulator import EVICT_MS, Scenario
from tests.simulation.switching import (
    ALTERNATIONS,
    Alternation,
    alternating,
    measure,
    offline_optimum_ms,
)


def exhaustive_ms(scenario: Scenario) -> float:
    """Try every split of the jobs into batches, in every order of the models."""
    even, odd = scenario.models
    arrivals = {
        model.name: [job.arrives_ms for job in scenario.jobs if job.group.model == model.name]
        for model in (even, odd)
    }

    def best(now_ms: float, loaded: str, done: tuple[int, int]) -> float:
        if done == (len(arrivals[even.name]), len(arrivals[odd.name])):
            return now_ms
        ends = [math.inf]
        for index, model in enumerate((even, odd)):
            switch_ms = 0.0 if loaded == model.name else EVICT_MS + model.cost.load_ms
            left = len(arrivals[model.name]) - done[index]
            for size in range(1, min(left, model.limits.largest) + 1):
                last_ms = arrivals[model.name][done[index] + size - 1]
                ends_ms = max(now_ms + switch_ms, last_ms) + model.cost.run_ms(size)
                after = (done[0] + size, done[1]) if index == 0 else (done[0], done[1] + size)
                ends.append(best(ends_ms, model.name, after))
        return min(ends)

    return best(0.0, scenario.warm[0], (0, 0))


@pytest.mark.parametrize(("load_ms", "seed"), [*itertools.product((5.0, 40.0), range(3))])
def test_the_optimum_is_what_trying_everything_finds(load_ms: float, seed: int) -> None:
    """On traces that are small enough to try everything."""
    kind = Alternation(jobs=2, load=0.7, load_ms=load_ms, stretches=4)
    scenario = alternating(kind, seed)
    small = replace(
        scenario,
        models=tuple(
            replace(model, limits=replace(model.limits, max_size=2)) for model in scenario.models
        ),
    )
    assert offline_optimum_ms(small) == pytest.approx(exhaustive_ms(small))


def test_alternating_models_reach_nine_tenths_of_the_optimum() -> None:
    """Of two that do not fit together, with no job older than its deadline allows."""
    switching = measure(ALTERNATIONS[0], range(2))
    assert switching.mean_share >= 0.90
    assert switching.missed == 0
