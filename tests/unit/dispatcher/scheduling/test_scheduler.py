"""Each rule of the scheduler alone, and what holds whatever it is shown."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.eviction import TENURE_LOADS
from dispatcher.scheduling.scheduler import LEAD_MS, STARVING_LOADS, STARVING_MS, choose, seat
from dispatcher.scheduling.view import (
    Action,
    BatchLimits,
    DeviceView,
    EvictModel,
    GroupKey,
    InFlight,
    LoadedModel,
    LoadModel,
    RunBatch,
    Wait,
    WaitingClass,
    WaitingGroup,
    WaitingJob,
    WaitingModel,
)

NOW_MS = 100_000.0
COST = ModelCost(load_ms=1000.0, fixed_ms=10.0, per_item_ms=5.0)
HIGH, NORMAL, LOW = 0, 1, 2


def make_class(
    count: int = 1,
    *,
    priority: int = NORMAL,
    age_ms: float = 1.0,
    unserved_ms: float | None = None,
    due_in_ms: float | None = None,
) -> WaitingClass:
    """Return a class whose oldest job waits since *age_ms*."""
    return WaitingClass(
        priority=priority,
        count=count,
        oldest_waiting_since_ms=NOW_MS - age_ms,
        unserved_since_ms=NOW_MS - (age_ms if unserved_ms is None else unserved_ms),
        earliest_deadline_ms=None if due_in_ms is None else NOW_MS + due_in_ms,
    )


def make_model(
    name: str = "a/1",
    *classes: WaitingClass,
    limits: BatchLimits | None = None,
    gap_ms: float | None = None,
    memory_bytes: int = 100,
) -> WaitingModel:
    """Return a model with one group of *classes*; its last job came a moment ago."""
    group = WaitingGroup(
        key=key(name),
        classes=classes,
        newest_waiting_since_ms=NOW_MS - 1.0,
        arrival_gap_ms=gap_ms,
    )
    return WaitingModel(
        model=name,
        limits=limits or BatchLimits(max_size=8, max_delay_ms=5.0),
        memory_bytes=memory_bytes,
        groups=(group,),
    )


def make_loaded(
    memory_bytes: int = 100, *, loaded_ago_ms: float = 90_000.0, used_ago_ms: float = 10.0
) -> LoadedModel:
    """Return a model that was loaded long ago and used just now."""
    return LoadedModel(
        memory_bytes=memory_bytes,
        loaded_ms=NOW_MS - loaded_ago_ms,
        last_used_ms=NOW_MS - used_ago_ms,
    )


def make_device(
    *,
    budget_bytes: int = 1000,
    in_flight: tuple[InFlight, ...] = (),
    costs: dict[str, ModelCost] | None = None,
    depth: int = 2,
    **loaded: LoadedModel,
) -> DeviceView:
    """Return a device with the models ``a/1`` to ``d/1`` known and *loaded* ones by letter."""
    return DeviceView(
        loaded={f"{letter}/1": model for letter, model in loaded.items()},
        budget_bytes=budget_bytes,
        in_flight=in_flight,
        costs={f"{letter}/1": COST for letter in "abcd"} | (costs or {}),
        depth=depth,
    )


def key(name: str = "a/1") -> GroupKey:
    """Return the key of the group that ``make_model`` gives *name*."""
    return GroupKey(model=name, shape=(640, 640))


def test_nothing_waiting_means_waiting() -> None:
    """Without jobs the device waits for an arrival."""
    assert choose(NOW_MS, [make_model()], make_device(a=make_loaded())) == Wait()


def test_a_backlog_goes_in_the_largest_batch() -> None:
    """A batch is as large as the model allows when more jobs than that wait."""
    action = choose(NOW_MS, [make_model("a/1", make_class(30))], make_device(a=make_loaded()))

    assert action == RunBatch(group=key(), size=8)


def test_a_lone_job_goes_at_once_on_an_idle_device() -> None:
    """A job does not wait for others that are not expected in time."""
    model = make_model("a/1", make_class(1), gap_ms=500.0)

    assert choose(NOW_MS, [model], make_device(a=make_loaded())) == RunBatch(group=key(), size=1)


def test_a_batch_fills_while_the_next_job_is_worth_waiting_for() -> None:
    """With jobs coming every half millisecond one job waits, until the next proves to be late."""
    model = make_model("a/1", make_class(1), gap_ms=0.5)

    # (10 - 1 * 5) / (1 + 1) ms after the newest job, which came 1 ms ago.
    assert choose(NOW_MS, [model], make_device(a=make_loaded())) == Wait(until_ms=NOW_MS + 1.5)


def test_a_batch_never_fills_past_its_delay() -> None:
    """The oldest job's ``max_delay_ms`` ends the filling whatever is expected."""
    device = make_device(a=make_loaded(), costs={"a/1": replace(COST, fixed_ms=500.0)})
    filling = make_model("a/1", make_class(1, age_ms=4.0), gap_ms=0.5)
    overdue = make_model("a/1", make_class(1, age_ms=5.0), gap_ms=0.5)

    assert choose(NOW_MS, [filling], device) == Wait(until_ms=NOW_MS + 1.0)
    assert choose(NOW_MS, [overdue], device) == RunBatch(group=key(), size=1)


