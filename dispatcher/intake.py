"""Intake: from the infer streams to started jobs, no more than the device can soon use."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from dispatcher.claiming import ClaimedEntry, Claiming, Weights
from dispatcher.claims import Claims
from dispatcher.finishing import Finisher
from dispatcher.models.shelf import Shelf, ShelvedModel
from dispatcher.preparing import Preparer
from dispatcher.scheduling.backlog import HeldJob, ReadyJob
from dispatcher.settings import DispatcherSettings
from dispatcher.sightings import Sightings
from pipeline.clock import Clock
from pipeline.errors import (
    DeadlinePassed,
    GwError,
    JobFault,
    MalformedMessage,
    ModelFault,
    ModelRemoved,
    Unavailable,
)
from pipeline.following import BLOCK_MS, PAUSE_S
from pipeline.jobs.infer_queue import InferQueue
from pipeline.jobs.job import Job, JobState, Priority
from pipeline.jobs.store import JobStore, Move
from pipeline.lifecycle import sleep_or_stop
from pipeline.protocol import ALONE_FROM_ATTEMPT, InferRequested

log = logging.getLogger(__name__)


#: As if a model that is on no shelf had batches of this size: its jobs are only ended.
_LEFTOVER_BATCH = 16


@dataclass(slots=True, kw_only=True)
class _Followed:
    """One model; *bound* is how many of its jobs may be held at each priority."""

    model: str
    claiming: Claiming
    bound: int
    recovered: bool = False
    take_over_at_s: float = 0.0


class Intake:
    """Claims, starts and prepares jobs; *offer* is told of each that is ready.

    While *ready* says that the device is away, nothing is claimed.
    """

    def __init__(  # noqa: PLR0913  # the composition root's parts, by name
        self,
        *,
        settings: DispatcherSettings,
        queue: InferQueue,
        store: JobStore,
        shelf: Shelf,
        claims: Claims,
        preparer: Preparer,
        finisher: Finisher,
        clock: Clock,
        offer: Callable[[ReadyJob], None],
        ready: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._weights = Weights(queue, clock)
        self._store = store
        self._shelf = shelf
        self._claims = claims
        self._preparer = preparer
        self._finisher = finisher
        self._clock = clock
        self._offer = offer
        self._ready = ready
        #: Models that no dispatcher has offered for long: their jobs are claimed to be ended.
        self.leftover: frozenset[str] = frozenset()
        self._unread = Sightings()
        self._preparing: set[asyncio.Task[None]] = set()
        self._is_over = False
        # How many models are being claimed for at this moment.
        self._claiming = 0
        # Jobs whose dispatcher died too often while they were in it: each is tried alone, and stays
        # here until it is through. Nothing is claimed meanwhile.
        self._suspects: deque[tuple[HeldJob, ShelvedModel]] = deque()

    async def run(self, stop: asyncio.Event) -> None:
        """Claim until *stop* is set, then hand back what is not ready yet.

        Each model is followed by itself: one that is full must not hold up another's claims.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._try_suspects(stop), name="try-suspects")
            await self._follow_all(tasks, stop)
        self._is_over = True
        for task in self._preparing:
            task.cancel()
        if self._preparing:
            await asyncio.wait(self._preparing)
        for held, _ in self._suspects:
            self._finisher.hand_back(held)

    async def _follow_all(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        """Follow what is on the shelf, and what left every shelf and whose jobs are to end."""
        followed: dict[str, asyncio.Task[None]] = {}
        while True:
            for model in {*self._shelf.names, *self.leftover}:
                if model not in followed or followed[model].done():
                    task = self._follow(model, stop)
                    followed[model] = tasks.create_task(task, name=f"claim {model}")
            if await sleep_or_stop(stop, PAUSE_S):
                return

    async def _follow(self, model: str, stop: asyncio.Event) -> None:
        followed = _Followed(
            model=model,
            claiming=Claiming(model, queue=self._queue, claims=self._claims, weights=self._weights),
            bound=0,
        )
        while not stop.is_set() and (model in self._shelf.names or model in self.leftover):
            followed.bound = self._bound(model)
            if self._suspects:
                await self._claims.released()
            elif not self._ready():
                await sleep_or_stop(stop, PAUSE_S)
            else:
                await self._claim_safely(followed, stop)

    async def _claim_safely(self, followed: _Followed, stop: asyncio.Event) -> None:
        """Claim once; begin anew, with what is held in Redis, after whatever goes wrong with it."""
        self._claiming += 1
        try:
            await self._claim(followed)
        except Unavailable as exc:
            log.warning("intake.paused", extra={"model": followed.model, "reason": str(exc)})
            followed.recovered = False
            await sleep_or_stop(stop, PAUSE_S)
        finally:
            self._claiming -= 1

    async def _claim(self, followed: _Followed) -> None:
        """Claim what comes first: own claims of an earlier life, overdue ones of others, new ones.

        Each priority has room of its own, so that no flood of one keeps another from being seen.
        """
        claiming = followed.claiming
        if not followed.recovered:
            await self._start(await claiming.recover())
            followed.recovered = True
            return
        rooms = self._room(followed)
        if len(rooms) < len(Priority):
            await self._claims.released()
            rooms = self._room(followed)
            if 0 < len(rooms) < len(Priority):
                # Without waiting at Redis: the ones that are full may have room at any moment.
                await self._start(await claiming.claim(rooms, block_ms=0))
        elif monotonic() >= followed.take_over_at_s:
            await self._take_over(followed, rooms)
        else:
            await self._start(await claiming.claim(rooms, block_ms=BLOCK_MS))

    async def _take_over(self, followed: _Followed, rooms: Mapping[Priority, int]) -> None:
        taken = await followed.claiming.take_over(rooms)
        await self._start(taken)
        # Where all the room was used there may be more.
        is_all = len(taken) < min(rooms.values())
        pause_s = self._queue.lease_ms / 3000 if is_all else 0.0
        followed.take_over_at_s = monotonic() + pause_s

    def _bound(self, model: str) -> int:
        """Give how many jobs of one priority of *model* may be held."""
        largest = [
            shelved.limits.largest
            for shelved in self._shelf.models.values()
            if shelved.card.name == model
        ]
        return self._settings.claim_ahead * max(largest, default=_LEFTOVER_BATCH)

    def _room(self, followed: _Followed) -> dict[Priority, int]:
        """Give how many more jobs of each priority may be claimed, of those where it is any."""
        rooms = {
            priority: followed.bound - self._claims.count(followed.model, priority)
            for priority in Priority
        }
        return {priority: room for priority, room in rooms.items() if room > 0}

    async def _start(self, claimed: Sequence[ClaimedEntry]) -> None:
        claims, turns = [], []
        for each in claimed:
            # A reader that recovers, or takes over, is shown what it holds already.
            if self._claims.holds(each.entry):
                continue
            try:
                claims.append((each.entry, InferRequested.from_fields(each.entry.fields)))
            except MalformedMessage as exc:
                await self._queue.park(each.entry, str(exc))
            else:
                turns.append(each.turn)
        if not claims:
            return
        now_unix_ms = self._clock.unix_ms()
        jobs = await self._store.start(claims, now_unix_ms=now_unix_ms)
        for (entry, message), turn, job in zip(claims, turns, jobs, strict=True):
            if job is None:
                # Settled, or it comes again after its lease: then its record cannot be read.
                if self._unread.are_enough(entry):
                    await self._queue.park(entry, f"no readable record of {message.job_id}")
            else:
                held = HeldJob(entry=entry, job=job, claimed_unix_ms=now_unix_ms, turn=turn)
                self._claims.add(held)
                self._route(held)

    def _route(self, held: HeldJob) -> None:
        """Send a started job on its way: to its end, to the suspects, or to be prepared."""
        job = held.job
        model = self._shelf.for_job(job)
        if job.is_past_deadline(self._clock.unix_ms()):
            late = DeadlinePassed("the deadline passed while the job was waiting")
            self._finisher.fail(held, late)
        elif job.alone:
            culprit = ModelFault("the dispatcher died while this picture was in it alone")
            self._finisher.fail(held, culprit)
        elif model is None:
            gone = ModelRemoved(f"version {job.version} of {job.model} is not there any more")
            self._finisher.fail(held, gone)
        elif job.attempt > ALONE_FROM_ATTEMPT:
            self._suspects.append((_with(held, model), model))
        else:
            self._prepare_soon(_with(held, model), model)

    def rescue(self, held: HeldJob, failed: ShelvedModel) -> bool:
        """Have another version run a job that *failed* did not do; False where none may.

        Only from a version on trial, or one that was rolled back, and once for each job. A job that
        is pinned stays with its version, of which an earlier generation may run it.
        """
        other = self._shelf.instead(failed)
        if other is None or held.rescued or held.job.alone:
            return False
        if held.job.pinned and other.version.version != failed.version.version:
            return False
        log.info(
            "job.rescued",
            extra={"job_id": held.job.job_id, "failed": failed.key, "model": other.key},
        )
        if self._is_over:
            self._finisher.hand_back(_with(held, other))
        else:
            self._prepare_soon(replace(_with(held, other), rescued=True), other)
        return True

    def _prepare_soon(self, held: HeldJob, model: ShelvedModel) -> None:
        name = f"prepare {held.job.job_id}"
        task = asyncio.create_task(self._prepare(held, model), name=name)
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _try_suspects(self, stop: asyncio.Event) -> None:
        """Process suspects one by one, each with nothing beside it."""
        while not await sleep_or_stop(stop, PAUSE_S):
            is_quiet = not self._claiming and len(self._claims) == len(self._suspects)
            if self._suspects and is_quiet and self._ready():
                try:
                    await self._try_alone(*self._suspects[0], stop)
                except Unavailable as exc:
                    log.warning("intake.paused", extra={"reason": str(exc)})

    async def _try_alone(self, held: HeldJob, model: ShelvedModel, stop: asyncio.Event) -> None:
        """Mark the job, so that another death is held against it, and see it through to its end.

        Also while the service stops: handed back, it would be blamed for a death that never was.
        """
        move = Move(job=held.job, to=JobState.RUNNING, alone=True)
        (marked,) = await self._store.move([move])
        if marked:
            log.warning("job.alone", extra={"job_id": held.job.job_id, "attempt": held.job.attempt})
            await self._prepare(replace(held, job=replace(held.job, alone=True)), model)
            while self._claims.holds(held.entry) and (self._ready() or not stop.is_set()):
                await self._claims.released()
        else:
            self._claims.release(held)
        self._suspects.popleft()

    async def _prepare(self, held: HeldJob, model: ShelvedModel) -> None:
        """Prepare one job. The one broad except on this side: a picture fails alone."""
        try:
            async with asyncio.timeout(self._left_s(held.job)):
                ready = await self._preparer.prepare(held, model)
        except TimeoutError:
            late = DeadlinePassed("the deadline passed while the picture was being prepared")
            self._finisher.fail(held, late)
        except asyncio.CancelledError:
            self._finisher.hand_back(held)  # the service stops
            raise
        except JobFault as fault:
            self._finisher.fail(held, fault)
        except GwError as exc:
            self._finisher.fail(held, JobFault(f"the picture could not be prepared: {exc}"))
        except Exception:
            log.exception("picture.broken", extra={"job_id": held.job.job_id})
            self._finisher.fail(held, JobFault("the picture could not be prepared"))
        else:
            self._offer(ready)

    def _left_s(self, job: Job) -> float | None:
        if not job.deadline_unix_ms:
            return None
        return max(0.0, (job.deadline_unix_ms - self._clock.unix_ms()) / 1000)


def _with(held: HeldJob, model: ShelvedModel) -> HeldJob:
    """Give *held* with the version that runs it."""
    version = str(model.version.version)
    return (
        held
        if held.job.version == version
        else replace(held, job=replace(held.job, version=version))
    )
