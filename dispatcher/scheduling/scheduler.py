"""What the device does next: run a batch, load a model, evict one, or wait. Pure decisions.

The rules, strongest first:

1. *Starving*: a class of jobs passed over for too long goes next, the longest first.
2. *Deadline*: jobs that would miss a deadline they can still meet, if the best of the rest went
   first, go next, earliest deadline first, in a batch small enough to meet it.
3. *Rate*: otherwise the most job weight per device millisecond goes next, which keeps the mean
   latency low (Smith's rule). Weight is priority and age; an unloaded model's load counts as time.
4. *Filling*: while the device is busy a batch fills for free. On an idle device it waits only
   while the next job is expected soon enough to pay for the wait, never past ``max_delay_ms``.
5. *Switching*: a model with jobs stays for a worthwhile time after its load. Any model makes room
   once the other's jobs have waited as long, in sum, as the switch will make its own jobs wait.

Bound: a class is starving after ``STARVING_MS``, plus ``STARVING_LOADS`` loads of its model if
others must leave for it. From then on each other class goes before it at most once, and each such
turn takes at most one batch, one load and one tenure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.eviction import victims
from dispatcher.scheduling.view import (
    Action,
    DeviceView,
    EvictModel,
    LoadModel,
    RunBatch,
    Wait,
    WaitingClass,
    WaitingGroup,
    WaitingJob,
    WaitingModel,
)

#: What one job of each priority weighs: high, normal, low.
PRIORITY_WEIGHTS = (9.0, 3.0, 1.0)
#: A group weighs as much again with every such wait of its oldest job.
AGE_STEP_MS = 100.0
#: When a class counts as starving: this, plus so many loads if others must leave for its model.
STARVING_MS = 3000.0
STARVING_LOADS = 3.0
#: The next command is sent this long before the device is free: a round trip and its jitter.
LEAD_MS = 3.0


@dataclass(frozen=True, slots=True)
class _Option:
    """One group that could go next, and what that would take."""

    model: WaitingModel
    group: WaitingGroup
    cost: ModelCost
    size: int
    #: 0 for a loaded model, above 0 for any other.
    load_ms: float
    #: Who must leave before the load; ``None`` when nobody may leave yet.
    victims: tuple[str, ...] | None

    def total_ms(self, size: int) -> float:
        """Return how long the load, if one is needed, and a batch of *size* take."""
        return self.load_ms + _run_ms(self.model, self.group, self.cost, size)

    @property
    def starved(self) -> WaitingClass:
        """The class that was passed over longest."""
        return min(self.group.classes, key=lambda waiting: waiting.unserved_since_ms)

    @property
    def starving_at_ms(self) -> float:
        """When the group counts as starving."""
        loads_ms = 0.0 if self.victims == () else STARVING_LOADS * self.load_ms
        return self.starved.unserved_since_ms + STARVING_MS + loads_ms


def choose(now_ms: float, waiting: Sequence[WaitingModel], device: DeviceView) -> Action:
    """Return the next thing to do; to be asked again after every action, arrival and answer."""
    if len(device.in_flight) >= device.depth:
        return Wait()
    free_ms = max([now_ms, *(command.ends_ms for command in device.in_flight)])
    send_ms = max(now_ms, free_ms - LEAD_MS)

    models = {model.model: model for model in waiting}
    options = _options(free_ms, models, device)
    holds_ms = [_hold_until_ms(option, free_ms, models, device) for option in options]
    ready = [option for option, hold in zip(options, holds_ms, strict=True) if hold <= send_ms]
    if not ready:
        return Wait(until_ms=min(holds_ms, default=None))

    option, batch = _best(ready, free_ms)
    is_full = batch.size == option.model.limits.largest
    if send_ms > now_ms and (option.load_ms or not is_full):
        # The device has work: until that is nearly done the batch can grow and the choice improve.
        return Wait(until_ms=send_ms)
    return _make_room(option, device) if option.load_ms else batch


def seat(jobs: Sequence[WaitingJob], batch: RunBatch, ends_ms: float) -> list[int]:
    """Return the indices of the *jobs* that go with *batch*, which should end at *ends_ms*.

    Jobs that are due first, then by priority, then by their tenants' turns, then by age. Jobs that
    would end too late are last.
    """

    def rank(index: int) -> tuple[bool, bool, int, float, float]:
        job = jobs[index]
        deadline_ms = math.inf if job.deadline_ms is None else job.deadline_ms
        is_due = batch.due_by_ms is not None and ends_ms <= deadline_ms <= batch.due_by_ms
        is_late = deadline_ms < ends_ms
        return (is_late, not is_due, job.priority, job.turn, job.waiting_since_ms)

    ranked = sorted(range(len(jobs)), key=rank)
    starved = [index for index in ranked if jobs[index].priority == batch.starved_priority]
    first = starved[: max(1, batch.size // 4)]
    return (first + [index for index in ranked if index not in first])[: batch.size]


def _options(
    free_ms: float, models: Mapping[str, WaitingModel], device: DeviceView
) -> list[_Option]:
    """Return every group with jobs whose model is loaded or may be loaded now."""
    options = []
    for model in models.values():
        if not model.has_jobs or model.memory_bytes > device.budget_bytes:
            continue
        cost = device.costs[model.model]
        load_ms = 0.0 if model.model in device.loaded else max(cost.load_ms, 1.0)
        leaving = victims(model, free_ms, models, device)
        for group in model.groups:
            if group.classes:
                size = _best_size(model, group, cost)
                options.append(_Option(model, group, cost, size, load_ms, leaving))

    # While a starving group waits for room nobody else may load: room would never add up.
    overdue = [o for o in options if o.load_ms and o.starving_at_ms <= free_ms]
    if overdue:
        first = min(overdue, key=lambda option: option.starving_at_ms)
        options = [o for o in options if not o.load_ms or o.model is first.model]
    return [option for option in options if option.victims is not None]


def _best(ready: Sequence[_Option], free_ms: float) -> tuple[_Option, RunBatch]:
    """Return who goes next when the device is free: rules 1, 2 and 3."""
    starving = [option for option in ready if option.starving_at_ms <= free_ms]
    if starving:
        option = min(starving, key=lambda option: option.starving_at_ms)
        priority = option.starved.priority
        return option, RunBatch(group=option.group.key, size=option.size, starved_priority=priority)

    favourite = max(ready, key=lambda option: _rate(option, free_ms))
    urgent = _most_urgent(ready, favourite, free_ms)
    return urgent or (favourite, RunBatch(group=favourite.group.key, size=favourite.size))


def _most_urgent(
    ready: Sequence[_Option], favourite: _Option, free_ms: float
) -> tuple[_Option, RunBatch] | None:
    """Return who would miss a deadline behind *favourite* but can meet it, the earliest first."""
    urgent: list[tuple[float, _Option, int]] = []
    for option in ready:
        deadline_ms = option.group.earliest_deadline_ms
        if deadline_ms is None:
            continue
        left_ms = deadline_ms - free_ms
        before_ms = 0.0 if option is favourite else favourite.total_ms(favourite.size)
        if before_ms + option.total_ms(option.size) <= left_ms:
            continue
        fitting = (n for n in range(option.size, 0, -1) if option.total_ms(n) <= left_ms)
        size = next(fitting, 0)
        if size:
            urgent.append((deadline_ms, option, size))
    if not urgent:
        return None
    deadline_ms, option, size = min(urgent, key=lambda entry: entry[0])
    # Jobs due within one more such batch could not wait for the next one either.
    due_by_ms = deadline_ms + option.total_ms(size)
    return option, RunBatch(group=option.group.key, size=size, due_by_ms=due_by_ms)


def _rate(option: _Option, free_ms: float) -> float:
    """Return the job weight that the option serves per millisecond of the device.

    A batch that is not full is discounted by how much dearer its jobs are than in a full one:
    others go while it fills. A model that must be loaded is judged by all its jobs, since the load
    is paid once for them.
    """
    if not option.load_ms:
        full = option.model.limits.largest
        per_job_ms = option.total_ms(option.size) / option.size
        dearness = per_job_ms / max(option.total_ms(full) / full, 1e-6)
        served = _weight(option.group, option.size) * _age(option.group, free_ms)
        return served / max(option.total_ms(option.size) * dearness, 1e-6)
    served, took_ms = 0.0, option.load_ms
    for group in option.model.groups:
        if group.classes:
            size = _best_size(option.model, group, option.cost)
            batches = math.ceil(group.count / size)
            served += _weight(group, group.count) * _age(group, free_ms)
            took_ms += batches * _run_ms(option.model, group, option.cost, size)
    return served / took_ms


def _hold_until_ms(
    option: _Option, free_ms: float, models: Mapping[str, WaitingModel], device: DeviceView
) -> float:
    """Return until when the option is better held back; minus infinity for not at all."""
    deadline_ms = option.group.earliest_deadline_ms
    latest_ms = math.inf if deadline_ms is None else deadline_ms - option.total_ms(option.size)
    if not option.load_ms:
        return min(latest_ms, _filling_until_ms(option))
    if not option.victims:
        return -math.inf
    harm = sum(
        _switching_harm(models[name], free_ms, option.load_ms + device.costs[name].load_ms)
        for name in option.victims
        if name in models
    )
    weight = 0.0
    for group in option.model.groups:
        if group.classes:
            middle_ms = (group.oldest_waiting_since_ms + group.newest_waiting_since_ms) / 2.0
            weight += _weight(group, group.count)
            harm += _weight(group, group.count) * middle_ms
    pays_ms = harm / weight
    if pays_ms > free_ms:
        # The harm shrinks when the victims' arrivals cease: look again before long.
        pays_ms = min(pays_ms, free_ms + option.load_ms / 8.0)
    return min(latest_ms, option.starving_at_ms, pays_ms)


def _filling_until_ms(option: _Option) -> float:
    """Return until when a batch that is not full should wait for the next job.

    With n jobs here and the next after a gap, waiting costs n + 1 gaps of latency in all and makes
    the n jobs run one item longer; it saves the new one a batch of its own. So it pays while
    ``(n + 1) * gap + n * item_ms < fixed_ms``, and is given up when the gap proves longer.
    """
    group, size = option.group, option.size
    if size < group.count or size >= option.model.limits.largest or group.arrival_gap_ms is None:
        return -math.inf
    item_ms = option.cost.per_item_ms * group.item_weight
    worth_ms = (option.cost.fixed_ms - size * item_ms) / (size + 1)
    if group.arrival_gap_ms >= worth_ms:
        return -math.inf
    filled_ms = group.oldest_waiting_since_ms + option.model.limits.max_delay_ms
    return min(filled_ms, group.newest_waiting_since_ms + worth_ms)


def _switching_harm(victim: WaitingModel, free_ms: float, away_ms: float) -> float:
    """Return the weighted waiting of the victim's jobs, those to come too, while it is away."""
    harm = 0.0
    for group in victim.groups:
        harm += _weight(group, group.count) * away_ms
        if group.arrival_gap_ms is not None:
            gap_ms = max(1.0, group.arrival_gap_ms, free_ms - group.newest_waiting_since_ms)
            harm += PRIORITY_WEIGHTS[1] * (away_ms / gap_ms) * (away_ms / 2.0)
    return harm