def test_a_deadline_ends_the_filling() -> None:
    """A batch stops filling at the last moment from which it meets its deadline."""
    model = make_model("a/1", make_class(1, due_in_ms=16.0), gap_ms=0.5)

    assert choose(NOW_MS, [model], make_device(a=make_loaded())) == Wait(until_ms=NOW_MS + 1.0)


def test_while_one_batch_fills_another_goes() -> None:
    """The device does not idle for a filling batch when another is ready."""
    filling = make_model("a/1", make_class(1), gap_ms=0.5)
    ready = make_model("b/1", make_class(1, priority=LOW))

    action = choose(NOW_MS, [filling, ready], make_device(a=make_loaded(), b=make_loaded()))

    assert action == RunBatch(group=key("b/1"), size=1)


def test_a_part_filled_batch_grows_while_the_device_is_busy() -> None:
    """Behind a running batch a part-filled one is sent just before its end, a full one at once."""
    busy = make_device(a=make_loaded(), in_flight=(InFlight(model="a/1", ends_ms=NOW_MS + 40.0),))
    nearly = make_device(a=make_loaded(), in_flight=(InFlight(model="a/1", ends_ms=NOW_MS + 2.0),))

    part, full = make_model("a/1", make_class(3)), make_model("a/1", make_class(8))

    assert choose(NOW_MS, [part], busy) == Wait(until_ms=NOW_MS + 40.0 - LEAD_MS)
    assert choose(NOW_MS, [part], nearly) == RunBatch(group=key(), size=3)
    assert choose(NOW_MS, [full], busy) == RunBatch(group=key(), size=8)


def test_no_more_is_sent_than_the_depth_allows() -> None:
    """With as many commands in flight as allowed the next waits for an answer."""
    flight = InFlight(model="a/1", ends_ms=NOW_MS + 1.0)
    model = make_model("a/1", make_class(8))

    assert choose(NOW_MS, [model], make_device(a=make_loaded(), in_flight=(flight,) * 2)) == Wait()


def test_a_batch_may_be_padded_to_a_gear_where_that_is_cheaper() -> None:
    """Three jobs run padded to four when a batch is dear, as two and one when an item is."""
    limits = BatchLimits(max_size=8, max_delay_ms=5.0, gears=(1, 2, 4, 8))
    model = make_model("a/1", make_class(3), limits=limits)
    dear_batch = make_device(a=make_loaded(), costs={"a/1": replace(COST, fixed_ms=50.0)})
    dear_item = make_device(a=make_loaded(), costs={"a/1": replace(COST, fixed_ms=1.0)})

    assert choose(NOW_MS, [model], dear_batch) == RunBatch(group=key(), size=3)
    assert choose(NOW_MS, [model], dear_item) == RunBatch(group=key(), size=2)


def test_one_job_runs_where_the_smallest_gear_is_larger() -> None:
    """Padding serves a job that no gear fits exactly."""
    limits = BatchLimits(max_size=8, max_delay_ms=5.0, gears=(4, 8))
    model = make_model("a/1", make_class(1), limits=limits)

    assert choose(NOW_MS, [model], make_device(a=make_loaded())) == RunBatch(group=key(), size=1)


def test_higher_priority_goes_first() -> None:
    """Of two like groups the one with the higher priority goes first."""
    models = [
        make_model("a/1", make_class(1, priority=NORMAL)),
        make_model("b/1", make_class(1, priority=HIGH)),
    ]

    action = choose(NOW_MS, models, make_device(a=make_loaded(), b=make_loaded()))

    assert action == RunBatch(group=key("b/1"), size=1)


