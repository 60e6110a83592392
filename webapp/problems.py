"""Errors as HTTP: which status each has, and its problem document (RFC 9457).

This is the only place that knows which status belongs to which error.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from egress.fetch import FetchFailed
from pipeline.documents import compact_json
from pipeline.errors import (
    AccessDenied,
    CallerError,
    GwError,
    InvalidPicture,
    InvalidRequest,
    NotFound,
    Overloaded,
    TargetNotAllowed,
    Unavailable,
)
from webapp import refusals
from webapp.error_forms import form_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

#: The nearest class of an error's own line of descent decides; what is not here is a 500.
STATUS_OF: Mapping[type[GwError], int] = {
    CallerError: 400,
    InvalidRequest: 400,
    AccessDenied: 401,
    refusals.MissingScope: 403,
    # Of a URL, and of what a submission names: the code tells which.
    NotFound: 404,
    refusals.UploadTimedOut: 408,
    # The job will get there: the same request succeeds later.
    refusals.ResultNotReady: 409,
    refusals.JobNotEnded: 409,
    refusals.JobEnded: 409,
    refusals.BatchEnded: 409,
    refusals.RequestInFlight: 409,
    refusals.TooManySubscribers: 409,
    refusals.TooManyEndpoints: 409,
    refusals.DeliveryOnItsWay: 409,
    refusals.NothingToSend: 409,
    refusals.EndpointDisabled: 409,
    refusals.OperationUnderWay: 409,
    # The job ended without one: no later request succeeds.
    refusals.NoResult: 410,
    refusals.EndedWithout: 422,
    refusals.ResultLate: 504,
    refusals.NotStreamed: 406,
    refusals.JobRemoved: 410,
    refusals.OutputsGone: 410,
    refusals.EventsTrimmed: 410,
    refusals.BodyTooLarge: 413,
    refusals.UnsupportedContent: 415,
    # The request is well formed, and what it carries or points to is of no use.
    InvalidPicture: 422,
    refusals.UnusableSource: 422,
    refusals.KeyReused: 422,
    TargetNotAllowed: 422,
    FetchFailed: 422,
    Overloaded: 429,
    refusals.DeadlineUnreachable: 429,
    refusals.QuotaReached: 429,
    refusals.RateLimited: 429,
    Unavailable: 503,
}

#: Problems without an error class: routes that do not exist, and what the HTTP parser refuses.
CODE_OF_STATUS: Mapping[int, str] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timed_out",
    414: "uri_too_long",
    431: "headers_too_large",
    500: "internal_error",
}

_TITLES: Mapping[str, str] = {
    "access_denied": "Access denied",
    "bad_request": "Bad request",
    "batch_ended": "The batch has ended",
    "body_too_large": "Body too large",
    "delivery_on_its_way": "The delivery has not ended",
    "endpoint_disabled": "The endpoint is disabled",
    "events_trimmed": "Events are no longer kept",
    "deadline_unreachable": "Deadline cannot be met",
    "headers_too_large": "Headers too large",
    "idempotency_key_reused": "Idempotency key reused",
    "internal_error": "Internal error",
    "invalid_picture": "Not a picture that is taken",
    "invalid_request": "Invalid request",
    "job_ended": "The job has ended",
    "job_not_ended": "The job has not ended",
    "job_removed": "The job was removed",
    "method_not_allowed": "Method not allowed",
    "missing_scope": "Missing scope",
    "model_not_ready": "Model not ready",
    "no_result": "No result",
    "not_acceptable": "Not acceptable",
    "result_late": "No result in time",
    "not_found": "Not found",
    "nothing_to_send": "Nothing to send",
    "operation_under_way": "An operation is under way",
    "outputs_gone": "Outputs are no longer kept",
    "overloaded": "Too much work is waiting",
    "request_in_flight": "Request in flight",
    "quota_reached": "The tenant's quota is reached",
    "rate_limited": "Too many jobs a second",
    "request_timed_out": "Request timed out",
    "result_not_ready": "Result not ready",
    "target_not_allowed": "Target not allowed",
    "too_many_endpoints": "Too many endpoints",
    "too_many_subscribers": "Too many subscribers",
    "unavailable": "Temporarily unavailable",
    "unknown_endpoint": "Unknown endpoint",
    "unknown_model": "Unknown model",
    "unknown_version": "Unknown version",
    "unusable_source": "Unusable source",
    "unsupported_media_type": "Unsupported media type",
    "upload_timed_out": "Upload timed out",
    "uri_too_long": "URI too long",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem document and the headers that go with it. *facts* are extension members."""

    status: int
    code: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json_bytes(self) -> bytes:
        """Give the document."""
        title = _TITLES.get(self.code) or self.code.replace("_", " ").capitalize()
        document = {
            "type": f"/problems/{self.code}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.facts,
        }
        return compact_json(document).encode()

    def to_response(self) -> Response:
        """Give the answer."""
        return Response(
            self.to_json_bytes(),
            status_code=self.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


def status_of(error: GwError) -> int:
    """Give the status of an error: that of its nearest class in the table."""
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def problem_of(error: GwError) -> Problem:
    """Say an error as a problem. One that is our own fault says nothing of its inside."""
    status = status_of(error)
    if status == 500:
        return internal_problem()
    headers = dict(getattr(error, "headers", {}))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="gw"'
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return Problem(
        status=status,
        code=error.code,
        detail=_sentence(str(error)),
        facts=_facts(error),
        headers=headers,
    )


def plain_problem(
    status: int, *, detail: str = "", headers: Mapping[str, str] | None = None
) -> Problem:
    """Make the problem of a status that stands for itself."""
    return Problem(
        status=status,
        code=CODE_OF_STATUS.get(status, "bad_request"),
        detail=detail or f"{http.HTTPStatus(status).phrase}.",
        headers=headers or {},
    )


def internal_problem() -> Problem:
    """Make the problem that stands for a defect of ours; the log has the rest."""
    return plain_problem(500, detail="Something went wrong on our side; it has been logged.")


def install(app: FastAPI) -> None:
    """Answer every error of *app* with a problem."""
    app.add_exception_handler(GwError, _on_gw_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_middleware(LastResort)


class LastResort:
    """Turns what nobody expected into a 500, and logs it once with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as exc:
            if scope["type"] != "http" or started:
                raise
            log.exception("request.broke", extra=_request_facts(scope, exc))
            await _said(internal_problem(), scope)(scope, receive, send)


def _facts(error: GwError) -> dict[str, Any]:
    facts = {
        name: value
        for name in ("field", "allowed", "state", "scope", "estimate_s")
        if (value := getattr(error, name, None))
    }
    if isinstance(error, refusals.NoResult):
        facts["reason"] = {"code": error.reason_code, "detail": error.reason}
    return facts


def _sentence(text: str) -> str:
    """Give *text* the shape of a sentence: errors of other packages begin in lower case."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def noted_problem(request: Request, error: GwError) -> Problem:
    """Say an error as a problem, and log what concerns the operator."""
    problem = problem_of(error)
    if problem.status == 500:
        log.error("request.broke", exc_info=error, extra=_request_facts(request.scope, error))
    elif problem.status == 503:
        log.warning("request.refused", extra={"code": problem.code, "reason": str(error)})
    return problem


def _on_gw_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, GwError)  # noqa: S101  # what it is registered for
    return _said(noted_problem(request, exc), request.scope)


def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101  # what it is registered for
    details = {
        404: "There is nothing at this path.",
        405: f"{request.method} is not possible here.",
    }
    problem = plain_problem(
        exc.status_code, detail=details.get(exc.status_code, ""), headers=exc.headers
    )
    return _said(problem, request.scope)


def _on_validation_error(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101  # what it is registered for
    first = exc.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return problem_of(InvalidRequest(first["msg"], field=name)).to_response()


def _on_disconnect(_request: Request, _exc: Exception) -> Response:
    # Nobody is there to read it.
    return plain_problem(400, detail="The connection ended before the body did.").to_response()


def _said(problem: Problem, scope: Scope) -> Response:
    """Give the answer in the form that errors have at the request's path."""
    form = form_of(scope.get("path", ""))
    if form is None:
        return problem.to_response()
    return Response(
        form(problem.detail),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type="application/json",
    )


def _request_facts(scope: Scope, exc: Exception) -> dict[str, Any]:
    return {"method": scope.get("method"), "path": scope.get("path"), "error": type(exc).__name__}
