"""Predictions as Cog serves them, and as Replicate's API does: jobs under other names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.deliveries.cog import DIALECT, prediction_document
from pipeline.errors import NotFound
from pipeline.ids import is_id
from pipeline.jobs.job import Job
from pipeline.jobs.promises import Once
from webapp import documentation as docs
from webapp.dialects.cog import (
    Asked,
    parse_asked,
    parse_cancel_after,
    promise_key,
    wait_of,
)
from webapp.dialects.cog_answers import PREDICTION_FIELDS, cog_refusal, renamed
from webapp.dialects.desk import Desk, base_url_of, refusing
from webapp.dialects.inputs import ModelRef, default_model, parse_model_ref
from webapp.json_answer import json_answer
from webapp.limits import rate_limit_fields
from webapp.listing import Wanted, read_page
from webapp.parts import Parts
from webapp.queries import Query
from webapp.refusals import JobEnded, NotStreamed
from webapp.routes.calling import caller_of
from webapp.routes.own_job import visible_job
from webapp.submitting import Order, Taken
from webapp.uploads import JSON_TYPE

_PAGE = 100


class PredictionRoutes:
    """The handlers of ``/predictions`` and ``/v1/predictions``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._desk = Desk(parts, dialect=DIALECT)

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        for prefix, say, documented in (
            ("", cog_refusal, docs.COG),
            ("/v1", lambda problem: renamed(problem).to_response(), docs.REPLICATE),
        ):
            one = f"{prefix}/predictions/{{prediction_id}}"
            create = self.create if prefix else self.predict
            app.post(f"{prefix}/predictions", **documented["create"])(refusing(create, say))
            app.get(one, **documented["read"])(refusing(self.read, say))
            app.post(f"{one}/cancel", **documented["cancel"])(refusing(self.cancel, say))
        app.put("/predictions/{prediction_id}", **docs.COG["put"])(
            refusing(self.predict, cog_refusal)
        )
        app.get("/v1/predictions", **docs.REPLICATE["list"])(self.list)
        app.post("/v1/models/{owner}/{name}/predictions", **docs.REPLICATE["create_of_model"])(
            refusing(self.create, lambda problem: renamed(problem).to_response())
        )

    async def predict(self, request: Request) -> Response:
        """Make a prediction and wait for it, unless the caller would rather not; Cog's way."""
        accept = request.headers.get("accept", "")
        if "text/event-stream" in accept and "*/*" not in accept and JSON_TYPE not in accept:
            raise NotStreamed
        taken = await self._take(request, default_wait_s=self._parts.settings.wait_max_s)
        (job,) = taken.jobs
        return self._answer(request, taken, status=200 if job.state.is_terminal else 202)

    async def create(self, request: Request) -> Response:
        """Make a prediction; Replicate's way."""
        return self._answer(request, await self._take(request, default_wait_s=0), status=201)

    async def read(self, request: Request) -> Response:
        """Give a prediction."""
        return self._prediction(request, await self._job(request, Scope.READ_OWN))

    async def cancel(self, request: Request) -> Response:
        """End a prediction as canceled; one that has ended stays as it is."""
        job = await self._job(request, Scope.SUBMIT)
        try:
            job = await self._parts.jobs.withdrawing.cancel(job)
        except JobEnded:
            job = await self._parts.store.get(job.job_id) or job
        return self._prediction(request, job)

    async def list(self, request: Request) -> Response:
        """Give one page of predictions, newest first: all jobs, however they were made."""
        parts = self._parts
        caller = await caller_of(parts, request, Scope.READ_OWN)
        query = request.scope["query_string"]
        Query.parse(query, known=("cursor",))
        wanted = replace(Wanted.parse(query), limit=_PAGE)
        page = await read_page(parts.jobs.index, caller.tenant, wanted, sees=caller.sees)
        jobs = await parts.store.get_many([job.job_id for job in page.jobs])
        base_url = base_url_of(request, parts)
        following = f"{base_url}/v1/predictions?cursor={page.cursor}" if page.cursor else None
        results = [prediction_document(job, base_url=base_url) for job in jobs if job is not None]
        return json_answer({"previous": None, "next": following, "results": results})

    async def _take(self, request: Request, *, default_wait_s: int) -> Taken:
        parts, desk = self._parts, self._desk
        caller = await caller_of(parts, request, Scope.SUBMIT)
        desk.submitting.check_open()
        with parts.budget.hold() as holding:
            asked = parse_asked(
                await desk.read(request, holding),
                path_id=request.path_params.get("prediction_id", ""),
                named=_named(request),
                max_bytes=parts.settings.uploads.picture_max_bytes,
            )
            model = asked.model or default_model(caller, name="version")
            order = await desk.order(
                request,
                caller,
                asked.picture,
                self._fields(request, asked) | model.to_fields(),
                webhook_url=asked.webhook_url,
            )
            await self._once(order, asked)
            del asked
            order.wait_s = wait_of(request.headers.get("prefer", ""), default_s=default_wait_s)
            return await desk.submitting.carry_out(order, holding, request.receive)

    def _fields(self, request: Request, asked: Asked) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "metadata": dict(asked.options),
            "reference": asked.prediction_id,
        }
        cancel_after = request.headers.get("cancel-after")
        return fields | ({"deadline_s": parse_cancel_after(cancel_after)} if cancel_after else {})

    async def _once(self, order: Order, asked: Asked) -> None:
        """Have a prediction with an id of the caller's own made once, for as long as it is kept."""
        settings = self._parts.settings
        if asked.prediction_id and order.upload is not None:
            order.once = await self._desk.submitting.once(
                promise_key(asked.prediction_id),
                order.upload,
                keep_s=settings.idempotency_s + settings.service.job_retention_s,
            )
            order.joins = True

    async def _job(self, request: Request, scope: Scope) -> Job:
        """Give the job behind an id, ours or the caller's own; raises NotFound."""
        parts = self._parts
        caller = await caller_of(parts, request, scope)
        wanted: str = request.path_params["prediction_id"]
        if not is_id(wanted, "job"):
            name = Once.of(promise_key(wanted), fingerprint="", keep_ms=0).key_sha256
            promise = await parts.jobs.promises.get(caller.tenant, name)
            if promise is None:
                raise NotFound("There is no prediction of this id.")
            wanted = promise.job_ids[0]
        return await visible_job(parts, caller, wanted, scope)

    def _answer(self, request: Request, taken: Taken, *, status: int) -> Response:
        answer = self._prediction(request, taken.jobs[0], status=status)
        answer.headers.update(rate_limit_fields(taken.levels))
        if taken.is_replayed:
            answer.headers["Idempotency-Replayed"] = "true"
        if taken.wait_s:
            answer.headers["Preference-Applied"] = f"wait={taken.wait_s}"
        return answer

    def _prediction(self, request: Request, job: Job, *, status: int = 200) -> Response:
        document = prediction_document(job, base_url=base_url_of(request, self._parts))
        return json_answer(document, status=status)


def _named(request: Request) -> ModelRef | None:
    """Give the model that the path or the query names."""
    if "name" in request.path_params:
        return parse_model_ref(request.path_params["name"], name="model")
    query = Query.parse(request.scope["query_string"], known=PREDICTION_FIELDS)
    if not query.text("model"):
        return None
    named = parse_model_ref(query.text("model"), name="model")
    return replace(named, version=query.text("version") or named.version)