def test_age_outweighs_priority() -> None:
    """A low-priority job that waits long enough goes before a new high-priority one."""
    fresh = make_model("b/1", make_class(1, priority=HIGH))
    device = make_device(a=make_loaded(), b=make_loaded())

    young = make_model("a/1", make_class(1, priority=LOW, age_ms=200.0))
    old = make_model("a/1", make_class(1, priority=LOW, age_ms=2000.0))

    assert choose(NOW_MS, [young, fresh], device) == RunBatch(group=key("b/1"), size=1)
    assert choose(NOW_MS, [old, fresh], device) == RunBatch(group=key("a/1"), size=1)


def test_a_batch_that_is_still_dear_lets_a_full_one_go_first() -> None:
    """Two jobs of eight wait for more beside a full batch that serves as much per millisecond."""
    part = make_model("a/1", make_class(2))
    full = make_model("b/1", make_class(1), limits=BatchLimits(max_size=1, max_delay_ms=5.0))
    device = make_device(
        a=make_loaded(),
        b=make_loaded(),
        costs={"b/1": ModelCost(load_ms=1.0, fixed_ms=10.0, per_item_ms=1.0)},
    )

    assert choose(NOW_MS, [part, full], device) == RunBatch(group=key("b/1"), size=1)


def test_a_deadline_at_risk_goes_before_what_serves_more() -> None:
    """A job that would miss its deadline behind the best batch goes first, and not before that."""
    crowd = make_model("b/1", make_class(8, priority=HIGH))  # 50 ms
    device = make_device(a=make_loaded(), b=make_loaded())

    at_risk = make_model("a/1", make_class(1, priority=LOW, due_in_ms=60.0))
    safe = make_model("a/1", make_class(1, priority=LOW, due_in_ms=70.0))
    hopeless = make_model("a/1", make_class(1, priority=LOW, due_in_ms=10.0))

    assert choose(NOW_MS, [at_risk, crowd], device) == RunBatch(
        group=key("a/1"), size=1, due_by_ms=NOW_MS + 75.0
    )
    assert choose(NOW_MS, [safe, crowd], device) == RunBatch(group=key("b/1"), size=8)
    assert choose(NOW_MS, [hopeless, crowd], device) == RunBatch(group=key("b/1"), size=8)


def test_the_earliest_deadline_at_risk_goes_first() -> None:
    """Of two deadlines at risk the earlier is served."""
    models = [
        make_model("a/1", make_class(1, due_in_ms=25.0)),
        make_model("b/1", make_class(1, due_in_ms=20.0)),
    ]

    action = choose(NOW_MS, models, make_device(a=make_loaded(), b=make_loaded()))

    assert isinstance(action, RunBatch)
    assert action.group == key("b/1")


def test_a_batch_shrinks_to_meet_a_deadline() -> None:
    """Of eight jobs as many go as end by the earliest deadline."""
    model = make_model("a/1", make_class(8, due_in_ms=30.0))

    action = choose(NOW_MS, [model], make_device(a=make_loaded()))

    assert isinstance(action, RunBatch)
    assert action.size == 4


def test_a_starving_class_goes_before_everything() -> None:
    """A class passed over for too long goes before deadlines, and is named for its seats."""
    starving = make_model("a/1", make_class(4), make_class(1, priority=LOW, age_ms=STARVING_MS))
    crowd = make_model("b/1", make_class(8, priority=HIGH, due_in_ms=55.0))

    action = choose(NOW_MS, [starving, crowd], make_device(a=make_loaded(), b=make_loaded()))

    assert action == RunBatch(group=key("a/1"), size=5, starved_priority=LOW)


def test_starving_takes_longer_where_others_must_leave() -> None:
    """A model that fits is loaded for a starving job; loads count only if it pushes others out."""
    starving = make_model("b/1", make_class(1, priority=LOW, age_ms=STARVING_MS))
    crowd = make_model("a/1", make_class(80, priority=HIGH))

    roomy = make_device(budget_bytes=200, a=make_loaded())
    tight = make_device(budget_bytes=100, a=make_loaded())

    assert choose(NOW_MS, [starving, crowd], roomy) == LoadModel(model="b/1")
    assert choose(NOW_MS, [starving, crowd], tight) == RunBatch(group=key("a/1"), size=8)


def test_a_class_that_is_served_is_not_starving() -> None:
    """Old jobs of a class that was served lately do not outrank a deadline."""
    served = make_model("a/1", make_class(8, priority=LOW, age_ms=STARVING_MS, unserved_ms=10.0))
    due = make_model("b/1", make_class(8, priority=HIGH, due_in_ms=55.0))

    action = choose(NOW_MS, [served, due], make_device(a=make_loaded(), b=make_loaded()))

    assert isinstance(action, RunBatch)
    assert action.group == key("b/1")


