"""Refusals that only an HTTP front can need, as branches of the one error tree.

::

    CallerError
    ├── InvalidRequest
    │   └── InvalidField          names the field, and what it may be
    ├── InvalidPicture
    │   └── RefusedPicture        names which of several pictures it is
    ├── TargetNotAllowed
    │   └── RefusedTarget         names the field that holds the address
    ├── NotFound
    │   └── UnknownModel, UnknownVersion, UnknownEndpoint
    ├── AccessDenied
    │   └── MissingScope          the key is good, but not for this; names the scope
    ├── BodyTooLarge, UnsupportedContent, UploadTimedOut
    ├── ResultNotReady, JobNotEnded     ask again later
    ├── BatchEnded, UnusableSource
    ├── DeliveryOnItsWay, NothingToSend, EndpointDisabled, OperationUnderWay
    ├── JobEnded                  too late to withdraw it
    ├── NoResult, JobRemoved, OutputsGone   there will never be one
    │   └── EndedWithout          NoResult for whoever waited for it
    ├── NotStreamed               an answer in pieces was asked for, and there is none
    ├── KeyReused                 an idempotency key of another request
    ├── RequestInFlight           the same request is being worked on
    ├── EventsTrimmed             the events behind this cursor are no longer kept
    └── TooManySubscribers
    ResultLate                    not within the time that a call may wait
    Overloaded
    ├── RateLimited, QuotaReached       of one tenant or key
    └── DeadlineUnreachable       too much waits for this job to be in time
    Unavailable
    └── ModelNotReady             known, but no usable version
"""

from __future__ import annotations

from collections.abc import Mapping

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


class InvalidField(InvalidRequest):
    """A field has a value that cannot be accepted, or does not exist. *allowed* lists what can."""

    def __init__(self, message: str, *, field: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message, field=field)
        self.allowed = allowed


class RefusedPicture(InvalidPicture):
    """One of the request's pictures is none that we take; *field* tells which."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class RefusedTarget(TargetNotAllowed):
    """A URL leads where the egress policy forbids; *field* holds it."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownModel(NotFound):
    """No model has this name."""

    code = "unknown_model"

    def __init__(self, name: str, *, known: tuple[str, ...]) -> None:
        super().__init__(f"There is no model {name!r}.")
        self.field = "model"
        self.allowed = known


class UnknownVersion(NotFound):
    """The model has no usable version of this name."""

    code = "unknown_version"

    def __init__(self, model: str, version: str, *, known: tuple[str, ...]) -> None:
        super().__init__(f"Model {model!r} has no usable version {version!r}.")
        self.field = "version"
        self.allowed = known


class UnknownEndpoint(NotFound):
    """The caller has registered no endpoint of this id."""

    code = "unknown_endpoint"

    def __init__(self) -> None:
        super().__init__("There is no endpoint of this id.")
        self.field = "webhook.endpoint"


class ModelNotReady(Unavailable):
    """The model is there, but none of its versions can run here."""

    code = "model_not_ready"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Model {name!r} cannot run: {reason}", retry_after_s=60)
        self.field = "model"


class MissingScope(AccessDenied):
    """The key is valid, but may not do this; *scope* is what it lacks."""

    code = "missing_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This API key lacks the scope {scope!r}.")
        self.scope = scope


class RateLimited(Overloaded):
    """The tenant or the key submits faster than it may; *headers* say what is left."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.headers = headers


class QuotaReached(Overloaded):
    """The tenant has as much waiting as it may have."""

    code = "quota_reached"


class DeadlineUnreachable(Overloaded):
    """So much waits that the deadline could not be met; *estimate_s* is when it would be done."""

    code = "deadline_unreachable"

    def __init__(self, message: str, *, retry_after_s: int, estimate_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.estimate_s = estimate_s


class BodyTooLarge(CallerError):
    """The body is larger than this kind of body may be."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than {limit_bytes} bytes.")


class UnsupportedContent(CallerError):
    """The body's media type or encoding is not one that is taken."""

    code = "unsupported_media_type"


class UploadTimedOut(CallerError):
    """The body did not arrive in time."""

    code = "upload_timed_out"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The body did not arrive within {timeout_s:g} seconds.")


