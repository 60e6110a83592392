"""Who took over must show that it can."""

from __future__ import annotations

import pytest

from dispatcher.models.probation import Probation, TrialLimits

LIMITS = TrialLimits(jobs=10, failures=2)


@pytest.mark.parametrize(
    ("probation", "is_over", "verdict"),
    [
        (Probation(), False, ""),
        (Probation(jobs=9, failures=1), False, ""),
        (Probation(jobs=10, failures=1), True, ""),
        (Probation(jobs=4, failures=2), True, "it failed 2 of its first 4 jobs"),
        (Probation(jobs=1, losses=1), True, "it brought the device down within its first 1 jobs"),
    ],
)
def test_a_trial_ends_by_jobs_failures_or_a_loss(
    probation: Probation, is_over: bool, verdict: str
) -> None:
    """Enough jobs end it well, enough failures or one lost device badly."""
    assert (probation.is_over(LIMITS), probation.verdict(LIMITS)) == (is_over, verdict)


def test_batches_add_up() -> None:
    """Jobs, failures and losses of every batch count."""
    after = Probation().after(jobs=3, failures=1, lost=False).after(jobs=2, failures=0, lost=True)
    assert after == Probation(jobs=5, failures=1, losses=1)
