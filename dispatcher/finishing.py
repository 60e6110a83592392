"""Moving jobs on: handed to postprocess, failed, expired, or handed back. Many per round trip."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dispatcher.claims import Claims
from dispatcher.pictures.previews import Previewer
from dispatcher.scheduling.backlog import HeldJob
from pipeline.clock import Clock
from pipeline.errors import DeadlinePassed, JobFault, Unavailable
from pipeline.following import PAUSE_S
from pipeline.jobs.job import JobState
from pipeline.jobs.kept import Disposal
from pipeline.jobs.store import JobStore, Move
from pipeline.models.rules import Rules
from pipeline.protocol import DISPATCHER_GROUP, InferRequested, JobInferred, Keyspace

log = logging.getLogger(__name__)

#: Threads that remove pictures. They wait for the disk, and hardly compute.
_DISPOSING_THREADS = 2

#: So many jobs are moved in one round trip.
_ROUND_TRIP_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finish:
    held: HeldJob
    move: Move


class Finisher:
    """Writes what became of held jobs, as it comes, however long Redis is away."""

    def __init__(
        self,
        *,
        store: JobStore,
        keys: Keyspace,
        claims: Claims,
        disposal: Disposal,
        previewer: Previewer,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keys = keys
        self._claims = claims
        self._disposal = disposal
        self._previewer = previewer
        self._clock = clock
        self._queue: asyncio.Queue[_Finish] = asyncio.Queue()
        self._drawing: set[asyncio.Task[None]] = set()

    def hand_on(self, held: HeldJob, inferred: JobInferred, rules: Rules) -> None:
        """Give the job to postprocess, once its preview is drawn where one is asked for."""
        if not held.job.preview:
            self._give_to_postprocess(held, inferred)
            return
        task = asyncio.create_task(self._draw(held, inferred, rules))
        self._drawing.add(task)
        task.add_done_callback(self._drawing.discard)

    async def _draw(self, held: HeldJob, inferred: JobInferred, rules: Rules) -> None:
        """Draw while the picture is there: it goes with the move. The job goes on in any case."""
        try:
            await asyncio.to_thread(self._previewer.make, held.job, inferred.findings, rules)
        except Exception:
            log.exception("preview.undrawn", extra={"job_id": held.job.job_id})
        finally:
            self._give_to_postprocess(held, inferred)

    def _give_to_postprocess(self, held: HeldJob, inferred: JobInferred) -> None:
        self._put(held, JobState.INFERRED, announces=inferred, stream=self._keys.results)

    def hand_back(self, held: HeldJob) -> None:
        """Let the job wait again, for any dispatcher."""
        again = InferRequested(job_id=held.job.job_id)
        self._put(held, JobState.QUEUED, announces=again, stream=held.entry.stream)

    def fail(self, held: HeldJob, fault: JobFault) -> None:
        """End the job with its reason: expired past its deadline, failed otherwise."""
        to = JobState.EXPIRED if isinstance(fault, DeadlinePassed) else JobState.FAILED
        self._put(held, to, fault=fault)

    def _put(
        self,
        held: HeldJob,
        to: JobState,
        *,
        announces: InferRequested | JobInferred | None = None,
        stream: str = "",
        fault: JobFault | None = None,
    ) -> None:
        move = Move(
            job=held.job,
            to=to,
            # Another version may run it than the one that it was accepted for.
            version=held.job.version,
            cause=held.entry,
            group=DISPATCHER_GROUP,
            announces=announces,
            stream=stream,
            finished_unix_ms=self._clock.unix_ms() if to.is_terminal else 0,
            reason_code=fault.code if fault else "",
            reason=str(fault) if fault else "",
        )
        self._queue.put_nowait(_Finish(held=held, move=move))

    async def run(self) -> None:
        """Write until canceled; see :meth:`drained`."""
        # Of their own: a disk that is slow to delete must not keep pictures from being decoded.
        with ThreadPoolExecutor(_DISPOSING_THREADS, thread_name_prefix="dispose") as threads:
            await self._write_all(threads)

    async def _write_all(self, threads: ThreadPoolExecutor) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _ROUND_TRIP_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            moved = await self._move(batch)
            # Nobody waits for it: what is not done now is done by a sweep.
            asyncio.get_running_loop().run_in_executor(threads, self._dispose, moved)
            for finish in batch:
                self._claims.release(finish.held)
                self._queue.task_done()

    async def drained(self) -> None:
        """Wait until everything put here is written."""
        while self._drawing:
            await asyncio.wait(self._drawing)
        await self._queue.join()

    async def _move(self, batch: list[_Finish]) -> list[Move]:
        """Write a batch; give the moves that happened."""
        while True:
            try:
                answers = await self._store.move([finish.move for finish in batch])
                break
            except Unavailable as exc:
                log.warning("jobs.unmoved", extra={"size": len(batch), "reason": str(exc)})
                await asyncio.sleep(PAUSE_S)
        for finish, happened in zip(batch, answers, strict=True):
            level, event = logging.DEBUG, f"job.{finish.move.to}"
            if not happened:
                level, event = logging.WARNING, "job.stale_result"
            elif finish.move.reason_code:
                level = logging.INFO
            log.log(
                level,
                event,
                extra={"job_id": finish.move.job.job_id, "code": finish.move.reason_code},
            )
        return [finish.move for finish, happened in zip(batch, answers, strict=True) if happened]

    def _dispose(self, moves: list[Move]) -> None:
        """Remove the pictures that the device is through with, or keep them for their submitters.

        Only for moves that happened: where another was first, the picture is its owner's to remove.
        """
        for move in moves:
            if move.to is JobState.QUEUED:
                continue
            try:
                self._disposal.dispose(move.job)
            except OSError as exc:
                log.warning(
                    "picture.undeleted",
                    extra={"job_id": move.job.job_id, "reason": str(exc.strerror)},
                )
