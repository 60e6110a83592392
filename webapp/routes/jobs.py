"""Jobs: submitting, reading, results, deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive

from egress.fetch import fetch
from pipeline.errors import InvalidRequest, NotFound, TargetNotAllowed
from pipeline.ids import is_id
from pipeline.jobs.job import Job, JobState
from webapp import documentation as docs
from webapp.accepting import check_pictures
from webapp.body import Holding
from webapp.head import SubmissionHead, read_head
from webapp.parts import Parts
from webapp.presentation import (
    delivery_document,
    job_json,
    job_path,
    jobs_json,
    to_json,
)
from webapp.refusals import NoResult, RefusedTarget, ResultNotReady
from webapp.submission import check_text, parse_submission
from webapp.uploads import Upload, read_upload
from webapp.waiting import Waiter

_JSON = "application/json"


class JobRoutes:
    """The handlers of ``/v1/jobs``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.post("/v1/jobs", **docs.SUBMIT)(self.submit)
        app.get("/v1/jobs/{job_id}", **docs.READ_JOB)(self.read)
        app.get("/v1/jobs/{job_id}/result", **docs.READ_RESULT)(self.result)
        app.get("/v1/jobs/{job_id}/deliveries", **docs.READ_DELIVERIES)(self.deliveries)

    async def submit(self, request: Request) -> Response:
        """Accept the pictures of one request: all or none."""
        parts = self._parts
        head = read_head(request.scope["headers"], request.scope["query_string"])
        tenant = await parts.access.tenant(head.authorization)
        parts.monitor.check_store_answers()
        parts.monitor.check_disk(parts.settings.disk_free_min_mb * 1024 * 1024)
        with parts.budget.hold() as holding:
            upload = await read_upload(head, request.receive, holding, parts.settings.uploads)
            submission = parse_submission(
                upload.fields, now_unix_ms=parts.clock.unix_ms(), egress=parts.egress_policy
            )
            pictures = await self._pictures(upload, holding)
            facts = check_pictures(pictures, max_pixels=parts.settings.uploads.picture_max_pixels)
            jobs = await parts.accepting.plan(submission, facts, tenant=tenant)
            wait_s = self._wait_s(head)
            watching = parts.ends.watch([job.job_id for job in jobs]) if wait_s else nullcontext()
            with watching as waiter:
                await parts.accepting.accept(jobs, pictures)
                # Nothing of the pictures is needed any more, and waiting may be long.
                del pictures, upload
                holding.release()
                if waiter is None:
                    return _accepted(jobs)
                return await self._wait(request.receive, waiter, jobs, wait_s)

    async def read(self, request: Request) -> Response:
        """Give a job."""
        return _json(job_json(await self._job(request)))

    async def result(self, request: Request) -> Response:
        """Give a job's result as it was stored; raises ResultNotReady or NoResult."""
        job = await self._job(request)
        if not job.state.is_terminal:
            raise ResultNotReady(job.state)
        if job.state is not JobState.SUCCEEDED:
            raise NoResult(job.state, reason_code=job.reason_code, reason=job.reason)
        return _json(job.result)

    async def deliveries(self, request: Request) -> Response:
        """Give the deliveries of a job with their attempts."""
        job = await self._job(request)
        store = self._parts.deliveries
        records = await store.get_many([each.delivery_id for each in job.subscribers])
        documents = [
            delivery_document(
                subscriber, record, await store.attempts(record.delivery_id) if record else ()
            )
            for subscriber, record in zip(job.subscribers, records, strict=True)
        ]
        return _json(to_json({"deliveries": documents}))

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

    def _wait_s(self, head: SubmissionHead) -> int:
        if not head.wait_s or not self._parts.ends.has_room:
            return 0
        return min(head.wait_s, self._parts.settings.wait_max_s)

    async def _wait(
        self, receive: Receive, waiter: Waiter, jobs: Sequence[Job], wait_s: int
    ) -> Response:
        """Answer with the finished jobs if they end in time, else as if nobody had waited."""
        ended = await _unless_gone(receive, waiter, wait_s)
        records = await self._parts.store.get_many([job.job_id for job in jobs]) if ended else []
        finished = [record for record in records if record is not None]
        if len(finished) < len(jobs):
            return _accepted(jobs, wait_s=wait_s)
        return Response(
            jobs_json(finished, with_result=True),
            headers=_location(jobs) | {"Preference-Applied": f"wait={wait_s}"},
            media_type=_JSON,
        )

    async def _job(self, request: Request) -> Job:
        """Give the job that the path names; raises NotFound unless it is the caller's."""
        tenant = await self._parts.access.tenant(request.headers.get("authorization", ""))
        job_id: str = request.path_params["job_id"]
        job = await self._parts.store.get(job_id) if is_id(job_id, "job") else None
        if job is None or job.tenant != tenant:
            raise NotFound("There is no job of this id.")
        return job


async def _unless_gone(receive: Receive, waiter: Waiter, wait_s: int) -> bool:
    """Wait for the jobs' ends, but not longer than the caller does."""
    waiting = asyncio.ensure_future(waiter.wait(wait_s))
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        return waiting.done() and waiting.result()
    finally:
        waiting.cancel()
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _accepted(jobs: Sequence[Job], *, wait_s: int = 0) -> Response:
    headers = _location(jobs)
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s}"
    return Response(jobs_json(jobs), status_code=202, headers=headers, media_type=_JSON)


def _location(jobs: Sequence[Job]) -> dict[str, str]:
    return {"Location": job_path(jobs[0].job_id)} if len(jobs) == 1 else {}


def _json(text: str) -> Response:
    return Response(text, media_type=_JSON)
