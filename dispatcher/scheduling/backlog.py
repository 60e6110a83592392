"""The jobs that this dispatcher holds decoded and ready, as the scheduler sees them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dispatcher.cards.card import PictureDecoder
from dispatcher.device.arena import Block
from dispatcher.models.shelf import ShelvedModel
from dispatcher.pictures.geometry import Placement
from dispatcher.pictures.items import EncodedItem, Item
from dispatcher.scheduling.estimates import ModelCost, learn_gap
from dispatcher.scheduling.scheduler import seat
from dispatcher.scheduling.view import (
    GroupKey,
    RunBatch,
    WaitingClass,
    WaitingGroup,
    WaitingJob,
    WaitingModel,
)
from pipeline.jobs.job import Job
from pipeline.streams import Entry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldJob:
    """A job that was started: its claim, its record, and when it was claimed (Unix ms).

    Of jobs of the same model and priority the one with the lowest *turn* goes first. *rescued*: a
    model on trial failed it, and another one has it now.
    """

    entry: Entry
    job: Job
    claimed_unix_ms: int
    turn: float = 0.0
    rescued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadyJob:
    """A held job whose picture lies in *block* as the model's input, of *shape*.

    With *encoded_bytes* above 0 it is so many bytes of JPEG instead, which the device decodes.
    *waiting* is what the scheduler ranks it by; *decode_ms* how long decoding took.
    """

    held: HeldJob
    model: ShelvedModel
    block: Block
    shape: tuple[int, ...]
    placement: Placement
    waiting: WaitingJob
    decode_ms: float
    encoded_bytes: int = 0

    def item(self) -> Item:
        """View what the device is given."""
        dtype = self.model.card.input.dtype
        if not self.encoded_bytes:
            return self.block.view(self.shape, dtype)
        return EncodedItem(
            data=self.block.view((self.encoded_bytes,), np.uint8),
            placement=self.placement,
            shape=self.shape,
            dtype=dtype,
        )

    @property
    def decoder(self) -> str:
        """What is to decode, or has decoded, the picture; "none" for a tensor."""
        if self.held.job.tensor is not None:
            return "none"
        return PictureDecoder.DVPP if self.encoded_bytes else PictureDecoder.OPENCV

    @property
    def group(self) -> GroupKey:
        """Give the jobs that it may share a batch with."""
        return GroupKey(model=self.model.key, shape=self.shape)


class _Group:
    """The ready jobs of one group, and the pace at which they come."""

    def __init__(self, model: ShelvedModel, key: GroupKey) -> None:
        self.model = model
        self.key = key
        self.jobs: list[ReadyJob] = []
        self.served_ms: dict[int, float] = {}
        self.newest_ms = -math.inf
        self.gap_ms: float | None = None

    def add(self, ready: ReadyJob) -> None:
        now_ms = ready.waiting.waiting_since_ms
        # A job that was taken and comes again is older than the newest: it is no new arrival.
        if now_ms > self.newest_ms:
            if self.newest_ms > -math.inf:
                self.gap_ms = learn_gap(self.gap_ms, now_ms - self.newest_ms)
            self.newest_ms = now_ms
        self.jobs.append(ready)

    def take_late(self, now_unix_ms: int) -> list[ReadyJob]:
        late: list[ReadyJob] = []
        jobs, self.jobs = self.jobs, []
        for ready in jobs:
            is_late = ready.held.job.is_past_deadline(now_unix_ms)
            (late if is_late else self.jobs).append(ready)
        return late

    def take(self, batch: RunBatch, *, now_ms: float, ends_ms: float) -> list[ReadyJob]:
        seats = seat([ready.waiting for ready in self.jobs], batch, ends_ms)
        taken = [self.jobs[index] for index in seats]
        for ready in taken:
            self.served_ms[ready.waiting.priority] = now_ms
        left = set(range(len(self.jobs))) - set(seats)
        self.jobs = [self.jobs[index] for index in sorted(left)]
        return taken

    def view(self, now_ms: float, cost: ModelCost) -> WaitingGroup:
        item_weight = self.model.item_weight(self.key.shape)
        # Deadlines that cannot be met any more must not hide those that can.
        meetable_ms = now_ms + cost.run_ms(item_weight)
        by_priority: dict[int, list[WaitingJob]] = defaultdict(list)
        for ready in self.jobs:
            by_priority[ready.waiting.priority].append(ready.waiting)
        return WaitingGroup(
            key=self.key,
            classes=tuple(
                self._class_view(priority, by_priority[priority], meetable_ms)
                for priority in sorted(by_priority)
            ),
            newest_waiting_since_ms=self.newest_ms,
            arrival_gap_ms=self.gap_ms,
            item_weight=item_weight,
        )

    def _class_view(
        self, priority: int, jobs: Sequence[WaitingJob], meetable_ms: float
    ) -> WaitingClass:
        oldest_ms = min(job.waiting_since_ms for job in jobs)
        due_ms = [
            job.deadline_ms
            for job in jobs
            if job.deadline_ms is not None and job.deadline_ms > meetable_ms
        ]
        return WaitingClass(
            priority=priority,
            count=len(jobs),
            oldest_waiting_since_ms=oldest_ms,
            unserved_since_ms=max(oldest_ms, self.served_ms.get(priority, -math.inf)),
            earliest_deadline_ms=min(due_ms, default=None),
        )


class Backlog:
    """Ready jobs by group."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, _Group] = {}

    def __len__(self) -> int:
        return sum(len(group.jobs) for group in self._groups.values())

    def add(self, ready: ReadyJob) -> None:
        """Put a job where the scheduler sees it."""
        key = ready.group
        if key not in self._groups:
            self._groups[key] = _Group(ready.model, key)
        self._groups[key].add(ready)

    def take(self, batch: RunBatch, *, now_ms: float, ends_ms: float) -> list[ReadyJob]:
        """Take the jobs that go with *batch*, which should end at *ends_ms*."""
        group = self._groups[batch.group]
        taken = group.take(batch, now_ms=now_ms, ends_ms=ends_ms)
        # Pictures of every size make groups without end in mode ``free``.
        if not group.jobs and len(self._groups) > 256:
            del self._groups[batch.group]
        return taken

    def take_late(self, now_unix_ms: int) -> list[ReadyJob]:
        """Take the jobs whose deadline has passed."""
        groups = self._groups.values()
        return [ready for group in groups for ready in group.take_late(now_unix_ms)]

    def count(self, model: str) -> int:
        """Give how many jobs of *model* are here."""
        return sum(len(group.jobs) for key, group in self._groups.items() if key.model == model)

    def drain(self, model: str | None = None) -> list[ReadyJob]:
        """Take everything, or everything of *model*."""
        keys = [key for key in self._groups if model in (None, key.model)]
        return [ready for key in keys for ready in self._groups.pop(key).jobs]

    def view(self, now_ms: float, costs: Mapping[str, ModelCost]) -> tuple[WaitingModel, ...]:
        """Give what the scheduler decides by. *costs* are the models' own."""
        by_model: dict[str, list[_Group]] = defaultdict(list)
        for group in self._groups.values():
            by_model[group.model.key].append(group)
        return tuple(
            self._model_view(groups, now_ms, costs[key]) for key, groups in by_model.items()
        )

    @staticmethod
    def _model_view(groups: Sequence[_Group], now_ms: float, cost: ModelCost) -> WaitingModel:
        model = groups[0].model
        return WaitingModel(
            model=model.key,
            limits=model.limits,
            memory_bytes=model.memory_bytes,
            groups=tuple(group.view(now_ms, cost) for group in groups),
        )
