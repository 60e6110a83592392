"""Costs and arrival gaps are learnt from what was measured."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.scheduling.estimates import ModelCost, learn, learn_gap, learn_load

TRUTH = ModelCost(load_ms=800.0, fixed_ms=12.0, per_item_ms=3.0)


@pytest.mark.parametrize("wrong", [0.1, 10.0])
def test_costs_are_found_from_a_wrong_start(wrong: float) -> None:
    """Batches of mixed sizes separate the fixed from the per-item part, noise or not."""
    rng = random.Random(1)
    cost = ModelCost(load_ms=1.0, fixed_ms=12.0 * wrong, per_item_ms=3.0 * wrong)
    for _ in range(400):
        size = rng.randint(1, 8)
        cost = learn(cost, size, TRUTH.run_ms(size) * rng.uniform(0.95, 1.05))

    assert cost.fixed_ms == pytest.approx(12.0, rel=0.15)
    assert cost.per_item_ms == pytest.approx(3.0, rel=0.15)


def test_one_size_alone_is_learnt_in_a_few_batches() -> None:
    """Where all batches have one size, that size's time is right after thirty."""
    cost = ModelCost(load_ms=1.0, fixed_ms=1.0, per_item_ms=1.0)
    for _ in range(30):
        cost = learn(cost, 8, TRUTH.run_ms(8))

    assert cost.run_ms(8) == pytest.approx(TRUTH.run_ms(8), rel=0.02)


def test_a_stall_changes_little() -> None:
    """One batch that took a hundred times as long moves the estimate by a fifth at most."""
    stalled = learn(TRUTH, 4, TRUTH.run_ms(4) * 100.0)

    assert TRUTH.run_ms(4) < stalled.run_ms(4) <= 1.2 * TRUTH.run_ms(4) + 1e-9


def test_a_load_is_learnt() -> None:
    """A load time nears what is measured, a fifth of the way at a time."""
    assert learn_load(TRUTH, 1000.0).load_ms == pytest.approx(840.0)
    assert learn_load(TRUTH, 1000.0).fixed_ms == TRUTH.fixed_ms


def test_a_pause_between_bursts_hardly_counts() -> None:
    """The gap within bursts is found although a long pause lies between any two of them."""
    usual_ms: float | None = None
    for _ in range(20):
        for gap_ms in [1.0] * 7 + [5000.0]:
            usual_ms = learn_gap(usual_ms, gap_ms)

    assert usual_ms is not None
    assert usual_ms < 1.5


@given(
    st.floats(0.0, 1e4),
    st.floats(0.0, 1e4),
    st.floats(0.1, 256.0),
    st.floats(0.0, 1e6),
)
def test_estimates_stay_possible(
    fixed_ms: float, per_item_ms: float, size: float, measured_ms: float
) -> None:
    """Neither part of a cost becomes negative, nor does the estimate pass the measurement."""
    cost = ModelCost(load_ms=1.0, fixed_ms=fixed_ms, per_item_ms=per_item_ms)

    learnt = learn(cost, size, measured_ms)

    assert learnt.fixed_ms >= 0.0
    assert learnt.per_item_ms >= 0.0
    low_ms, high_ms = sorted((cost.run_ms(size), measured_ms))
    assert low_ms - 1e-6 <= learnt.run_ms(size) <= high_ms + 1e-6
