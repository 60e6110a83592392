"""Every error of the client.

::

    ClientError
    ├── TransportFailed        no answer: the connection, or the time
    ├── UnexpectedAnswer       an answer that is not of the API's making
    ├── StillRunning           waiting has ended before the job or the batch (a TimeoutError)
    ├── WebhookNotVerified     the headers do not prove who sent the body
    └── ProblemError           the API refused; one class for each kind of problem
        ├── InvalidRequest         400
        ├── AccessDenied           401
        ├── MissingScope           403
        ├── NotFound               404
        │   └── UnknownModel, UnknownVersion, UnknownEndpoint
        ├── TooSlow                408, the body did not arrive in time
        ├── Conflict               409
        │   └── ResultNotReady, JobNotEnded, JobEnded, BatchEnded, RequestInFlight, TooMany
        ├── Gone                   410
        │   └── NoResult, JobRemoved, EventsTrimmed
        ├── TooLarge               413, 414, 431
        ├── UnsupportedContent     415
        ├── Unusable               422
        │   └── InvalidPicture, UnusableSource, TargetNotAllowed, FetchFailed, KeyReused
        ├── Overloaded             429
        │   └── DeadlineUnreachable, RateLimited, QuotaReached
        ├── ServerFault            500 and what else a server says of itself
        └── Unavailable            503
            └── ModelNotReady

A problem of a code that this client does not know is an error of its status's class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gw.client.wire import Answer

_RETRY_AFTER_MAX_S = 86_400.0


class ClientError(Exception):
    """The base of the tree."""


class TransportFailed(ClientError):
    """There is no answer. *was_sent* False means that the request certainly did not arrive."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class UnexpectedAnswer(ClientError):
    """The answer is none that the API gives: a proxy's page, or a server of another version."""


class StillRunning(ClientError, TimeoutError):
    """Waiting has ended first. *last* is the job or the batch as it was seen last."""

    def __init__(self, message: str, last: Any) -> None:
        super().__init__(message)
        self.last = last


class WebhookNotVerified(ClientError):
    """The headers do not prove that the body came from a holder of a secret, now."""


class ProblemError(ClientError):
    """The API refused. ``str(error)`` is its own sentence; *document* is the whole problem."""

    def __init__(self, status: int, document: Mapping[str, Any], retry_after_s: float | None):
        detail = document.get("detail") or document.get("title")
        super().__init__(str(detail or f"the API answered {status}"))
        self.status = status
        self.document = document
        self.retry_after_s = retry_after_s

    @property
    def code(self) -> str:
        """The stable word for this kind of problem, "" where a stranger answered."""
        return str(self.document.get("code", ""))

    @property
    def field(self) -> str | None:
        """The field that is wrong."""
        return self.document.get("field")

    @property
    def allowed(self) -> tuple[str, ...]:
        """What the field may be."""
        return tuple(self.document.get("allowed") or ())


class InvalidRequest(ProblemError):
    """A field, a header or the body cannot be accepted."""


class AccessDenied(ProblemError):
    """There is no key, or none that is valid."""


class MissingScope(ProblemError):
    """The key is valid, but may not do this."""

    @property
    def scope(self) -> str:
        """The scope that it lacks."""
        return str(self.document.get("scope", ""))


class NotFound(ProblemError):
    """There is no such thing, or it is somebody else's."""


class UnknownModel(NotFound):
    """No model has this name; *allowed* lists those that there are."""


class UnknownVersion(NotFound):
    """The model has no such version; *allowed* lists those that there are."""


class UnknownEndpoint(NotFound):
    """There is no such endpoint."""


class TooSlow(ProblemError):
    """The body did not arrive in time."""


class Conflict(ProblemError):
    """Not as things are now."""

    @property
    def state(self) -> str:
        """The state of the job or batch, where it is about one."""
        return str(self.document.get("state", ""))


class ResultNotReady(Conflict):
    """The job has not ended."""


class JobNotEnded(Conflict):
    """The job has not ended."""


class JobEnded(Conflict):
    """The job has ended already."""


class BatchEnded(Conflict):
    """The batch has ended already."""


