"""fal's queue: requests are jobs, an application is a model, and the owner says nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.deliveries.fal import DIALECT, TIMED_OUT, Failure, failure_of, status_document, urls
from pipeline.errors import NotFound
from pipeline.ids import is_id
from pipeline.jobs.job import Job, JobState
from webapp import documentation as docs
from webapp.dialects.desk import Desk, base_url_of, refusing
from webapp.dialects.fal import (
    ERROR_TYPE_HEADER,
    TIMEOUT_TYPE_HEADER,
    bearer_of,
    error_type_of,
    parse_wanted,
    status_of,
)
from webapp.dialects.inputs import ModelRef
from webapp.event_stream import EventStream, StreamTimes
from webapp.job_states import states_of
from webapp.json_answer import json_answer, json_text_answer
from webapp.limits import rate_limit_fields
from webapp.parts import Parts
from webapp.problems import Problem
from webapp.queries import Query
from webapp.refusals import JobEnded, ResultLate
from webapp.routes.own_job import visible_job
from webapp.submitting import Taken

_QUEUE, _RUN = "/fal", "/fal-run"


class FalRoutes:
    """The handlers of ``/fal`` (the queue) and ``/fal-run`` (the same, waited for)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._desk = Desk(parts, dialect=DIALECT)
        self._times = StreamTimes(
            heartbeat_s=parts.settings.events.heartbeat_s,
            send_timeout_s=parts.settings.events.send_timeout_s,
        )

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        for suffix in ("", "/{version}"):
            model = f"/{{owner}}/{{app}}{suffix}"
            documented = docs.FAL["submit_version" if suffix else "submit"]
            app.post(f"{_QUEUE}{model}", **documented)(refusing(self.submit, _refusal))
            documented = docs.FAL["run_version" if suffix else "run"]
            app.post(f"{_RUN}{model}", **documented)(refusing(self.run, _refusal))
        one = f"{_QUEUE}/{{owner}}/{{app}}/requests/{{request_id}}"
        app.get(f"{one}/status", **docs.FAL["status"])(refusing(self.status, _refusal))
        app.get(f"{one}/status/stream", **docs.FAL["stream"])(refusing(self.stream, _refusal))
        app.get(one, **docs.FAL["result"])(refusing(self.result, _refusal))
        app.put(f"{one}/cancel", **docs.FAL["cancel"])(refusing(self.cancel, _refusal))

    async def submit(self, request: Request) -> Response:
        """Put a request into the queue."""
        taken = await self._take(request, wait_s=0)
        (job,) = taken.jobs
        url = self._url(request, job)
        document = {
            "request_id": job.job_id,
            "status": "IN_QUEUE",
            "queue_position": self._position(job),
            **urls(url),
        }
        return json_answer(document, headers=rate_limit_fields(taken.levels))

    async def run(self, request: Request) -> Response:
        """Have a request done and give its output, within the time that a call may wait."""
        taken = await self._take(request, wait_s=self._desk.check_waiting())
        (job,) = taken.jobs
        headers = {"x-fal-request-id": job.job_id}
        if not taken.have_ended:
            raise ResultLate(job.job_id, wait_s=taken.wait_s)
        if failure := failure_of(job):
            return _failed(failure, headers=headers)
        return json_text_answer(job.result, headers=headers)

    async def status(self, request: Request) -> Response:
        """Say where a request stands: 202 until it has ended, 200 then."""
        job = await self._job(request)
        query = Query.parse(request.scope["query_string"], known=("logs",))
        logs = query.text("logs").lower() in ("1", "true")
        status = 200 if job.state.is_terminal else 202
        return json_answer(self._status(request, job, logs=logs), status=status)

    async def stream(self, request: Request) -> Response:
        """Tell each state of a request until it has ended."""
        job = await self._job(request)
        with ExitStack() as held:
            held.enter_context(self._parts.jobs.streams.hold(job.tenant))
            return EventStream(
                self._states(request, job),
                held.pop_all(),
                times=self._times,
                stopping=self._parts.stopping,
            )

    async def result(self, request: Request) -> Response:
        """Give a request's output, or the error that it ended with."""
        job = await self._job(request)
        if not job.state.is_terminal:
            failure = Failure(
                status=400, error_type="bad_request", detail="Request is still in progress."
            )
            return _failed(failure)
        if failed := failure_of(job):
            return _failed(failed)
        return json_text_answer(job.result)

    async def cancel(self, request: Request) -> Response:
        """End a request as canceled."""
        try:
            job = await self._job(request, Scope.SUBMIT)
        except NotFound:
            return json_answer({"status": "NOT_FOUND"}, status=404)
        try:
            await self._parts.jobs.withdrawing.cancel(job)
        except JobEnded:
            return json_answer({"status": "ALREADY_COMPLETED"}, status=400)
        return json_answer({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def _take(self, request: Request, *, wait_s: int) -> Taken:
        parts, desk = self._parts, self._desk
        authorization = bearer_of(request.headers.get("authorization", ""))
        caller = await parts.access.caller(authorization, Scope.SUBMIT)
        desk.submitting.check_open()
        query = Query.parse(request.scope["query_string"], known=("fal_webhook",))
        model = ModelRef(
            model=request.path_params["app"], version=request.path_params.get("version", "")
        )
        with parts.budget.hold() as holding:
            wanted = parse_wanted(
                await desk.read(request, holding),
                request.headers,
                webhook_url=query.values.get("fal_webhook", ""),
                max_bytes=parts.settings.uploads.picture_max_bytes,
            )
            order = await desk.order(
                request,
                caller,
                wanted.picture,
                wanted.to_fields() | model.to_fields(),
                webhook_url=wanted.webhook_url,
            )
            del wanted
            order.wait_s = wait_s
            return await desk.submitting.carry_out(order, holding, request.receive)

    async def _job(self, request: Request, scope: Scope = Scope.READ_OWN) -> Job:
        """Give the job that the path names, of the model that it names; raises NotFound."""
        parts = self._parts
        authorization = bearer_of(request.headers.get("authorization", ""))
        caller = await parts.access.caller(authorization, scope)
        job_id: str = request.path_params["request_id"]
        if not is_id(job_id, "job"):
            raise NotFound("There is no request of this id.")
        job = await visible_job(parts, caller, job_id, scope)
        if job.model != request.path_params["app"]:
            raise NotFound("There is no request of this id for this application.")
        return job

    async def _states(self, request: Request, job: Job) -> AsyncGenerator[bytes, None]:
        async with aclosing(states_of(self._parts, job)) as states:
            async for seen in states:
                document = self._status(request, seen, logs=True)
                data = json.dumps(document, separators=(",", ":"))
                yield f"data: {data}\n\n".encode()

    def _status(self, request: Request, job: Job, *, logs: bool) -> dict[str, Any]:
        queued = job.state is JobState.QUEUED
        return status_document(
            job,
            base_url=self._url(request, job),
            queue_position=self._position(job) if queued else 0,
            logs=logs,
        )

    def _position(self, job: Job) -> int:
        """Give how many jobs may be done before *job*, as of the last look: it is at most so."""
        loads = self._parts.monitor.outlook(job.model, job.tenant).loads
        return max(0, loads.ahead(job.model, job.priority) - 1)

    def _url(self, request: Request, job: Job) -> str:
        owner, app = request.path_params["owner"], request.path_params["app"]
        base_url = base_url_of(request, self._parts)
        return f"{base_url}{_QUEUE}/{owner}/{app}/requests/{job.job_id}"


def _refusal(problem: Problem) -> Response:
    """Say a problem as fal does."""
    failure = Failure(
        status=status_of(problem), error_type=error_type_of(problem), detail=problem.detail
    )
    return _failed(failure, headers=dict(problem.headers))


def _failed(failure: Failure, *, headers: dict[str, str] | None = None) -> Response:
    headers = dict(headers or {}) | {ERROR_TYPE_HEADER: failure.error_type}
    if failure.error_type == TIMED_OUT:
        # Without it the client of PyPI would repeat what has timed out.
        headers[TIMEOUT_TYPE_HEADER] = "user"
    return json_answer(failure.to_document(), status=failure.status, headers=headers)