def test_a_model_that_fits_is_loaded_at_once() -> None:
    """On an idle device a waiting model is loaded where there is room."""
    assert choose(NOW_MS, [make_model("a/1", make_class())], make_device()) == LoadModel(
        model="a/1"
    )


def test_a_model_larger_than_the_budget_stops_nobody() -> None:
    """A model that can never be loaded is passed over, however long it waits."""
    never = make_model("a/1", make_class(1, age_ms=90_000.0), memory_bytes=2000)
    other = make_model("b/1", make_class())

    assert choose(NOW_MS, [never, other], make_device()) == LoadModel(model="b/1")
    assert choose(NOW_MS, [never], make_device()) == Wait()


def test_the_cheapest_idle_model_leaves_first() -> None:
    """A model without jobs leaves sooner the longer it was not used and the cheaper its load."""
    wanted = make_model("d/1", make_class(20, age_ms=500.0))
    long_idle = make_device(
        budget_bytes=200, a=make_loaded(used_ago_ms=9000.0), b=make_loaded(used_ago_ms=50.0)
    )
    cheap = make_device(
        budget_bytes=200,
        a=make_loaded(used_ago_ms=50.0),
        b=make_loaded(used_ago_ms=50.0),
        costs={"b/1": replace(COST, load_ms=10.0)},
    )

    assert choose(NOW_MS, [wanted], long_idle) == EvictModel(model="a/1")
    assert choose(NOW_MS, [wanted], cheap) == EvictModel(model="b/1")


def test_a_model_with_jobs_leaves_last() -> None:
    """A model with waiting jobs stays while one without can make room, however lately used."""
    models = [make_model("d/1", make_class(20, age_ms=500.0)), make_model("a/1", make_class(1))]
    device = make_device(
        budget_bytes=200, a=make_loaded(used_ago_ms=9000.0), b=make_loaded(used_ago_ms=1.0)
    )

    assert choose(NOW_MS, models, device) == EvictModel(model="b/1")
    assert choose(NOW_MS, models[:1], device) == EvictModel(model="a/1")


def test_no_more_models_leave_than_must() -> None:
    """When a large model makes room alone, a small one named before it stays."""
    wanted = make_model("d/1", make_class(20, age_ms=500.0), memory_bytes=300)
    device = make_device(
        budget_bytes=400,
        a=make_loaded(100, used_ago_ms=9000.0),
        b=make_loaded(300, used_ago_ms=1000.0),
    )

    assert choose(NOW_MS, [wanted], device) == EvictModel(model="b/1")


def test_a_busy_model_is_waited_for() -> None:
    """A model with a batch in flight is not evicted: the device drains first."""
    device = make_device(
        budget_bytes=100, a=make_loaded(), in_flight=(InFlight(model="a/1", ends_ms=NOW_MS + 1.0),)
    )

    assert choose(NOW_MS, [make_model("d/1", make_class(20, age_ms=500.0))], device) == Wait()


def starved_for(load_ms: float) -> float:
    """Return how long a class waits to be starving where others must leave for its model."""
    return STARVING_MS + STARVING_LOADS * load_ms


def test_a_model_with_jobs_stays_for_its_tenure() -> None:
    """A model loaded lately drains its jobs even beside a starving one, and then makes room."""
    starving = make_model("b/1", make_class(1, age_ms=starved_for(COST.load_ms)))
    resident = make_model("a/1", make_class(8))
    tenure_ms = (1.0 + TENURE_LOADS) * COST.load_ms
    fresh = make_device(budget_bytes=100, a=make_loaded(loaded_ago_ms=tenure_ms - 1.0))
    old = make_device(budget_bytes=100, a=make_loaded(loaded_ago_ms=tenure_ms))

    assert choose(NOW_MS, [starving, resident], fresh) == RunBatch(group=key("a/1"), size=8)
    assert choose(NOW_MS, [starving, resident], old) == EvictModel(model="a/1")


def test_a_model_without_jobs_has_no_tenure() -> None:
    """A model that was loaded lately but has nothing to do makes room."""
    device = make_device(budget_bytes=100, a=make_loaded(loaded_ago_ms=10.0))
    models = [make_model("b/1", make_class(1)), make_model("a/1")]

    assert choose(NOW_MS, models, device) == EvictModel(model="a/1")


