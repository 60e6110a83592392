"""Accepting: pictures onto the disk, then the jobs into the store, all of a request or none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.errors import InvalidPicture, Unavailable
from pipeline.ids import new_id
from pipeline.jobs.job import Job, PictureFacts, Subscriber
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import sleep_or_stop
from pipeline.pictures.blobs import FileBlobs
from webapp.admission import choose_version, full, picture_facts
from webapp.monitor import Monitor
from webapp.refusals import InvalidField, RefusedPicture, UnknownEndpoint
from webapp.submission import Submission, Webhook

log = logging.getLogger(__name__)

#: How many jobs may be in doubt at once; pictures past it are left to the sweep by age.
_DOUBTS_MAX = 10_000
_DOUBTS_INTERVAL_S = 1.0


def check_pictures(pictures: Sequence[bytes], *, max_pixels: int) -> list[PictureFacts]:
    """Check every picture; raises RefusedPicture for the first that is none that we take."""
    facts = []
    for index, data in enumerate(pictures):
        try:
            facts.append(picture_facts(data, max_pixels=max_pixels))
        except InvalidPicture as exc:
            field = "picture" if len(pictures) == 1 else f"picture[{index}]"
            raise RefusedPicture(str(exc), field=field) from exc
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptLimits:
    """How many jobs may wait, how many pictures are written at once, how long a doubt settles."""

    waiting_max: int
    threads: int
    settle_s: float


class Accepting:
    """Makes jobs of checked submissions."""

    def __init__(
        self,
        *,
        store: JobStore,
        blobs: FileBlobs,
        endpoints: EndpointStore,
        monitor: Monitor,
        clock: Clock,
        limits: AcceptLimits,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._endpoints = endpoints
        self._monitor = monitor
        self._clock = clock
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="blobs")
        self._in_doubt: dict[str, float] = {}

    async def plan(
        self, submission: Submission, pictures: Sequence[PictureFacts], *, tenant: str
    ) -> list[Job]:
        """Make the jobs that *submission* asks for, one per picture; nothing is stored yet.

        Raises UnknownModel, UnknownVersion, UnknownEndpoint, ModelNotReady or Unavailable, and
        InvalidField when the deadline passed while the pictures were arriving.
        """
        models = await self._monitor.models(wanted=submission.model)
        version = choose_version(models, model=submission.model, version=submission.version)
        if submission.webhook is not None and submission.webhook.endpoint_id:
            await self._check_endpoint(submission.webhook.endpoint_id, tenant)
        now_unix_ms = self._clock.unix_ms()
        if 0 < submission.deadline_unix_ms <= now_unix_ms:
            raise InvalidField("The deadline has already passed.", field="deadline")
        return [
            Job(
                job_id=new_id("job", now_unix_ms),
                tenant=tenant,
                model=submission.model,
                version=version,
                priority=submission.priority,
                reference=submission.reference,
                metadata=submission.metadata,
                picture=picture,
                subscribers=_subscribers(submission.webhook, now_unix_ms),
                accepted_unix_ms=now_unix_ms,
                deadline_unix_ms=submission.deadline_unix_ms,
            )
            for picture in pictures
        ]

    async def accept(self, jobs: Sequence[Job], pictures: Sequence[bytes]) -> None:
        """Store pictures and jobs; on return both survive a crash of everything.

        Raises Overloaded when too many jobs wait, and Unavailable when the disk or Redis does not
        answer. No picture is left then, at once or, where Redis left it open, a little later.
        """
        names = [job.job_id for job in jobs]
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._put_all, names, pictures)
        try:
            admission = await self._store.accept(jobs, waiting_max=self._limits.waiting_max)
        except Unavailable:
            self._doubt(names)
            raise
        if not admission.accepted:
            await loop.run_in_executor(self._threads, self._delete_all, names)
            raise full(
                waiting=admission.waiting,
                wanted=len(jobs),
                waiting_max=self._limits.waiting_max,
                drained_per_s=self._monitor.drained_per_s,
            )
        log.debug("jobs.accepted", extra={"count": len(jobs), "first_job_id": names[0]})

    async def settle_doubts(self, stop: asyncio.Event) -> None:
        """Remove pictures whose jobs turn out not to have been accepted, until *stop* is set.

        When an answer of Redis is lost, its command may have been carried out, or may still be. So
        a job counts as not accepted only when it is absent some time after Redis was last away.
        """
        while not await sleep_or_stop(stop, _DOUBTS_INTERVAL_S):
            now_ms = self._clock.monotonic_ms()
            due = [name for name, due_ms in self._in_doubt.items() if due_ms <= now_ms]
            if due:
                await self._settle(due)

    async def _settle(self, names: Sequence[str]) -> None:
        try:
            gone = await self._store.absent(names)
        except Unavailable:
            self._doubt(names)
            return
        await asyncio.to_thread(self._delete_all, sorted(gone))
        for name in names:
            del self._in_doubt[name]
        log.info("doubts.settled", extra={"kept": len(names) - len(gone), "removed": len(gone)})

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False)

    def _doubt(self, names: Sequence[str]) -> None:
        due_ms = self._clock.monotonic_ms() + self._limits.settle_s * 1000
        for name in names:
            if name in self._in_doubt or len(self._in_doubt) < _DOUBTS_MAX:
                self._in_doubt[name] = due_ms

    async def _check_endpoint(self, endpoint_id: str, tenant: str) -> None:
        endpoint = await self._endpoints.get(endpoint_id)
        if endpoint is None or endpoint.tenant != tenant:
            raise UnknownEndpoint

    def _put_all(self, names: Sequence[str], pictures: Sequence[bytes]) -> None:
        for index, (name, data) in enumerate(zip(names, pictures, strict=True)):
            try:
                self._blobs.put(name, data)
            except Unavailable:
                self._delete_all(names[:index])
                raise

    def _delete_all(self, names: Sequence[str]) -> None:
        for name in names:
            self._blobs.delete(name)


def _subscribers(webhook: Webhook | None, now_unix_ms: int) -> tuple[Subscriber, ...]:
    if webhook is None:
        return ()
    return (
        Subscriber(
            delivery_id=new_id("msg", now_unix_ms),
            endpoint_id=webhook.endpoint_id,
            url=webhook.url,
            secret=webhook.secret,
        ),
    )
