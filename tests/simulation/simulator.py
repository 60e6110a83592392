"""A discrete-event simulation of one device and its supervisor. Simulated time, no sleeping.

The device does its commands in order. A command takes ``HOP_MS`` to reach it and its answer as
long to come back, so an idle device costs a policy two hops and a queued command costs none. How
long a command takes is drawn from the scenario's own truth, with noise and stalls; what a policy
is told are estimates that start wrong and are learnt from the answers.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dispatcher.scheduling.estimates import ModelCost, learn, learn_gap, learn_load
from dispatcher.scheduling.view import (
    Action,
    BatchLimits,
    EvictModel,
    GroupKey,
    InFlight,
    LoadedModel,
    LoadModel,
    RunBatch,
    Wait,
)

#: From the supervisor to the device process, or back.
HOP_MS = 0.5
EVICT_MS = 5.0
#: Durations vary by this much, and so many batches take so much longer.
NOISE = 0.05
STALL_SHARE = 0.01
STALL_FACTOR = 3.0
#: More actions than this at one instant is a policy that goes round in circles.
MOST_ACTIONS_AT_ONCE = 200


class BrokenInvariantError(AssertionError):
    """A policy did what the device forbids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """A model as it truly is, and what the supervisor believes of its costs at first."""

    name: str
    limits: BatchLimits
    memory_bytes: int
    cost: ModelCost
    believed: ModelCost
    #: One shape per weight; the weight is the per-item cost relative to ``cost.per_item_ms``.
    item_weights: tuple[float, ...] = (1.0,)

    @property
    def groups(self) -> tuple[GroupKey, ...]:
        """The groups of the model, in the order of *item_weights*."""
        return tuple(GroupKey(model=self.name, shape=(i,)) for i in range(len(self.item_weights)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedJob:
    """A job that becomes ready at *arrives_ms* and is dropped if still waiting at its deadline."""

    index: int
    group: GroupKey
    priority: int
    arrives_ms: float
    deadline_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that happens to a policy, the same for each."""

    seed: int
    models: tuple[SimulatedModel, ...]
    jobs: tuple[SimulatedJob, ...]
    budget_bytes: int
    depth: int = 2
    #: The models that are loaded from the start.
    warm: tuple[str, ...] = ()


@dataclass(slots=True)
class Board:
    """What a policy sees: the supervisor's knowledge at one moment."""

    models: dict[str, SimulatedModel]
    budget_bytes: int
    depth: int
    costs: dict[str, ModelCost]
    waiting: dict[GroupKey, list[SimulatedJob]]
    loaded: dict[str, LoadedModel] = field(default_factory=dict)
    in_flight: list[InFlight] = field(default_factory=list)
    last_served_ms: dict[tuple[GroupKey, int], float] = field(default_factory=dict)
    last_arrival_ms: dict[GroupKey, float] = field(default_factory=dict)
    arrival_gap_ms: dict[GroupKey, float] = field(default_factory=dict)

    @property
    def free_bytes(self) -> int:
        """The memory that no loaded model takes."""
        return self.budget_bytes - sum(model.memory_bytes for model in self.loaded.values())

    def is_busy(self, model: str) -> bool:
        """Whether *model* has something in flight."""
        return any(command.model == model for command in self.in_flight)

    def item_weight(self, group: GroupKey) -> float:
        """Return the relative cost of one job of *group*."""
        return self.models[group.model].item_weights[group.shape[0]]

    def run_ms(self, group: GroupKey, size: int) -> float:
        """How long a batch should take by the supervisor's estimate."""
        model = self.models[group.model]
        return self.costs[group.model].run_ms(model.limits.padded(size) * self.item_weight(group))


class Policy(Protocol):
    """What is compared."""

    name: str

    def decide(self, now_ms: float, board: Board) -> Action:
        """Return what the device is to do next."""

    def seat(self, board: Board, batch: RunBatch, ends_ms: float) -> Sequence[SimulatedJob]:
        """Return the jobs of *batch*."""


Observer = Callable[[float, Board, Action], None]


@dataclass(slots=True)
class Outcome:
    """What became of a scenario under one policy."""

    policy: str
    ended_ms: dict[int, float] = field(default_factory=dict)
    expired_ms: dict[int, float] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)
    #: The longest time each class had jobs waiting and none was sent.
    longest_gap_ms: dict[tuple[GroupKey, int], float] = field(default_factory=dict)
    loads: int = 0
    busy_ms: float = 0.0
    finished_ms: float = 0.0


@dataclass(slots=True)
class _Command:
    answered_ms: float
    action: Action
    took_ms: float
    jobs: Sequence[SimulatedJob]
    flight: InFlight | None

    def __lt__(self, other: _Command) -> bool:
        return self.answered_ms < other.answered_ms


class Simulation:
    """One scenario under one policy."""

    def __init__(
        self, scenario: Scenario, policy: Policy, observer: Observer | None = None
    ) -> None:
        self._policy = policy
        self._observer = observer
        self._random = random.Random(scenario.seed)
        self._arrivals = sorted(scenario.jobs, key=lambda job: job.arrives_ms, reverse=True)
        self._left = len(self._arrivals)
        self._answers: list[_Command] = []
        self._device_free_ms = 0.0
        self._now_ms = 0.0
        self._board = Board(
            models={model.name: model for model in scenario.models},
            budget_bytes=scenario.budget_bytes,
            depth=scenario.depth,
            costs={model.name: model.believed for model in scenario.models},
            waiting={group: [] for model in scenario.models for group in model.groups},
        )
        for name in scenario.warm:
            self._board.loaded[name] = LoadedModel(
                memory_bytes=self._board.models[name].memory_bytes, loaded_ms=0.0, last_used_ms=0.0
            )
        self._outcome = Outcome(policy=policy.name)

    def run(self) -> Outcome:
        """Play the scenario to its end: every job has ended or expired."""
        while self._left:
            wake_ms = self._act()
            self._advance(wake_ms)
        self._outcome.finished_ms = self._now_ms
        return self._outcome

    def _act(self) -> float | None:
        """Let the policy act until it waits; return until when."""
        for _ in range(MOST_ACTIONS_AT_ONCE):
            action = self._policy.decide(self._now_ms, self._board)
            if self._observer:
                self._observer(self._now_ms, self._board, action)
            match action:
                case Wait(until_ms=until_ms):
                    return until_ms
                case RunBatch():
                    self._run_batch(action)
                case LoadModel(model=model):
                    self._load(model)
                case EvictModel(model=model):
                    self._evict(model)
        raise BrokenInvariantError(f"{self._policy.name} never waits at {self._now_ms}")

    def _advance(self, wake_ms: float | None) -> None:
        """Move to the next moment at which anything happens."""
        moments = [] if wake_ms is None else [max(wake_ms, self._now_ms + 1e-6)]
        if self._arrivals:
            moments.append(self._arrivals[-1].arrives_ms)
        if self._answers:
            moments.append(self._answers[0].answered_ms)
        if not moments:
            moments = [
                job.deadline_ms
                for jobs in self._board.waiting.values()
                for job in jobs
                if job.deadline_ms is not None
            ]
        _require(bool(moments), f"{self._policy.name} waits for nothing at {self._now_ms}")
        self._now_ms = min(moments)
        while self._arrivals and self._arrivals[-1].arrives_ms <= self._now_ms:
            self._arrive(self._arrivals.pop())
        while self._answers and self._answers[0].answered_ms <= self._now_ms:
            self._answer(heapq.heappop(self._answers))
        self._expire()

    def _arrive(self, job: SimulatedJob) -> None:
        board = self._board
        board.waiting[job.group].append(job)
        if job.group in board.last_arrival_ms:
            gap_ms = job.arrives_ms - board.last_arrival_ms[job.group]
            usual_ms = board.arrival_gap_ms.get(job.group)
            board.arrival_gap_ms[job.group] = learn_gap(usual_ms, gap_ms)
        board.last_arrival_ms[job.group] = job.arrives_ms

    def _expire(self) -> None:
        for jobs in self._board.waiting.values():
            late = [j for j in jobs if j.deadline_ms is not None and j.deadline_ms <= self._now_ms]
            for job in late:
                jobs.remove(job)
                self._outcome.expired_ms[job.index] = job.deadline_ms or self._now_ms
                self._left -= 1

    def _answer(self, command: _Command) -> None:
        board, outcome = self._board, self._outcome
        if command.flight is not None:
            board.in_flight.remove(command.flight)
        match command.action:
            case LoadModel(model=model):
                board.costs[model] = learn_load(board.costs[model], command.took_ms)
            case RunBatch(group=group, size=size):
                padded = board.models[group.model].limits.padded(size) * board.item_weight(group)
                board.costs[group.model] = learn(board.costs[group.model], padded, command.took_ms)
                for job in command.jobs:
                    _require(job.index not in outcome.ended_ms, f"job {job.index} ran twice")
                    outcome.ended_ms[job.index] = self._now_ms
                self._left -= len(command.jobs)
            case _:
                pass

    def _send(
        self, action: Action, model: str, true_ms: float, believed_ms: float,
        jobs: Sequence[SimulatedJob] = (),
    ) -> None:  # fmt: skip
        stalls = isinstance(action, RunBatch) and self._random.random() < STALL_SHARE
        stall = STALL_FACTOR if stalls else 1.0
        took_ms = true_ms * stall * self._random.lognormvariate(0.0, NOISE)
        self._device_free_ms = max(self._device_free_ms, self._now_ms + HOP_MS) + took_ms
        self._outcome.busy_ms += took_ms
        flight = None
        if not isinstance(action, EvictModel):
            _require(len(self._board.in_flight) < self._board.depth, "too many in flight")
            before_ms = max([self._now_ms, *(f.ends_ms for f in self._board.in_flight)])
            flight = InFlight(model=model, ends_ms=before_ms + believed_ms)
            self._board.in_flight.append(flight)
        heapq.heappush(
            self._answers,
            _Command(self._device_free_ms + HOP_MS, action, took_ms, jobs, flight),
        )

    def _run_batch(self, batch: RunBatch) -> None:
        board, group = self._board, batch.group
        model = board.models[group.model]
        waiting = board.waiting[group]
        _require(group.model in board.loaded, f"{group.model} is not loaded")
        _require(0 < batch.size <= min(len(waiting), model.limits.largest), f"size {batch.size}")

        believed_ms = board.run_ms(group, batch.size)
        ends_ms = max([self._now_ms, *(f.ends_ms for f in board.in_flight)]) + believed_ms
        jobs = list(self._policy.seat(board, batch, ends_ms))
        _require(len({job.index for job in jobs}) == batch.size, "seats and size differ")
        self._note_gaps(group, jobs)
        for job in jobs:
            waiting.remove(job)

        board.loaded[group.model] = LoadedModel(
            memory_bytes=model.memory_bytes,
            loaded_ms=board.loaded[group.model].loaded_ms,
            last_used_ms=self._now_ms,
        )
        self._outcome.batch_sizes.append(batch.size)
        true_ms = model.cost.run_ms(model.limits.padded(batch.size) * board.item_weight(group))
        self._send(batch, group.model, true_ms, believed_ms, jobs)

    def _note_gaps(self, group: GroupKey, jobs: Sequence[SimulatedJob]) -> None:
        for priority in {job.priority for job in jobs}:
            key = (group, priority)
            since_ms = max(
                min(j.arrives_ms for j in self._board.waiting[group] if j.priority == priority),
                self._board.last_served_ms.get(key, 0.0),
            )
            longest_ms = self._outcome.longest_gap_ms.get(key, 0.0)
            self._outcome.longest_gap_ms[key] = max(longest_ms, self._now_ms - since_ms)
            self._board.last_served_ms[key] = self._now_ms

    def _load(self, name: str) -> None:
        model = self._board.models[name]
        _require(name not in self._board.loaded, f"{name} is loaded already")
        _require(model.memory_bytes <= self._board.free_bytes, f"no room for {name}")
        self._board.loaded[name] = LoadedModel(
            memory_bytes=model.memory_bytes, loaded_ms=self._now_ms, last_used_ms=self._now_ms
        )
        self._outcome.loads += 1
        self._send(LoadModel(model=name), name, model.cost.load_ms, self._board.costs[name].load_ms)

    def _evict(self, name: str) -> None:
        _require(name in self._board.loaded, f"{name} is not loaded")
        _require(not self._board.is_busy(name), f"{name} is busy")
        del self._board.loaded[name]
        self._send(EvictModel(model=name), name, EVICT_MS, EVICT_MS)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BrokenInvariantError(otherwise)
