"""The heart: ask the scheduler, do what it says, send what came back on its way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal

from dispatcher.device.errors import DeviceLost
from dispatcher.device.gate import DeviceGate
from dispatcher.device.isolation import BatchOutcome, ItemOutputs, infer_isolated
from dispatcher.device.link import Device
from dispatcher.finishing import Finisher
from dispatcher.models.loading import Loader, Trial
from dispatcher.models.shelf import ShelvedModel
from dispatcher.scheduling.backlog import Backlog, HeldJob, ReadyJob
from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.occupancy import Occupancy
from dispatcher.scheduling.scheduler import choose
from dispatcher.scheduling.view import EvictModel, InFlight, LoadModel, RunBatch, Wait
from dispatcher.settings import DispatcherSettings
from pipeline.clock import Clock
from pipeline.errors import DeadlinePassed, JobFault, ModelFault, Unavailable
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.findings import Findings
from pipeline.protocol import JobInferred, Provenance

log = logging.getLogger(__name__)

#: A device that is away is looked at again after this long; it restarts by itself meanwhile.
_DEVICE_PAUSE_MS = 50.0

#: Longer than a restart after a crash. A device that is away for longer gives its jobs back, for
#: other dispatchers, and so that their deadlines are seen to.
_DEVICE_AWAY_MAX_MS = 10_000.0

#: How late an expiry may be told.
_DEADLINE_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Jobs that go together; when they were sent and when their outputs came (monotonic ms)."""

    model: ShelvedModel
    jobs: Sequence[ReadyJob]
    weight: float
    sent_ms: float
    ended_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnd:
    """What became of a batch: the model failed *failures* of *jobs*; *lost*: the device went.

    *made_by* is of the jobs that it did well.
    """

    model: ShelvedModel
    jobs: int
    failures: int
    lost: bool
    device_ms: float
    decode_ms: Sequence[float]
    made_by: Sequence[Provenance]


