"""Requests for fal's queue, checked and typed, and its way to say errors. Pure.

Source: fal's queue documentation, and the client of PyPI.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.deliveries.fal import TIMED_OUT
from webapp.dialects.inputs import Picture, take_picture
from webapp.problems import Problem
from webapp.refusals import InvalidField
from webapp.submission import DEADLINE_MAX_S

PICTURE_NAMES = ("image_url", "image")

PRIORITY_HEADER = "x-fal-queue-priority"
TIMEOUT_HEADER = "x-fal-request-timeout"
TIMEOUT_TYPE_HEADER = "X-Fal-Request-Timeout-Type"
ERROR_TYPE_HEADER = "X-Fal-Error-Type"

_PRIORITIES = ("normal", "low")

#: Our codes that have a name there; the others are told by the kind of their status.
_ERROR_TYPES: Mapping[str, str] = {
    "deadline_unreachable": TIMED_OUT,
    "deadline_passed": TIMED_OUT,
    "result_late": TIMED_OUT,
    "unavailable": "runner_scheduling_failure",
    "model_not_ready": "runner_scheduling_failure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request for the queue. *timeout_s* is 0 for none, *webhook_url* "" likewise."""

    picture: Picture = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    priority: str = "normal"
    timeout_s: float = 0.0
    webhook_url: str = field(default="", repr=False)

    def to_fields(self) -> dict[str, Any]:
        """Give the fields of a submission, but for the model and the webhook."""
        fields: dict[str, Any] = {"priority": self.priority, "metadata": dict(self.options)}
        return fields | ({"deadline_s": self.timeout_s} if self.timeout_s else {})


def parse_wanted(
    body: Mapping[str, Any], headers: Mapping[str, str], *, webhook_url: str = "", max_bytes: int
) -> Wanted:
    """Check a body and the headers that go with it; raises InvalidField or BodyTooLarge."""
    options = dict(body)
    picture = take_picture(options, PICTURE_NAMES, prefix="", max_bytes=max_bytes)
    priority = headers.get(PRIORITY_HEADER, "normal").strip().lower()
    if priority not in _PRIORITIES:
        raise InvalidField(
            "It must be a known priority.", field="X-Fal-Queue-Priority", allowed=_PRIORITIES
        )
    return Wanted(
        picture=picture,
        options=options,
        priority=priority,
        timeout_s=_timeout_s(headers.get(TIMEOUT_HEADER, "")),
        webhook_url=webhook_url,
    )


def bearer_of(authorization: str) -> str:
    """Give ``Key gw_...`` as the bearer token that it is; anything else stays."""
    scheme, space, token = authorization.partition(" ")
    return f"Bearer {token.strip()}" if space and scheme.lower() == "key" else authorization


def error_type_of(problem: Problem) -> str:
    """Give the name that an error has there."""
    if problem.code in _ERROR_TYPES:
        return _ERROR_TYPES[problem.code]
    return "internal_error" if problem.status >= 500 else "bad_request"


def status_of(problem: Problem) -> int:
    """Give the status that an error has there: a deadline that cannot be met is a timeout.

    Clients repeat a 429 by themselves, and would ask for the impossible ten times.
    """
    return 504 if error_type_of(problem) == TIMED_OUT else problem.status


def _timeout_s(text: str) -> float:
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= DEADLINE_MAX_S:
        raise InvalidField(
            f"It must be a number of seconds up to {DEADLINE_MAX_S}.",
            field="X-Fal-Request-Timeout",
        )
    return seconds
