"""Submitting jobs: ``POST /v1/jobs``, once however often it is repeated under the same key."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.jobs.job import Job
from webapp import documentation as docs
from webapp.head import read_head
from webapp.idempotency import parse_key
from webapp.json_answer import json_text_answer
from webapp.limits import rate_limit_fields
from webapp.parts import Parts
from webapp.presentation import job_path, jobs_json
from webapp.submitting import Order, Submitting, Taken
from webapp.uploads import read_upload


class SubmitRoutes:
    """The handler of ``POST /v1/jobs``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._submitting = Submitting(parts)

    def install(self, app: FastAPI) -> None:
        """Add the route with its documentation."""
        app.post("/v1/jobs", **docs.SUBMIT)(self.submit)

    async def submit(self, request: Request) -> Response:
        """Accept the pictures of one request: all or none."""
        parts = self._parts
        head = read_head(request.scope["headers"], request.scope["query_string"])
        caller = await parts.access.caller(head.authorization, Scope.SUBMIT)
        key = None if head.idempotency_key is None else parse_key(head.idempotency_key)
        self._submitting.check_open()
        with parts.budget.hold() as holding:
            order = Order(
                caller=caller,
                upload=await read_upload(head, request.receive, holding, parts.settings.uploads),
                wait_s=head.wait_s or 0,
            )
            if key is not None and order.upload is not None:
                order.once = await self._submitting.once(key, order.upload)
            taken = await self._submitting.carry_out(order, holding, request.receive)
        answer = _finished(taken) if taken.have_ended else _accepted(taken)
        answer.headers.update(rate_limit_fields(taken.levels))
        if taken.is_replayed:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer


def _accepted(taken: Taken) -> Response:
    headers = _location(taken.jobs)
    if taken.wait_s:
        headers["Preference-Applied"] = f"wait={taken.wait_s}"
    return json_text_answer(jobs_json(taken.jobs), status=202, headers=headers)


def _finished(taken: Taken) -> Response:
    return json_text_answer(
        jobs_json(taken.jobs, with_result=True),
        headers=_location(taken.jobs) | {"Preference-Applied": f"wait={taken.wait_s}"},
    )


def _location(jobs: Sequence[Job]) -> dict[str, str]:
    return {"Location": job_path(jobs[0].job_id)} if len(jobs) == 1 else {}