class RequestInFlight(Conflict):
    """A request with the same idempotency key is being worked on."""


class TooMany(Conflict):
    """The tenant has as many endpoints or subscribers as it may have."""


class Gone(ProblemError):
    """It is not there any more, or will never be."""


class NoResult(Gone):
    """The job ended without a result."""

    @property
    def reason(self) -> str:
        """Why, in the platform's words."""
        return str((self.document.get("reason") or {}).get("detail", ""))


class JobRemoved(Gone):
    """The records of the jobs are not kept any more."""


class EventsTrimmed(Gone):
    """Events behind the cursor are not kept any more; begin again at ``start``."""


class TooLarge(ProblemError):
    """The body, the URL or the headers are too large."""


class UnsupportedContent(ProblemError):
    """The content type is not one that is taken."""


class Unusable(ProblemError):
    """The request is well formed, and what it carries or points to is of no use."""


class InvalidPicture(Unusable):
    """The bytes are no picture that is taken."""


class UnusableSource(Unusable):
    """The archive or the video is of no use, or past its bounds."""


class TargetNotAllowed(Unusable):
    """The egress policy forbids the address."""


class FetchFailed(Unusable):
    """The picture could not be fetched from its URL."""


class KeyReused(Unusable):
    """The idempotency key belongs to another request."""


class Overloaded(ProblemError):
    """Too much waits; nothing was accepted."""


class DeadlineUnreachable(Overloaded):
    """Too much waits for this deadline."""

    @property
    def estimate_s(self) -> float | None:
        """In how many seconds the result would be there."""
        return self.document.get("estimate_s")


class RateLimited(Overloaded):
    """The tenant or the key submits faster than it may."""


class QuotaReached(Overloaded):
    """The tenant has as much waiting as it may have."""


class ServerFault(ProblemError):
    """A defect of the server, or of something in front of it."""


class Unavailable(ProblemError):
    """A part is away."""


class ModelNotReady(Unavailable):
    """The model is known, and has no usable version."""


CLASS_OF_CODE: Mapping[str, type[ProblemError]] = {
    "missing_scope": MissingScope,
    "unknown_model": UnknownModel,
    "unknown_version": UnknownVersion,
    "unknown_endpoint": UnknownEndpoint,
    "result_not_ready": ResultNotReady,
    "job_not_ended": JobNotEnded,
    "job_ended": JobEnded,
    "batch_ended": BatchEnded,
    "request_in_flight": RequestInFlight,
    "too_many_endpoints": TooMany,
    "too_many_subscribers": TooMany,
    "no_result": NoResult,
    "job_removed": JobRemoved,
    "events_trimmed": EventsTrimmed,
    "invalid_picture": InvalidPicture,
    "unusable_source": UnusableSource,
    "target_not_allowed": TargetNotAllowed,
    "idempotency_key_reused": KeyReused,
    "deadline_unreachable": DeadlineUnreachable,
    "rate_limited": RateLimited,
    "quota_reached": QuotaReached,
    "model_not_ready": ModelNotReady,
}

CLASS_OF_STATUS: Mapping[int, type[ProblemError]] = {
    400: InvalidRequest,
    401: AccessDenied,
    403: MissingScope,
    404: NotFound,
    408: TooSlow,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    414: TooLarge,
    415: UnsupportedContent,
    422: Unusable,
    429: Overloaded,
    431: TooLarge,
    503: Unavailable,
}


def problem_of(answer: Answer) -> ProblemError:
    """Give the error that an answer other than 2xx stands for."""
    try:
        document = answer.document()
    except ValueError:
        document = {}
    code = document.get("code")
    kind = CLASS_OF_CODE.get(code) if isinstance(code, str) else None
    if kind is None and isinstance(code, str) and code.startswith("fetch_"):
        kind = FetchFailed
    if kind is None:
        usual = ServerFault if answer.status >= 500 else ProblemError
        kind = CLASS_OF_STATUS.get(answer.status, usual)
    return kind(answer.status, document, _retry_after_s(answer))


def _retry_after_s(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "").strip()
    if not (text.isascii() and text.isdecimal()):
        return None
    return min(float(text), _RETRY_AFTER_MAX_S)
