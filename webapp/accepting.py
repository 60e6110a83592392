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
from pipeline.jobs.acceptance import Admission
from pipeline.jobs.job import Job, PictureFacts, Subscriber
from pipeline.jobs.promises import Once
from pipeline.jobs.quotas import Ceiling, Quota
from pipeline.jobs.store import JobStore
from pipeline.jobs.tenant_quotas import quota_of
from pipeline.lifecycle import sleep_or_stop
from pipeline.pictures.blobs import FileBlobs
from pipeline.pictures.facts import picture_facts
from pipeline.protocol import Keyspace
from webapp.access import Caller
from webapp.admission import RecentRefusals, choose_version, full
from webapp.limits import refused
from webapp.monitor import Monitor
from webapp.outlook import Outlook
from webapp.refusals import InvalidField, RefusedPicture, UnknownEndpoint
from webapp.submission import Submission, Webhook
from webapp.tenants import Tenants

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
    """How many jobs may wait, how many pictures are written at once, how long a doubt settles.

    *bytes_max* bounds the pictures that wait; 0 leaves it to the disk.
    """

    waiting_max: int
    bytes_max: int
    threads: int
    settle_s: float


class Accepting:
    """Makes jobs of checked submissions."""

    def __init__(  # noqa: PLR0913  # the composition root's parts, by name
        self,
        *,
        store: JobStore,
        blobs: FileBlobs,
        endpoints: EndpointStore,
        tenants: Tenants,
        keys: Keyspace,
        monitor: Monitor,
        clock: Clock,
        limits: AcceptLimits,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._endpoints = endpoints
        self._tenants = tenants
        self._keys = keys
        self._monitor = monitor
        self._clock = clock
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="blobs")
        self._in_doubt: dict[str, float] = {}
        self._refusals = RecentRefusals()

    async def plan(
        self, submission: Submission, pictures: Sequence[PictureFacts], *, caller: Caller
    ) -> list[Job]:
        """Make the jobs that *submission* asks for, one per picture; nothing is stored yet.

        Raises UnknownModel, UnknownVersion, UnknownEndpoint, ModelNotReady or Unavailable, and
        InvalidField when the deadline passed while the pictures were arriving.
        """
        models = await self._monitor.models(wanted=submission.model)
        version = choose_version(models, model=submission.model, version=submission.version)
        if submission.webhook is not None and submission.webhook.endpoint_id:
            await self._check_endpoint(submission.webhook.endpoint_id, caller.tenant)
        tenant = await self._tenants.get(caller.tenant)
        now_unix_ms = self._clock.unix_ms()
        if 0 < submission.deadline_unix_ms <= now_unix_ms:
            raise InvalidField("The deadline has already passed.", field="deadline")
        return [
            Job(
                job_id=new_id("job", now_unix_ms),
                tenant=caller.tenant,
                key_id=caller.key_id,
                model=submission.model,
                version=version,
                pinned=bool(submission.version),
                priority=submission.priority,
                reference=submission.reference,
                metadata=submission.metadata,
                picture=picture,
                subscribers=_subscribers(submission.webhook, now_unix_ms),
                accepted_unix_ms=now_unix_ms,
                deadline_unix_ms=submission.deadline_unix_ms,
                preview=submission.preview,
                dialect=submission.dialect,
                keep_record_s=tenant.record_retention_s,
                keep_picture_s=tenant.picture_retention_s,
            )
            for picture in pictures
        ]

    async def accept(
        self, jobs: Sequence[Job], pictures: Sequence[bytes], *, once: Once | None = None
    ) -> Admission:
        """Store pictures and jobs; on return both survive a crash of everything.

        Where *once* was promised before, nothing is stored, and the promise is given.
        Raises Overloaded when too much waits or a limit of the tenant is reached, and Unavailable
        when the disk or Redis does not answer. No picture is left then, at once or, where Redis
        left it open, a little later.
        """
        first = jobs[0]
        outlook = self._monitor.outlook(first.model, first.tenant)
        quota = quota_of(
            jobs,
            await self._tenants.get(first.tenant),
            keys=self._keys,
            bytes_max=self._limits.bytes_max,
            ceiling=self._ceiling(first, outlook, count=len(jobs)),
        )
        admission = await self._weighed(jobs, quota, once)
        if admission is None or admission.accepted:
            admission = await self._stored(jobs, pictures, quota, once)
        if not admission.accepted:
            if admission.earlier is not None:
                return admission
            self._refusals.note(first.tenant, self._clock.monotonic_ms())
            drained_per_s = self._monitor.drained_per_s
            raise refused(
                admission, quota, jobs, outlook=outlook, drained_per_s=drained_per_s
            ) or full(
                waiting=admission.waiting,
                wanted=len(jobs),
                waiting_max=self._limits.waiting_max,
                drained_per_s=drained_per_s,
            )
        log.debug("jobs.accepted", extra={"count": len(jobs), "first_job_id": first.job_id})
        return admission

    async def _weighed(
        self, jobs: Sequence[Job], quota: Quota, once: Once | None
    ) -> Admission | None:
        """Ask before anything is written where a refusal is likely; None where it is not.

        The disk is spared what would be removed again. What is accepted here is judged anew.
        """
        if not self._refusals.is_likely(jobs[0].tenant, self._clock.monotonic_ms()):
            return None
        return await self._store.weigh(
            jobs, waiting_max=self._limits.waiting_max, quota=quota, once=once
        )

    async def _stored(
        self, jobs: Sequence[Job], pictures: Sequence[bytes], quota: Quota, once: Once | None
    ) -> Admission:
        """Write the pictures and accept the jobs; what was not accepted leaves no picture."""
        names = [job.job_id for job in jobs]
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._put_all, names, pictures)
        try:
            admission = await self._store.accept(
                jobs, waiting_max=self._limits.waiting_max, quota=quota, once=once
            )
        except Unavailable:
            self._doubt(names)
            raise
        if not admission.accepted:
            await loop.run_in_executor(self._threads, self._delete_all, names)
        return admission

    def _ceiling(self, job: Job, outlook: Outlook, *, count: int) -> Ceiling | None:
        if not job.deadline_unix_ms:
            return None
        left_ms = job.deadline_unix_ms - self._clock.unix_ms()
        return outlook.ceiling(job, count=count, left_ms=left_ms)

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