class Dispatch:
    """Runs ready jobs on one device, in the order that the scheduler chooses."""

    def __init__(  # noqa: PLR0913  # the composition root's parts, by name
        self,
        *,
        settings: DispatcherSettings,
        device: Device,
        gate: DeviceGate,
        device_name: str,
        finisher: Finisher,
        threads: Executor,
        clock: Clock,
        reduce: Callable[[ReadyJob, ItemOutputs], Findings],
        cost: Callable[[ShelvedModel], ModelCost | None],
        ended: Callable[[BatchEnd], None],
    ) -> None:
        self._settings = settings
        self._device = device
        self._gate = gate
        self._device_name = device_name
        self._finisher = finisher
        self._threads = threads
        self._clock = clock
        self._backlog = Backlog()
        self._reduce = reduce
        self._cost = cost
        self._on_end = ended
        #: Takes a job that a model on trial failed, for another to run; False where it may not.
        self.rescue: Callable[[HeldJob, ShelvedModel], bool] = lambda _held, _model: False
        self.occupancy = Occupancy(budget_bytes=settings.device_memory_mb * 1_000_000)
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self.loader = Loader(
            device=device,
            occupancy=self.occupancy,
            clock=clock,
            timeout_s=settings.load_timeout_s,
            spawn=self._spawn,
            give_up=self._give_up,
        )
        self._away_since_ms: float | None = None

    @property
    def ready(self) -> bool:
        """Whether the device takes work."""
        return self._gate.is_open

    def offer(self, ready: ReadyJob) -> None:
        """Take a ready job into the backlog."""
        self.occupancy.admit(ready.model, self._cost(ready.model))
        fault = self.loader.refusal(ready.model.key)
        if fault is not None:
            self._fail_or_rescue(ready, fault)
        else:
            self._backlog.add(ready)
            self._wake.set()

    async def load(self, model: ShelvedModel, trial: Trial) -> None:
        """Have *model* on the device and run *trial* there; raises what either of them raises."""
        self.occupancy.admit(model, self._cost(model))
        await self.loader.want(model, trial, wake=self._wake.set)

    def holds(self, key: str) -> bool:
        """Whether jobs of a model wait here, or anything of it is under way at the device."""
        return self._backlog.count(key) > 0 or self.occupancy.is_busy(key)

    async def run(self, intake: asyncio.Task[None]) -> None:
        """Dispatch until the *intake* has ended; then finish what runs and hand back the rest."""
        intake.add_done_callback(lambda _: self._wake.set())
        while not intake.done():
            self._wake.clear()
            if self.ready:
                self._away_since_ms = None
                await self._wait(self._act())
            else:
                self._give_back_after_a_while()
                await self._wait(_DEVICE_PAUSE_MS)
        self._hand_back(self._backlog.drain())
        await self._finish_batches()
        self._hand_back(self._backlog.drain())

    async def keep_expiring(self, stop: asyncio.Event) -> None:
        """End ready jobs when their deadline passes, whether or not the device is free."""
        while not await sleep_or_stop(stop, _DEADLINE_INTERVAL_S):
            late = DeadlinePassed("the deadline passed before the device was free")
            for ready in self._backlog.take_late(self._clock.unix_ms()):
                self._fail(ready, late)

    def _act(self) -> float | None:
        """Do what the scheduler says until it says to wait; give for how long (ms), if it knows."""
        while True:
            self.occupancy.keep_only(self._device.loaded.keys() | self.loader.loading.keys())
            now_ms = self._clock.monotonic_ms()
            device = self.occupancy.view()
            if self._gate.rests(now_ms, in_flight=len(device.in_flight)):
                return self._gate.rest_left_ms(now_ms)
            waiting = self._backlog.view(now_ms, device.costs)
            free_ms = max([now_ms, *(command.ends_ms for command in device.in_flight)])
            wanted = self.loader.step(free_ms, waiting, device)
            match wanted or choose(now_ms, waiting, device):
                # What is sent is noted at once: the next choice must know of it.
                case RunBatch() as chosen:
                    self._send_batch(self._take(chosen, now_ms))
                case LoadModel(model=key):
                    self.loader.start(key, now_ms)
                case EvictModel(model=key):
                    self.loader.evict(key)
                case Wait(until_ms=until_ms):
                    return None if until_ms is None else until_ms - now_ms

    def _give_back_after_a_while(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if self._away_since_ms is None:
            self._away_since_ms = now_ms
        if self._gate.is_out or now_ms - self._away_since_ms >= _DEVICE_AWAY_MAX_MS:
            ready_jobs = self._backlog.drain()
            self._hand_back(ready for ready in ready_jobs if not ready.held.job.alone)
            # One that is tried alone would be blamed for a death if anybody started it again.
            for ready in ready_jobs:
                if ready.held.job.alone:
                    self._backlog.add(ready)

    async def _finish_batches(self) -> None:
        """Wait for the batches under way; what hangs is handed back while there is time for it."""
        if not self._batches:
            return
        patience_s = self._settings.service.grace_s / 2
        _, late = await asyncio.wait(self._batches, timeout=patience_s)
        if late:
            log.warning("batches.cut_short", extra={"count": len(late)})
            await self._device.stop()
            await asyncio.wait(late)

    async def _wait(self, delay_ms: float | None) -> None:
        try:
            async with asyncio.timeout(None if delay_ms is None else max(delay_ms, 0.0) / 1e3):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("dispatch.broken", exc_info=task.exception())

    def _take(self, batch: RunBatch, now_ms: float) -> _Batch:
        """Take the chosen jobs out of the backlog, without those that are too late by now."""
        model = self.occupancy.models[batch.group.model]
        item_weight = model.item_weight(batch.group.shape)
        weight = model.limits.padded(batch.size) * item_weight
        ends_ms = self.occupancy.batch_end_ms(model.key, weight, now_ms)
        jobs = []
        for ready in self._backlog.take(batch, now_ms=now_ms, ends_ms=ends_ms):
            if ready.held.job.is_past_deadline(self._clock.unix_ms()):
                late = DeadlinePassed("the deadline passed before the device was free")
                self._fail(ready, late)
            else:
                jobs.append(ready)
        weight = model.limits.padded(len(jobs)) * item_weight
        return _Batch(model=model, jobs=jobs, weight=weight, sent_ms=now_ms)

    def _give_up(self, key: str, fault: ModelFault) -> None:
        """Fail the jobs that wait for a model that cannot be loaded, or have others run them."""
        for ready in self._backlog.drain(key):
            self._fail_or_rescue(ready, fault)

    def _send_batch(self, batch: _Batch) -> None:
        if batch.jobs:
            command = self.occupancy.batch_sent(batch.model.key, batch.weight, batch.sent_ms)
            task = self._spawn(self._run_batch(batch, command))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    async def _run_batch(self, batch: _Batch, command: InFlight) -> None:
        """Run a batch and send each of its jobs on its way."""
        try:
            outcome = await self._infer(batch)
        except Exception:
            # A defect of ours. Nobody else would end these jobs while their leases are renewed.
            log.exception("batch.broken", extra={"model": batch.model.key})
            for ready in batch.jobs:
                self._fail(ready, ModelFault("the batch could not be run"))
            return
        finally:
            self.occupancy.ended(command)
            self._wake.set()
        batch = replace(batch, ended_ms=self._clock.monotonic_ms())
        self._gate.worked(batch.ended_ms, outcome.device_ms)
        if outcome.runs == 1:
            self.occupancy.learn_batch(batch.model.key, batch.weight, outcome.device_ms)
        lost = any(isinstance(item, DeviceLost) for item in outcome.items)
        try:
            fine = await asyncio.gather(
                *(self._finish(batch, index, outcome) for index in range(len(batch.jobs)))
            )
        finally:
            outcome.release()
        self._on_end(
            BatchEnd(
                model=batch.model,
                jobs=sum(each is not None for each in fine),
                failures=sum(each is False for each in fine),
                lost=lost,
                device_ms=outcome.device_ms,
                decode_ms=[ready.decode_ms for ready in batch.jobs],
                made_by=[each for each in fine if isinstance(each, Provenance)],
            )
        )
        log.debug(
            "batch.inferred",
            extra={
                "model": batch.model.key,
                "size": len(batch.jobs),
                "device_ms": round(outcome.device_ms, 1),
                "runs": outcome.runs,
            },
        )

    async def _infer(self, batch: _Batch) -> BatchOutcome:
        key = batch.model.key
        items = [ready.item() for ready in batch.jobs]
        if key in self.loader.loading:
            # The scheduler may send a batch right behind its model's load.
            await asyncio.wait({self.loader.loading[key]})
        return await infer_isolated(
            lambda some: self._device.infer(key, some, timeout_s=self._settings.infer_timeout_s),
            items,
        )

    async def _finish(
        self, batch: _Batch, index: int, outcome: BatchOutcome
    ) -> Provenance | Literal[False] | None:
        """Reduce one picture's outputs and hand its job on; a broken one fails alone.

        Gives what made the findings; False where the model failed, None where it never came to it.
        """
        ready, item = batch.jobs[index], outcome.items[index]
        if isinstance(item, Unavailable):
            # The device is away and the picture is not to blame: it stays ready.
            self.offer(ready)
            return None
        if isinstance(item, ModelFault):
            self._fail_or_rescue(ready, item)
            return False
        if isinstance(item, JobFault):
            # Its picture's own: no model ever saw it.
            self._fail(ready, item)
            return None
        ready.block.release()
        if item.fell_back:
            ready = replace(ready, encoded_bytes=0)
        loop = asyncio.get_running_loop()
        started_s = perf_counter()
        try:
            findings = await loop.run_in_executor(self._threads, self._reduce, ready, item)
            reduce_ms = (perf_counter() - started_s) * 1e3
            message = self._inferred(batch, ready, findings, outcome.device_ms, reduce_ms)
        except JobFault as fault:
            self._fail_or_rescue(ready, fault)
        except Exception:
            log.exception("outputs.broken", extra={"job_id": ready.held.job.job_id})
            self._fail_or_rescue(ready, ModelFault("the model's outputs could not be read"))
        else:
            self._finisher.hand_on(ready.held, message, ready.model.card.rules)
            return message.made_by
        return False

    def _inferred(
        self,
        batch: _Batch,
        ready: ReadyJob,
        findings: Findings,
        device_ms: float,
        reduce_ms: float,
    ) -> JobInferred:
        job, model = ready.held.job, ready.model
        # The batch may have lain behind another at the device: what it did not run, it waited.
        waited_ms = batch.ended_ms - device_ms - ready.waiting.waiting_since_ms
        return JobInferred(
            job_id=job.job_id,
            attempt=job.attempt,
            width_px=ready.placement.picture_width_px,
            height_px=ready.placement.picture_height_px,
            rules_sha256=model.rules_sha256,
            inferred_unix_ms=self._clock.unix_ms(),
            made_by=Provenance(
                version=job.version,
                model_sha256=model.version.file_sha256,
                settings_sha256=model.card.settings_sha256,
                runtime=model.card.runtime,
                device=self._device_name,
                batch_size=len(batch.jobs),
                queued_ms=float(ready.held.claimed_unix_ms - job.accepted_unix_ms),
                decode_ms=round(ready.decode_ms, 3),
                waited_ms=round(waited_ms, 3),
                device_ms=round(device_ms, 3),
                reduce_ms=round(reduce_ms, 3),
                decoder=ready.decoder,
            ),
            findings=findings,
        )

    def _fail(self, ready: ReadyJob, fault: JobFault) -> None:
        ready.block.release()
        self._finisher.fail(ready.held, fault)

    def _fail_or_rescue(self, ready: ReadyJob, fault: JobFault) -> None:
        """End a job that the model failed, unless the model is on trial and another may run it."""
        ready.block.release()
        if not self.rescue(ready.held, ready.model):
            self._finisher.fail(ready.held, fault)

    def _hand_back(self, ready_jobs: Iterable[ReadyJob]) -> None:
        for ready in ready_jobs:
            ready.block.release()
            self._finisher.hand_back(ready.held)