class ResultNotReady(CallerError):
    """The job is still on its way."""

    code = "result_not_ready"

    def __init__(self, state: str) -> None:
        super().__init__(f"The job is {state}; its result is not there yet.")
        self.state = state
        self.retry_after_s = 1


class NoResult(CallerError):
    """The job ended without a result; *reason_code* and *reason* are the job's own."""

    code = "no_result"

    def __init__(self, state: str, *, reason_code: str, reason: str) -> None:
        super().__init__(f"The job ended as {state} and has no result.")
        self.state = state
        self.reason_code = reason_code
        self.reason = reason


class OutputsGone(CallerError):
    """The model's raw outputs were kept for a while, and are not any more."""

    code = "outputs_gone"

    def __init__(self) -> None:
        super().__init__("The outputs of this job are not kept any more.")


class EndedWithout(NoResult):
    """The job that this very request waited for ended without a result."""


class ResultLate(GwError):
    """The job had no result within the time that a synchronous call may wait."""

    code = "result_late"

    def __init__(self, job_id: str, *, wait_s: int) -> None:
        super().__init__(f"The job {job_id} had no result within {wait_s} seconds.")
        self.headers = {"Location": f"/v1/jobs/{job_id}"}


class NotStreamed(CallerError):
    """The caller takes nothing but a stream of events, and models here answer once."""

    code = "not_acceptable"

    def __init__(self) -> None:
        super().__init__("Models here do not stream their output; accept application/json.")
        self.field = "Accept"


class JobNotEnded(CallerError):
    """The job is still on its way, and this is possible only afterwards."""

    code = "job_not_ended"

    def __init__(self, state: str, *, hint: str = "") -> None:
        super().__init__(f"The job is {state}. {hint}".rstrip())
        self.state = state
        self.retry_after_s = 1


class JobEnded(CallerError):
    """The job has ended already."""

    code = "job_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"The job has ended as {state}; it cannot be canceled any more.")
        self.state = state


class BatchEnded(CallerError):
    """The batch has ended already."""

    code = "batch_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"The batch has ended as {state}; it cannot be withdrawn any more.")
        self.state = state


class UnusableSource(CallerError):
    """An archive or a video is none that is taken, or is past its bounds."""

    code = "unusable_source"

    def __init__(self, message: str) -> None:
        super().__init__(f"{message[:1].upper()}{message[1:]}.")


class JobRemoved(CallerError):
    """What an idempotency key had been answered with is not kept any more."""

    code = "job_removed"

    def __init__(self) -> None:
        super().__init__(
            "What this key was used for was accepted, and its records have been removed since."
        )


class KeyReused(CallerError):
    """The idempotency key belongs to another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This key was used for a request that asked for something else.")
        self.field = "Idempotency-Key"


class RequestInFlight(CallerError):
    """A request with the same key is being worked on."""

    code = "request_in_flight"

    def __init__(self) -> None:
        super().__init__("A request with this key is being worked on; repeat it a little later.")
        self.field = "Idempotency-Key"
        self.retry_after_s = 1


class EventsTrimmed(CallerError):
    """Events behind the cursor are not kept any more, or were never in this log."""

    code = "events_trimmed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.field = "after"


class TooManySubscribers(CallerError):
    """The tenant has as many named readers of its events as it may have."""

    code = "too_many_subscribers"

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} subscribers already; remove one that is not used.")
        self.field = "subscriber"


class DeliveryOnItsWay(CallerError):
    """A delivery that has not ended cannot be sent again."""

    code = "delivery_on_its_way"

    def __init__(self) -> None:
        super().__init__("This delivery has not ended; it is sent as it is.")


class NothingToSend(CallerError):
    """What a delivery tells of, or where it went, is no longer there."""

    code = "nothing_to_send"


class EndpointDisabled(CallerError):
    """Nothing is sent to this endpoint."""

    code = "endpoint_disabled"

    def __init__(self) -> None:
        super().__init__("The endpoint is disabled; enable it first.")


class OperationUnderWay(CallerError):
    """The endpoint has an operation already."""

    code = "operation_under_way"

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"The operation {operation_id} of this endpoint has not ended.")


class TooManyEndpoints(CallerError):
    """The tenant has as many endpoints as it may have."""

    code = "too_many_endpoints"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A tenant may have {limit} endpoints; remove one first.")
