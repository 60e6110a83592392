"""What is done about an operation, from what RQ knows of it."""

from __future__ import annotations

import pytest

from operations.planning import FAILED_PAUSE_MS, LOST_AFTER_MS, Act, RqJob, RqState, act_on

ME, MINE = "default.box.b2", "default.box."


@pytest.mark.parametrize(
    ("job", "act"),
    [
        (RqJob(state=RqState.ABSENT), Act.ENQUEUE),
        (RqJob(state=RqState.WAITING, since_ms=10**9), Act.NOTHING),
        (RqJob(state=RqState.FINISHED), Act.RENEW),
        (RqJob(state=RqState.UNLISTED, since_ms=LOST_AFTER_MS - 1), Act.NOTHING),
        (RqJob(state=RqState.UNLISTED, since_ms=LOST_AFTER_MS), Act.RENEW),
        (RqJob(state=RqState.FAILED, since_ms=FAILED_PAUSE_MS - 1), Act.NOTHING),
        (RqJob(state=RqState.FAILED, since_ms=FAILED_PAUSE_MS), Act.RENEW),
        (RqJob(state=RqState.STARTED, worker=ME, since_ms=10**9), Act.NOTHING),
        (RqJob(state=RqState.STARTED, worker="default.box.a1"), Act.RENEW),
        (RqJob(state=RqState.STARTED, worker="default.other.a1", since_ms=10**9), Act.NOTHING),
        (RqJob(state=RqState.STARTED, worker="", since_ms=10**9), Act.NOTHING),
    ],
)
def test_a_needed_operation_is_asked_for_until_somebody_works_it(job: RqJob, act: Act) -> None:
    """Lost, failed and orphaned jobs are asked for anew; others' are left to RQ itself."""
    assert act_on(job, worker=ME, own_prefix=MINE) is act
