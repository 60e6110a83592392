"""The older picture call: a picture in base64 comes in, and its result goes out."""

from __future__ import annotations

from dataclasses import replace

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from webapp import documentation as docs
from webapp.dialects.desk import Desk, result_of
from webapp.dialects.inputs import decoded, default_model, parse_model_ref
from webapp.json_answer import json_text_answer
from webapp.limits import rate_limit_fields
from webapp.parts import Parts
from webapp.presentation import job_path
from webapp.queries import Query
from webapp.refusals import InvalidField
from webapp.routes.calling import caller_of

_MEMBER = "image"


class AipRoute:
    """The handler of ``POST /aip``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._desk = Desk(parts, dialect="")

    def install(self, app: FastAPI) -> None:
        """Add the route with its documentation."""
        app.post("/aip", **docs.AIP)(self.infer)

    async def infer(self, request: Request) -> Response:
        """Give the result of one picture.

        What is not done within the time that a call may wait expires: nobody would ask for it.
        """
        parts, desk = self._parts, self._desk
        caller = await caller_of(parts, request, Scope.SUBMIT)
        query = Query.parse(request.scope["query_string"], known=("model", "version"))
        named = query.text("model")
        model = (
            parse_model_ref(named, name="model") if named else default_model(caller, name="model")
        )
        model = replace(model, version=query.text("version") or model.version)
        wait_s = desk.check_waiting()
        desk.submitting.check_open()
        with parts.budget.hold() as holding:
            body = await desk.read(request, holding)
            if unknown := sorted(body.keys() - {_MEMBER}):
                raise InvalidField(
                    f"There is no member {unknown[0]!r}.", field=unknown[0], allowed=(_MEMBER,)
                )
            max_bytes = parts.settings.uploads.picture_max_bytes
            picture = decoded(body.pop(_MEMBER, None), name=_MEMBER, max_bytes=max_bytes)
            fields = model.to_fields() | {"deadline_s": wait_s}
            order = await desk.order(request, caller, picture, fields)
            del picture
            order.wait_s = wait_s
            taken = await desk.submitting.carry_out(order, holding, request.receive)
        job = result_of(taken)
        headers = {"Location": job_path(job.job_id)} | dict(rate_limit_fields(taken.levels))
        return json_text_answer(job.result, headers=headers)
