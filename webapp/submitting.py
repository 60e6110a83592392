"""Carrying out submissions: the one way on which a request of any protocol becomes jobs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace

from starlette.types import Receive

from egress.fetch import fetch
from pipeline.errors import InvalidRequest, TargetNotAllowed
from pipeline.jobs.job import Job
from pipeline.jobs.promises import Once, Promise
from pipeline.jobs.quotas import BucketLevel
from webapp.accepting import check_pictures
from webapp.access import Caller
from webapp.body import Holding
from webapp.idempotency import fingerprint_of
from webapp.parts import Parts
from webapp.refusals import JobRemoved, KeyReused, RefusedTarget
from webapp.submission import check_text, parse_submission
from webapp.uploads import Upload
from webapp.waiting import Waiter, ended_unless_gone


@dataclass(slots=True, kw_only=True)
class Order:
    """What one request asks for, read and not yet checked.

    *upload* is let go of as soon as its pictures are stored, for waiting may be long: whoever makes
    an order keeps nothing of it. *joins* answers a request that meets its like in flight with the
    same jobs, where it is refused otherwise. *dialect* is what its jobs keep.
    """

    caller: Caller
    upload: Upload | None = field(repr=False)
    once: Once | None = None
    joins: bool = False
    wait_s: int = 0
    dialect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of an order: its jobs, with their results where *have_ended*.

    *wait_s* is what was waited at most, 0 where nobody wanted to or could. *is_replayed* tells that
    they were accepted before; *levels* is what is left of the rates.
    """

    jobs: Sequence[Job]
    have_ended: bool = False
    wait_s: int = 0
    is_replayed: bool = False
    levels: Sequence[BucketLevel] = ()


class Submitting:
    """Carries out orders."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def check_open(self) -> None:
        """Raise Unavailable, before any of a body is read, while nothing can be accepted."""
        self._parts.monitor.check_store_answers()
        self._parts.monitor.check_room()

    async def once(self, key: str, upload: Upload, *, keep_s: int = 0) -> Once:
        """Say that *upload* is to be carried out once under the caller's own *key*."""
        return Once.of(
            key,
            fingerprint=await fingerprint_of(upload),
            keep_ms=(keep_s or self._parts.settings.idempotency_s) * 1000,
        )

    async def carry_out(self, order: Order, holding: Holding, receive: Receive) -> Taken:
        """Accept the pictures of *order*, all or none, and wait as long as it wants.

        *holding* is released as soon as nothing of the pictures is needed any more. Raises what
        the checks, the plan and the acceptance raise; nothing is stored then.
        """
        parts, once = self._parts, order.once
        with ExitStack() as in_flight:
            if once is not None:
                tenant = order.caller.tenant
                if not order.joins:
                    in_flight.enter_context(parts.jobs.in_flight.hold(tenant, once))
                promise = await parts.jobs.promises.get(tenant, once.key_sha256)
                if promise is not None:
                    order.upload = None
                    holding.release()
                    in_flight.close()
                    return await self._again(receive, order, promise)
            jobs, pictures = await self._planned(order, holding)
            wait_s = self._wait_s(order)
            watching = parts.ends.watch([job.job_id for job in jobs]) if wait_s else nullcontext()
            with watching as waiter:
                admission = await parts.accepting.accept(jobs, pictures, once=once)
                del pictures
                order.upload = None
                holding.release()
                in_flight.close()
                if admission.earlier is not None:
                    return await self._again(receive, order, admission.earlier)
                taken = Taken(jobs=jobs, levels=admission.levels)
                if waiter is None:
                    return taken
                return await self._waited(receive, waiter, taken, wait_s)

    async def _planned(self, order: Order, holding: Holding) -> tuple[list[Job], Sequence[bytes]]:
        parts, upload = self._parts, order.upload
        assert upload is not None  # noqa: S101  # an order is carried out once
        submission = parse_submission(
            upload.fields, now_unix_ms=parts.clock.unix_ms(), egress=parts.egress_policy
        )
        pictures = await self._pictures(upload, holding)
        facts = check_pictures(pictures, max_pixels=parts.settings.uploads.picture_max_pixels)
        submission = replace(submission, dialect=order.dialect)
        return await parts.accepting.plan(submission, facts, caller=order.caller), pictures

    async def _again(self, receive: Receive, order: Order, promise: Promise) -> Taken:
        """Give the jobs that were accepted before; raises KeyReused or JobRemoved."""
        if order.once is None or promise.fingerprint != order.once.fingerprint:
            raise KeyReused
        records = await self._parts.store.get_many(promise.job_ids)
        jobs = [job for job in records if job is not None]
        if len(jobs) < len(records):
            raise JobRemoved
        taken = Taken(jobs=jobs, is_replayed=True)
        wait_s = self._wait_s(order)
        if not wait_s:
            return taken
        if all(job.state.is_terminal for job in jobs):
            return replace(taken, have_ended=True, wait_s=wait_s)
        with self._parts.ends.watch(promise.job_ids) as waiter:
            return await self._waited(receive, waiter, taken, wait_s)

    async def _pictures(self, upload: Upload, holding: Holding) -> tuple[bytes, ...]:
        if not upload.picture_url:
            return upload.pictures
        settings = self._parts.settings
        check_text(upload.picture_url, "picture_url")
        try:
            data = await fetch(
                self._parts.egress,
                upload.picture_url,
                max_bytes=settings.uploads.picture_max_bytes,
                deadline_s=settings.url_fetch_timeout_s,
            )
        except TargetNotAllowed as exc:
            raise RefusedTarget(str(exc), field="picture_url") from exc
        except InvalidRequest as exc:
            exc.field = "picture_url"
            raise
        holding.add(len(data))
        return (data,)

    def _wait_s(self, order: Order) -> int:
        if not order.wait_s or not self._parts.ends.has_room:
            return 0
        return min(order.wait_s, self._parts.settings.wait_max_s)

    async def _waited(self, receive: Receive, waiter: Waiter, taken: Taken, wait_s: int) -> Taken:
        """Give the finished jobs if they end in time, else what there is without waiting."""
        ended = await ended_unless_gone(receive, waiter, wait_s)
        ids = [job.job_id for job in taken.jobs]
        records = await self._parts.store.get_many(ids) if ended else []
        finished = [record for record in records if record is not None]
        if len(finished) < len(ids):
            return replace(taken, wait_s=wait_s)
        return replace(taken, jobs=finished, have_ended=True, wait_s=wait_s)
