"""The backlog shows the scheduler what waits, and gives out what it chose."""

from __future__ import annotations

import pytest

from dispatcher.scheduling.backlog import Backlog
from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.view import GroupKey, RunBatch, WaitingClass
from tests.builders_dispatcher import make_ready, make_shelved

ECHO = make_shelved()
OTHER = make_shelved("other")
COSTS = {
    model.key: ModelCost(load_ms=100.0, fixed_ms=10.0, per_item_ms=5.0) for model in (ECHO, OTHER)
}
GROUP = GroupKey(model="echo/1", shape=(3, 4, 4))
HIGH, NORMAL, LOW = 0, 1, 2


def test_an_empty_backlog_shows_nothing() -> None:
    """Without jobs there is no model to be seen."""
    backlog = Backlog()
    assert len(backlog) == 0
    assert backlog.view(0.0, COSTS) == ()
    assert backlog.drain() == []


def test_jobs_are_shown_by_model_shape_and_priority() -> None:
    """Each model has its groups, each group its classes, most urgent first, with count and age."""
    backlog = Backlog()
    for at_ms, priority in ((1.0, LOW), (2.0, HIGH), (4.0, LOW)):
        backlog.add(make_ready(ECHO, at_ms=at_ms, priority=priority))
    backlog.add(make_ready(ECHO, at_ms=5.0, shape=(3, 8, 8)))
    backlog.add(make_ready(OTHER, at_ms=6.0))

    echo, other = backlog.view(10.0, COSTS)

    assert (echo.model, other.model) == ("echo/1", "other/1")
    assert [group.key.shape for group in echo.groups] == [(3, 4, 4), (3, 8, 8)]
    assert echo.groups[0].classes == (
        WaitingClass(priority=HIGH, count=1, oldest_waiting_since_ms=2.0, unserved_since_ms=2.0),
        WaitingClass(priority=LOW, count=2, oldest_waiting_since_ms=1.0, unserved_since_ms=1.0),
    )
    assert echo.groups[0].newest_waiting_since_ms == 4.0
    assert len(backlog) == 5


def test_what_is_taken_is_gone_and_the_rest_stays() -> None:
    """A batch takes its size by priority, then by age; the others are shown on."""
    backlog = Backlog()
    jobs = [make_ready(ECHO, at_ms=float(i), priority=p) for i, p in enumerate((LOW, NORMAL, HIGH))]
    for job in jobs:
        backlog.add(job)

    taken = backlog.take(RunBatch(group=GROUP, size=2), now_ms=9.0, ends_ms=20.0)

    assert taken == [jobs[2], jobs[1]]
    assert len(backlog) == 1
    assert backlog.drain() == [jobs[0]]


def test_a_class_that_was_served_counts_as_unserved_from_then() -> None:
    """A batch with jobs of a class sets back since when that class was passed over, no other's."""
    backlog = Backlog()
    for at_ms, priority in ((1.0, NORMAL), (2.0, NORMAL), (3.0, LOW)):
        backlog.add(make_ready(ECHO, at_ms=at_ms, priority=priority))
    backlog.take(RunBatch(group=GROUP, size=1), now_ms=50.0, ends_ms=60.0)
    (model,) = backlog.view(60.0, COSTS)
    assert [waiting.unserved_since_ms for waiting in model.groups[0].classes] == [50.0, 3.0]


def test_the_gap_between_arrivals_is_learnt() -> None:
    """Jobs that come every four milliseconds show a gap of four."""
    backlog = Backlog()
    for index in range(30):
        backlog.add(make_ready(ECHO, at_ms=4.0 * index))
    (model,) = backlog.view(200.0, COSTS)
    assert model.groups[0].arrival_gap_ms == pytest.approx(4.0)


def test_a_job_that_comes_back_is_no_arrival() -> None:
    """Taken and put back, a job keeps its age, and moves neither the gap nor the newest arrival."""
    backlog = Backlog()
    for at_ms in (0.0, 4.0, 8.0):
        backlog.add(make_ready(ECHO, at_ms=at_ms))
    before = backlog.view(10.0, COSTS)
    taken = backlog.take(RunBatch(group=GROUP, size=3), now_ms=10.0, ends_ms=20.0)
    (emptied,) = backlog.view(20.0, COSTS)
    assert not emptied.has_jobs
    assert emptied.groups[0].arrival_gap_ms == before[0].groups[0].arrival_gap_ms

    for ready in reversed(taken):
        backlog.add(ready)
    (after,) = backlog.view(20.0, COSTS)

    group = after.groups[0]
    assert group.arrival_gap_ms == before[0].groups[0].arrival_gap_ms
    assert group.newest_waiting_since_ms == 8.0
    assert group.oldest_waiting_since_ms == 0.0
    assert group.count == 3


def test_deadlines_that_cannot_be_met_hide_none_that_can() -> None:
    """The earliest deadline is that of a job which a batch of its own would still meet."""
    backlog = Backlog()
    for deadline_ms in (114.0, 130.0, 120.0):
        backlog.add(make_ready(ECHO, deadline_ms=deadline_ms))
    (model,) = backlog.view(100.0, COSTS)  # alone, a job would end at 115
    assert model.groups[0].earliest_deadline_ms == 120.0


def test_late_jobs_are_taken_out() -> None:
    """Past their deadline jobs of every group come out; at the deadline itself it has passed."""
    backlog = Backlog()
    late = make_ready(ECHO, deadline_unix_ms=1000)
    late_too = make_ready(OTHER, deadline_unix_ms=999)
    kept = [make_ready(ECHO, deadline_unix_ms=1001), make_ready(ECHO)]
    for ready in (late, late_too, *kept):
        backlog.add(ready)
    assert backlog.take_late(1000) == [late, late_too]
    assert backlog.take_late(1000) == []
    assert backlog.drain() == kept


def test_draining_one_model_leaves_the_others() -> None:
    """What waits for one model comes out, of every shape; another's jobs stay."""
    backlog = Backlog()
    mine = [make_ready(ECHO), make_ready(ECHO, shape=(3, 8, 8))]
    theirs = make_ready(OTHER)
    for ready in (*mine, theirs):
        backlog.add(ready)
    assert backlog.drain("echo/1") == mine
    assert backlog.drain() == [theirs]


def test_pictures_of_endless_sizes_leave_no_trace() -> None:
    """After a thousand shapes were served, no more than 257 groups are remembered."""
    backlog = Backlog()
    for side_px in range(1, 1001):
        ready = make_ready(ECHO, shape=(3, side_px, side_px))
        backlog.add(ready)
        backlog.take(RunBatch(group=ready.group, size=1), now_ms=1.0, ends_ms=2.0)
    assert sum(len(model.groups) for model in backlog.view(5.0, COSTS)) <= 257