def _make_room(option: _Option, device: DeviceView) -> Action:
    """Return the next step towards the option's load."""
    if not option.victims:
        return LoadModel(model=option.model.model)
    if any(device.is_busy(victim) for victim in option.victims):
        return Wait()
    return EvictModel(model=option.victims[0])


def _best_size(model: WaitingModel, group: WaitingGroup, cost: ModelCost) -> int:
    """Return the batch size with the most jobs per millisecond, padding to a gear included."""
    most = min(group.count, model.limits.largest)
    sizes = [most, *(gear for gear in model.limits.gears if gear < most)]
    return max(sizes, key=lambda size: (size / max(_run_ms(model, group, cost, size), 1e-6), size))


def _run_ms(model: WaitingModel, group: WaitingGroup, cost: ModelCost, size: int) -> float:
    return cost.run_ms(model.limits.padded(size) * group.item_weight)


def _weight(group: WaitingGroup, size: int) -> float:
    """Return the weight of the group's first *size* jobs by priority."""
    weight, left = 0.0, size
    for waiting in group.classes:
        taken = min(left, waiting.count)
        weight += taken * PRIORITY_WEIGHTS[waiting.priority]
        left -= taken
    return weight


def _age(group: WaitingGroup, free_ms: float) -> float:
    """Return by how much the group's weight has grown."""
    return 1.0 + max(0.0, free_ms - group.oldest_waiting_since_ms) / AGE_STEP_MS
