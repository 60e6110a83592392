"""The scheduler as a policy of the simulation, and the plain policies it is measured against."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.scheduling import scheduler
from dispatcher.scheduling.view import (
    Action,
    DeviceView,
    EvictModel,
    GroupKey,
    LoadModel,
    RunBatch,
    Wait,
    WaitingClass,
    WaitingGroup,
    WaitingJob,
    WaitingModel,
)
from tests.simulation.simulator import Board, SimulatedJob


class Scheduled:
    """``dispatcher.scheduling.scheduler``, shown what its loop would show it."""

    name = "gw scheduler"

    def decide(self, now_ms: float, board: Board) -> Action:
        """Ask the scheduler."""
        return scheduler.choose(now_ms, waiting_models(now_ms, board), device_view(board))

    def seat(self, board: Board, batch: RunBatch, ends_ms: float) -> Sequence[SimulatedJob]:
        """Seat by the scheduler's order."""
        jobs = board.waiting[batch.group]
        seats = [
            WaitingJob(
                priority=job.priority,
                waiting_since_ms=job.arrives_ms,
                deadline_ms=job.deadline_ms,
            )
            for job in jobs
        ]
        return [jobs[index] for index in scheduler.seat(seats, batch, ends_ms)]


def device_view(board: Board) -> DeviceView:
    """Return the board's device in the scheduler's words."""
    return DeviceView(
        loaded=board.loaded,
        budget_bytes=board.budget_bytes,
        in_flight=tuple(board.in_flight),
        costs=board.costs,
        depth=board.depth,
    )


def waiting_models(now_ms: float, board: Board) -> list[WaitingModel]:
    """Return the board's waiting jobs in the scheduler's words."""
    return [
        WaitingModel(
            model=model.name,
            limits=model.limits,
            memory_bytes=model.memory_bytes,
            groups=tuple(_waiting_group(now_ms, board, group) for group in model.groups),
        )
        for model in board.models.values()
    ]


def _waiting_group(now_ms: float, board: Board, group: GroupKey) -> WaitingGroup:
    jobs = board.waiting[group]
    soonest_ms = now_ms + board.run_ms(group, 1)
    classes = []
    for priority in sorted({job.priority for job in jobs}):
        members = [job for job in jobs if job.priority == priority]
        deadlines = [
            job.deadline_ms
            for job in members
            if job.deadline_ms is not None and job.deadline_ms >= soonest_ms
        ]
        oldest_ms = members[0].arrives_ms
        classes.append(
            WaitingClass(
                priority=priority,
                count=len(members),
                oldest_waiting_since_ms=oldest_ms,
                unserved_since_ms=max(oldest_ms, board.last_served_ms.get((group, priority), 0.0)),
                earliest_deadline_ms=min(deadlines, default=None),
            )
        )
    return WaitingGroup(
        key=group,
        classes=tuple(classes),
        newest_waiting_since_ms=board.last_arrival_ms.get(group, 0.0),
        arrival_gap_ms=board.arrival_gap_ms.get(group),
        item_weight=board.item_weight(group),
    )


class _Plain:
    """What the plain policies share: arrival order, least recently used model out."""

    name = ""

    def seat(self, board: Board, batch: RunBatch, ends_ms: float) -> Sequence[SimulatedJob]:
        """Seat in order of arrival."""
        return board.waiting[batch.group][: batch.size]

    def _serve(self, board: Board, group: GroupKey, size: int) -> Action:
        """Run a batch of *group*, or take the next step towards its model's load."""
        if len(board.in_flight) >= board.depth:
            return Wait()
        if group.model in board.loaded:
            return RunBatch(group=group, size=size)
        if board.models[group.model].memory_bytes <= board.free_bytes:
            return LoadModel(model=group.model)
        idle = [name for name in board.loaded if not board.is_busy(name)]
        if not idle:
            return Wait()
        return EvictModel(model=min(idle, key=lambda name: board.loaded[name].last_used_ms))

    def _most(self, board: Board, group: GroupKey) -> int:
        return min(len(board.waiting[group]), board.models[group.model].limits.largest)

    def _oldest_first(self, board: Board) -> list[GroupKey]:
        groups = [group for group, jobs in board.waiting.items() if jobs]
        return sorted(groups, key=lambda group: board.waiting[group][0].arrives_ms)


class FirstComeFirstServed(_Plain):
    """One job at a time, in order of arrival."""

    name = "first come, one by one"

    def decide(self, now_ms: float, board: Board) -> Action:
        """Serve the oldest job."""
        groups = self._oldest_first(board)
        return self._serve(board, groups[0], 1) if groups else Wait()


class OldestFirstBatches(_Plain):
    """The oldest job, and whoever may share its batch, at once: the strongest plain policy."""

    name = "first come, batched"

    def decide(self, now_ms: float, board: Board) -> Action:
        """Serve the oldest job's group."""
        groups = self._oldest_first(board)
        return self._serve(board, groups[0], self._most(board, groups[0])) if groups else Wait()


class FixedBatch(_Plain):
    """Full batches in order of arrival; a part-filled one goes after *patience_ms*."""

    name = "fixed batch"

    def __init__(self, patience_ms: float = 50.0) -> None:
        self._patience_ms = patience_ms

    def decide(self, now_ms: float, board: Board) -> Action:
        """Serve the oldest group that is full or out of patience."""
        due_ms = []
        for group in self._oldest_first(board):
            size = self._most(board, group)
            due_ms.append(board.waiting[group][0].arrives_ms + self._patience_ms)
            if size == board.models[group.model].limits.largest or due_ms[-1] <= now_ms:
                return self._serve(board, group, size)
        return Wait(until_ms=min(due_ms, default=None))


class RoundRobin(_Plain):
    """One batch of each group in turn."""

    name = "round robin"

    def __init__(self) -> None:
        self._last = -1

    def decide(self, now_ms: float, board: Board) -> Action:
        """Serve the next group that has jobs."""
        groups = list(board.waiting)
        for step in range(1, len(groups) + 1):
            turn = (self._last + step) % len(groups)
            if board.waiting[groups[turn]]:
                action = self._serve(board, groups[turn], self._most(board, groups[turn]))
                if isinstance(action, RunBatch):
                    self._last = turn
                return action
        return Wait()
