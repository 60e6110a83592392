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
    ├── BodyTooLarge, UnsupportedContent, UploadTimedOut
    ├── ResultNotReady            ask again later
    └── NoResult                  there will never be one
    Unavailable
    └── ModelNotReady             known, but no usable version
"""

from __future__ import annotations

from pipeline.errors import (
    CallerError,
    InvalidPicture,
    InvalidRequest,
    NotFound,
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