def test_a_switch_waits_until_it_pays() -> None:
    """One new job does not push out a model whose jobs keep coming; many that waited do."""
    resident = make_model("a/1", gap_ms=20.0)
    device = make_device(budget_bytes=100, a=make_loaded())

    held = choose(NOW_MS, [make_model("b/1", make_class(1)), resident], device)
    paid = choose(NOW_MS, [make_model("b/1", make_class(90, age_ms=2500.0)), resident], device)

    assert isinstance(held, Wait)
    assert held.until_ms is not None
    assert NOW_MS < held.until_ms <= NOW_MS + COST.load_ms
    assert paid == EvictModel(model="a/1")


def test_nobody_else_loads_while_a_starving_model_waits_for_room() -> None:
    """Room that a starving model waits for is not given to another that would fit."""
    starving = make_model("b/1", make_class(1, age_ms=starved_for(COST.load_ms)), memory_bytes=200)
    resident = make_model("a/1", make_class(1))
    small = make_model("c/1", make_class(200, priority=HIGH), memory_bytes=50)
    device = make_device(budget_bytes=200, a=make_loaded(loaded_ago_ms=100.0))

    assert choose(NOW_MS, [resident, small], device) == LoadModel(model="c/1")
    assert choose(NOW_MS, [starving, resident, small], device) == RunBatch(group=key("a/1"), size=1)


def make_job(
    priority: int = NORMAL, age_ms: float = 0.0, due_in_ms: float | None = None
) -> WaitingJob:
    """Return a job of *age_ms*."""
    return WaitingJob(
        priority=priority,
        waiting_since_ms=NOW_MS - age_ms,
        deadline_ms=None if due_in_ms is None else NOW_MS + due_in_ms,
    )


def test_seats_go_by_priority_then_age() -> None:
    """The higher priority sits first, and within one the older job."""
    jobs = [make_job(LOW, 90.0), make_job(NORMAL, 1.0), make_job(NORMAL, 9.0), make_job(HIGH)]

    assert seat(jobs, RunBatch(group=key(), size=3), NOW_MS + 10.0) == [3, 2, 1]


def test_due_jobs_sit_first_and_late_ones_last() -> None:
    """Jobs due by the batch's moment sit before any priority; those that must miss sit last."""
    jobs = [make_job(HIGH), make_job(LOW, due_in_ms=40.0), make_job(HIGH, 90.0, due_in_ms=5.0)]

    seats = seat(jobs, RunBatch(group=key(), size=3, due_by_ms=NOW_MS + 50.0), NOW_MS + 10.0)

    assert seats == [1, 0, 2]


@pytest.mark.parametrize(("size", "for_low"), [(1, 1), (4, 1), (8, 2)])
def test_a_starved_priority_has_a_quarter_of_the_seats(size: int, for_low: int) -> None:
    """A quarter of the seats, at least one, is for the starved priority."""
    jobs = [make_job(HIGH) for _ in range(10)] + [make_job(LOW) for _ in range(10)]

    seats = seat(jobs, RunBatch(group=key(), size=size, starved_priority=LOW), NOW_MS)

    assert len(set(seats)) == size
    assert sum(jobs[index].priority == LOW for index in seats) == for_low


# --- Whatever is shown -------------------------------------------------------------------------

