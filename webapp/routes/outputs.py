"""The raw outputs of a job's model, while they are kept."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.errors import NotFound
from pipeline.jobs.job import JobState
from webapp import documentation as docs
from webapp.inferring import Inferring
from webapp.open_inference.answer import infer_answer, joined
from webapp.open_inference.request import RequestedOutput
from webapp.parts import Parts
from webapp.refusals import NoResult, ResultNotReady
from webapp.routes.open_inference import HEADER_LENGTH
from webapp.routes.own_job import own_job


class OutputRoutes:
    """The handler of ``/v1/jobs/{job_id}/outputs``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inferring = Inferring(parts)

    def install(self, app: FastAPI) -> None:
        """Add the route with its documentation."""
        app.get("/v1/jobs/{job_id}/outputs", **docs.READ_OUTPUTS)(self.outputs)

    async def outputs(self, request: Request) -> Response:
        """Give the outputs in the form of an inference's binary answer.

        Raises NotFound, ResultNotReady, NoResult or OutputsGone.
        """
        job = await own_job(self._parts, request)
        if not job.raw_outputs:
            raise NotFound("This job was submitted without asking for raw outputs.")
        if not job.state.is_terminal:
            raise ResultNotReady(job.state)
        if job.state is not JobState.SUCCEEDED:
            raise NoResult(job.state, reason_code=job.reason_code, reason=job.reason)
        with self._parts.budget.hold() as holding:
            (item,) = await self._inferring.answers([job], holding)
            wanted = [RequestedOutput(name=each.name, is_binary=True) for each in item.outputs]
            head = {"model_name": job.model, "model_version": job.version}
            answer = await asyncio.to_thread(infer_answer, head, joined([item]), wanted, labels=())
        headers = {HEADER_LENGTH: str(answer.header_bytes or len(answer.body))}
        return Response(answer.body, headers=headers, media_type="application/octet-stream")
