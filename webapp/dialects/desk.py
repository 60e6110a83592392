"""What every dialect does at its edge: the body read, the order made, its own way to refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from pipeline.errors import GwError, Unavailable
from pipeline.jobs.job import Job, JobState
from webapp.access import Caller
from webapp.body import BodyLimits, Holding, check_claimed_length, read_body
from webapp.dialects.inputs import Picture
from webapp.head import parse_content_type
from webapp.idempotency import HEADER, parse_key
from webapp.parts import Parts
from webapp.problems import Problem, noted_problem
from webapp.refusals import EndedWithout, ResultLate, UnsupportedContent
from webapp.submitting import Order, Submitting, Taken
from webapp.uploads import JSON_TYPE, parse_json_object

Handler = Callable[[Request], Awaitable[Response]]


class Desk:
    """Reads bodies and makes orders for one dialect, the word that its jobs keep."""

    def __init__(self, parts: Parts, *, dialect: str) -> None:
        self._parts = parts
        self._dialect = dialect
        self.submitting = Submitting(parts)

    async def read(self, request: Request, holding: Holding) -> dict[str, Any]:
        """Give the JSON object that is the body; raises UnsupportedContent and as uploads do."""
        settings = self._parts.settings.uploads
        limits = BodyLimits(
            max_bytes=settings.json_limit_bytes, timeout_s=settings.upload_timeout_s
        )
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedContent("A compressed body is not taken; send it as it is.")
        media_type, _ = parse_content_type(request.headers.get("content-type", ""))
        if media_type != JSON_TYPE:
            raise UnsupportedContent(f"The body must be {JSON_TYPE}.")
        length = request.headers.get("content-length", "")
        check_claimed_length(int(length) if length.isdecimal() else None, limits)
        return parse_json_object(await read_body(request.receive, limits, holding))

    async def order(
        self,
        request: Request,
        caller: Caller,
        picture: Picture,
        fields: Mapping[str, Any],
        *,
        webhook_url: str = "",
    ) -> Order:
        """Make an order; a webhook is signed with the tenant's own secret.

        An idempotency key counts here as it does on POST /v1/jobs.
        """
        if webhook_url:
            secret = await self._parts.jobs.secrets.get(caller.tenant)
            fields = {**fields, "webhook": {"url": webhook_url, "secret": secret}}
        upload = picture.to_upload(fields)
        key = request.headers.get(HEADER)
        once = await self.submitting.once(parse_key(key), upload) if key else None
        return Order(caller=caller, upload=upload, once=once, dialect=self._dialect)

    def check_waiting(self) -> int:
        """Give the longest that a call may wait, in seconds; raises Unavailable for none."""
        if not self._parts.settings.wait_max_s:
            raise Unavailable("waiting for results is switched off here")
        if not self._parts.ends.has_room:
            raise Unavailable("too many requests wait for their results", retry_after_s=1)
        return self._parts.settings.wait_max_s


def base_url_of(request: Request, parts: Parts) -> str:
    """Give where the caller reaches the API: as set, else as it has just done."""
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return parts.settings.public_url.rstrip("/") or own


def result_of(taken: Taken) -> Job:
    """Give the one job of *taken*, succeeded; raises EndedWithout or ResultLate."""
    (job,) = taken.jobs
    if not taken.have_ended or job.state is JobState.EXPIRED:
        raise ResultLate(job.job_id, wait_s=taken.wait_s)
    if job.state is not JobState.SUCCEEDED:
        raise EndedWithout(job.state, reason_code=job.reason_code, reason=job.reason)
    return job


def refusing(handler: Handler, say: Callable[[Problem], Response]) -> Handler:
    """Give *handler* with its errors said by *say*."""

    async def refused(request: Request) -> Response:
        try:
            return await handler(request)
        except GwError as exc:
            return say(noted_problem(request, exc))

    return refused