LETTERS = "abcd"


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[WaitingModel], DeviceView]:
    """Draw a device that could exist, and work for it."""
    moments = st.floats(0.0, 20_000.0)
    costs = {
        f"{letter}/1": ModelCost(
            load_ms=draw(st.floats(0.0, 3000.0)),
            fixed_ms=draw(st.floats(0.0, 50.0)),
            per_item_ms=draw(st.floats(0.0, 20.0)),
        )
        for letter in LETTERS
    }
    waiting = []
    for letter in LETTERS:
        classes = [
            make_class(
                draw(st.integers(1, 40)),
                priority=priority,
                age_ms=(age_ms := draw(moments)),
                unserved_ms=draw(st.floats(0.0, age_ms)),
                due_in_ms=draw(st.none() | st.floats(-50.0, 5000.0)),
            )
            for priority in draw(st.sets(st.integers(0, 2)))
        ]
        limits = BatchLimits(
            max_size=draw(st.integers(1, 16)),
            max_delay_ms=draw(st.floats(0.0, 50.0)),
            gears=draw(st.sampled_from([(), (1, 2, 4, 8), (4, 8), (1, 16)])),
        )
        gap_ms = draw(st.none() | st.floats(0.0, 1000.0))
        memory_bytes = draw(st.integers(1, 100))
        model = make_model(
            f"{letter}/1", *classes, limits=limits, gap_ms=gap_ms, memory_bytes=memory_bytes
        )
        waiting.append(model)

    budget_bytes = draw(st.integers(1, 300))
    loaded: dict[str, LoadedModel] = {}
    for model in waiting:
        taken = sum(held.memory_bytes for held in loaded.values())
        if draw(st.booleans()) and taken + model.memory_bytes <= budget_bytes:
            ago_ms = draw(moments)
            loaded[model.model] = make_loaded(
                model.memory_bytes, loaded_ago_ms=ago_ms, used_ago_ms=draw(st.floats(0.0, ago_ms))
            )
    in_flight = tuple(
        InFlight(model=name, ends_ms=NOW_MS + draw(st.floats(-20.0, 500.0)))
        for name in draw(
            st.lists(st.sampled_from(sorted(loaded)), max_size=2) if loaded else st.just([])
        )
    )
    device = DeviceView(
        loaded=loaded, budget_bytes=budget_bytes, in_flight=in_flight, costs=costs, depth=2
    )
    return waiting, device


Situation = tuple[list[WaitingModel], DeviceView]


def decide(situation: Situation) -> tuple[Action, dict[str, WaitingModel], DeviceView]:
    """Return the choice and what it was made of."""
    waiting, device = situation
    return choose(NOW_MS, waiting, device), {model.model: model for model in waiting}, device


@given(situations())
def test_a_batch_is_never_larger_than_it_may_be(situation: Situation) -> None:
    """A batch holds at least one job, and no more than wait or than the model and gears allow."""
    action, models, device = decide(situation)

    if isinstance(action, RunBatch):
        model = models[action.group.model]
        (group,) = model.groups
        assert action.group.model in device.loaded
        assert 1 <= action.size <= min(group.count, model.limits.max_size)
        if model.limits.gears:
            assert any(action.size <= gear for gear in model.limits.gears)


@given(situations())
def test_a_load_always_fits(situation: Situation) -> None:
    """A model is loaded once, for waiting jobs, and within the budget."""
    action, models, device = decide(situation)

    if isinstance(action, LoadModel):
        assert action.model not in device.loaded
        assert models[action.model].has_jobs
        taken = sum(model.memory_bytes for model in device.loaded.values())
        assert taken + models[action.model].memory_bytes <= device.budget_bytes


@given(situations())
def test_a_busy_model_is_never_evicted(situation: Situation) -> None:
    """Only a loaded model with nothing in flight leaves, and only for waiting jobs."""
    action, models, device = decide(situation)

    if isinstance(action, EvictModel):
        assert action.model in device.loaded
        assert action.model not in [command.model for command in device.in_flight]
        assert any(m.has_jobs and m.model not in device.loaded for m in models.values())


@given(situations())
def test_waiting_never_outlasts_a_filling_batch(situation: Situation) -> None:
    """An idle device asks again before any batch has waited its ``max_delay_ms``."""
    action, models, device = decide(situation)

    if isinstance(action, Wait) and not device.in_flight:
        until_ms = math.inf if action.until_ms is None else action.until_ms
        for model in models.values():
            if model.model in device.loaded and model.has_jobs:
                oldest_ms = model.groups[0].oldest_waiting_since_ms
                assert NOW_MS < until_ms <= oldest_ms + model.limits.max_delay_ms


@given(situations())
def test_waiting_behind_a_busy_device_ends_before_it_idles(situation: Situation) -> None:
    """With one command in flight and a loaded model's jobs, the wait ends by the command's end."""
    action, models, device = decide(situation)

    if isinstance(action, Wait) and action.until_ms is not None and len(device.in_flight) == 1:
        free_ms = max(NOW_MS, device.in_flight[0].ends_ms)
        for model in models.values():
            if model.model in device.loaded and model.has_jobs:
                oldest_ms = model.groups[0].oldest_waiting_since_ms
                assert action.until_ms <= max(free_ms, oldest_ms + model.limits.max_delay_ms)


@given(situations())
@settings(max_examples=50)
def test_the_choice_is_a_function_of_what_is_shown(situation: Situation) -> None:
    """The same view gives the same choice, and is left as it was."""
    waiting, device = situation
    before = repr(situation)

    assert choose(NOW_MS, waiting, device) == choose(NOW_MS, waiting, device)
    assert repr(situation) == before
