"""Jobs: listing, reading, results, deliveries, withdrawing."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.jobs.job import JobState, Subscriber
from webapp import documentation as docs
from webapp.json_answer import json_answer, json_text_answer
from webapp.listing import Wanted, read_page
from webapp.parts import Parts
from webapp.presentation import delivery_document, job_json, page_json
from webapp.refusals import NoResult, ResultNotReady
from webapp.routes.calling import caller_of_repeatable
from webapp.routes.own_job import own_job


class JobRoutes:
    """The handlers of ``/v1/jobs``, but for submitting, events and pictures."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v1/jobs", **docs.LIST_JOBS)(self.list)
        app.get("/v1/jobs/{job_id}", **docs.READ_JOB)(self.read)
        app.delete("/v1/jobs/{job_id}", **docs.CANCEL_JOB)(self.cancel)
        app.delete("/v1/jobs/{job_id}/record", **docs.REMOVE_JOB)(self.remove)
        app.get("/v1/jobs/{job_id}/result", **docs.READ_RESULT)(self.result)
        app.get("/v1/jobs/{job_id}/deliveries", **docs.READ_DELIVERIES)(self.deliveries)

    async def list(self, request: Request) -> Response:
        """Give one page of the caller's jobs, newest first."""
        caller = await caller_of_repeatable(self._parts, request, Scope.READ_OWN)
        wanted = Wanted.parse(request.scope["query_string"])
        page = await read_page(self._parts.jobs.index, caller.tenant, wanted, sees=caller.sees)
        return json_text_answer(page_json(page.jobs, page.cursor))

    async def read(self, request: Request) -> Response:
        """Give a job."""
        return json_text_answer(job_json(await own_job(self._parts, request)))

    async def cancel(self, request: Request) -> Response:
        """End a job as canceled; raises JobEnded."""
        job = await own_job(self._parts, request, Scope.SUBMIT)
        return json_text_answer(job_json(await self._parts.jobs.withdrawing.cancel(job)))

    async def remove(self, request: Request) -> Response:
        """Remove an ended job with all that is kept of it; raises JobNotEnded."""
        await self._parts.jobs.withdrawing.remove(await own_job(self._parts, request, Scope.SUBMIT))
        return Response(status_code=204)

    async def result(self, request: Request) -> Response:
        """Give a job's result as it was stored; raises ResultNotReady or NoResult."""
        job = await own_job(self._parts, request)
        if not job.state.is_terminal:
            raise ResultNotReady(job.state)
        if job.state is not JobState.SUCCEEDED:
            raise NoResult(job.state, reason_code=job.reason_code, reason=job.reason)
        return json_text_answer(job.result)

    async def deliveries(self, request: Request) -> Response:
        """Give the deliveries of a job with their attempts."""
        job = await own_job(self._parts, request)
        store = self._parts.deliveries
        named = {each.delivery_id: each for each in job.subscribers}
        ids = list(named)
        if job.finished_unix_ms:
            # Endpoints that subscribe are told of the same moment without being named.
            at_end = await self._parts.delivery_index.at_moment(job.tenant, job.finished_unix_ms)
            ids += [each for each in reversed(at_end) if each not in named]
        documents = []
        for delivery_id, record in zip(ids, await store.get_many(ids), strict=True):
            if delivery_id not in named and (record is None or record.job_id != job.job_id):
                continue
            attempts = await store.attempts(delivery_id) if record else ()
            subscriber = named.get(delivery_id) or Subscriber(
                delivery_id=delivery_id, endpoint_id=record.endpoint_id if record else ""
            )
            documents.append(delivery_document(subscriber, record, attempts))
        return json_answer({"deliveries": documents})
