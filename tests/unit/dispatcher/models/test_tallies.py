"""Percentiles out of fixed bins."""

from __future__ import annotations

import random

import pytest

from dispatcher.models.tallies import Histogram, Tally
from pipeline.models.entry import BatchSizeCount, Spent
from tests.builders import make_provenance


def test_percentiles_are_right_to_within_a_bin() -> None:
    """Against the sorted values of a thousand draws; never below the truth."""
    rng = random.Random(5)
    values = sorted(rng.lognormvariate(2.0, 1.5) for _ in range(1000))
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for share, index in ((0.5, 499), (0.99, 989)):
        told = histogram.percentile_ms(share)
        assert values[index] <= told <= max(0.1, values[index]) * 1.26


@pytest.mark.parametrize(("value", "told"), [(0.0, 0.1), (1e12, pytest.approx(763_000, rel=0.3))])
def test_the_extremes_have_a_bin(value: float, told: float) -> None:
    """What is too short or too long is counted at the edge."""
    histogram = Histogram()
    histogram.add(value)
    assert histogram.percentile_ms(0.5) == told


def test_without_jobs_everything_is_zero() -> None:
    """A version that has done nothing says so."""
    statistics = Tally().statistics()
    assert (statistics.device_p50_ms, statistics.mean_batch, statistics.jobs) == (0.0, 0.0, 0)


def test_times_add_up_by_stage_and_by_batch_size() -> None:
    """Two batches of two and one of one leave their sums, and a failed one leaves none."""
    tally = Tally()
    pair = [make_provenance(batch_size=2), make_provenance(batch_size=2)]
    for made_by in (pair, pair, [make_provenance()], []):
        tally.add_batch(3.0, made_by)

    statistics = tally.statistics()

    assert statistics.spent == Spent(queue_ms=7.5, decode_ms=10.0, device_ms=15.0, reduce_ms=1.25)
    assert statistics.by_size == (
        BatchSizeCount(size=1, batches=1, device_ms=3.0),
        BatchSizeCount(size=2, batches=2, device_ms=6.0),
    )
