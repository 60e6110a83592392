"""Every error gw raises on purpose, by who is to blame.

::

    GwError
    ├── CallerError            the request is wrong; the same request will fail again
    │   ├── InvalidRequest         a field, a header or a body that cannot be accepted
    │   ├── InvalidPicture         bytes that are not a picture we take
    │   ├── TargetNotAllowed       an address that the egress policy forbids
    │   ├── NotFound               no such job, model, version or endpoint for this caller
    │   └── AccessDenied           no key, a wrong key, or a key without the scope
    ├── Overloaded             the caller is right, we are full: try again later
    ├── Unavailable            a part we need is away: try again later
    ├── JobFault               one job cannot succeed: it fails alone, with a reason
    │   ├── UndecodablePicture
    │   ├── ModelFault             the model failed, crashed or hung on this picture
    │   ├── ModelRemoved           its model or version is not on any shelf any more
    │   └── DeadlinePassed
    └── ContractBroken         one of our own promises does not hold: a defect
        ├── IllegalTransition
        ├── MalformedMessage
        └── InvalidSettings        the operator's configuration contradicts itself or the code

``code`` is the stable word that APIs, job records and logs carry. Only ``webapp/problems.py`` knows
which HTTP status belongs to which error.
"""

from __future__ import annotations

from typing import ClassVar


class GwError(Exception):
    """The base of the tree. ``str(error)`` is one sentence that may be shown to the caller."""

    code: ClassVar[str] = "internal_error"


class CallerError(GwError):
    """The request is wrong; the same request will fail again."""

    code = "bad_request"


class InvalidRequest(CallerError):
    """A field, a header or a body cannot be accepted. *field* names it where there is one."""

    code = "invalid_request"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidPicture(CallerError):
    """The bytes are not a picture that gw takes. *code* tells which way."""

    code = "invalid_picture"


class TargetNotAllowed(CallerError):
    """The egress policy forbids this address."""

    code = "target_not_allowed"


class NotFound(CallerError):
    """There is no such thing, or it belongs to somebody else: the caller cannot tell which."""

    code = "not_found"


class AccessDenied(CallerError):
    """The key is missing, wrong, or lacks the scope."""

    code = "access_denied"


class Overloaded(GwError):
    """A limit is reached and nothing was accepted. *retry_after_s* is when to try again."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(GwError):
    """A part that the request needs is away. *retry_after_s* is when to try again."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class JobFault(GwError):
    """One job cannot succeed. It fails alone; ``code`` and the message become its reason."""

    code = "job_failed"


class UndecodablePicture(JobFault):
    """The picture passed the door but its pixels cannot be read."""

    code = "undecodable_picture"


class ModelFault(JobFault):
    """The model failed, crashed or hung on this picture."""

    code = "model_failed"


class ModelRemoved(JobFault):
    """The model, or the version that the job is pinned to, is not on any shelf any more."""

    code = "model_removed"


class DeadlinePassed(JobFault):
    """The job's deadline passed before its result was ready."""

    code = "deadline_passed"


class TenantBytesExceeded(JobFault):
    """A picture is larger than all of its tenant's pictures may be together."""

    code = "quota_reached"


class ContractBroken(GwError):
    """One of our own promises does not hold: a defect, never the caller's doing."""

    code = "contract_broken"


class IllegalTransition(ContractBroken):
    """A state was asked to move where its table has no arrow."""

    code = "illegal_transition"


class MalformedMessage(ContractBroken):
    """An entry or document between services does not parse."""

    code = "malformed_message"


class InvalidSettings(ContractBroken):
    """The operator's configuration contradicts itself or names what does not exist."""

    code = "invalid_settings"
