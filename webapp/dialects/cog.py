"""Requests for predictions, as Cog and Replicate have them, checked and typed. Pure.

Source: Cog's HTTP API (``POST /predictions``) and Replicate's (``POST /v1/predictions``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webapp.dialects.inputs import ModelRef, Picture, parse_model_ref, take_picture
from webapp.head import preferred_wait_s
from webapp.refusals import InvalidField

#: A wait without a number, as Replicate has it.
WAIT_DEFAULT_S = 60

#: What a webhook can be asked for there; only the last is ever sent.
WEBHOOK_EVENTS = ("start", "output", "logs", "completed")
COMPLETED = "completed"

_MEMBERS = (
    "id",
    "input",
    "model",
    "version",
    "webhook",
    "webhook_events_filter",
    "webhook_completed",
    "context",
    "stream",
    "created_at",
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7})s?)?")
_CANCEL_AFTER_S = (5, 24 * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a prediction.

    *model* is None where it names none; *prediction_id* and *webhook_url* are "" likewise.
    """

    model: ModelRef | None
    picture: Picture = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    prediction_id: str = ""
    webhook_url: str = field(default="", repr=False)


def parse_asked(
    body: Mapping[str, Any], *, path_id: str = "", named: ModelRef | None = None, max_bytes: int
) -> Asked:
    """Check a body. *path_id* is the id in the path, *named* the model in the path or the query.

    Raises InvalidField or BodyTooLarge.
    """
    for name in body:
        if name not in _MEMBERS:
            raise InvalidField(f"There is no member {name!r}.", field=name, allowed=_MEMBERS)
    given = body.get("input")
    if not isinstance(given, dict):
        raise InvalidField("The input must be an object with the picture in it.", field="input")
    options = dict(given)
    picture = take_picture(options, ("image",), prefix="input.", max_bytes=max_bytes)
    return Asked(
        model=named or _model(body),
        picture=picture,
        options=options,
        prediction_id=_prediction_id(body, path_id),
        webhook_url=_webhook_url(body),
    )


def check_prediction_id(text: str) -> str:
    """Give *text* if a caller may choose it as an id; raises InvalidField."""
    if not _ID.fullmatch(text) or text.startswith("job_"):
        raise InvalidField(
            "An id is 1 to 128 letters, digits, dots, dashes, tildes or underscores, and does not"
            " begin with 'job_'.",
            field="id",
        )
    return text


def promise_key(prediction_id: str) -> str:
    """Give the key under which a prediction of this id is made once for its tenant."""
    return f"cog:{prediction_id}"


def wait_of(prefer: str, *, default_s: int) -> int:
    """Give how long a caller wants to wait by its Prefer header; *default_s* if it does not say.

    >>> wait_of("respond-async", default_s=60), wait_of("wait", default_s=0)
    (0, 60)
    """
    words = {word.strip().lower() for word in prefer.split(",")}
    if "respond-async" in words:
        return 0
    seconds = preferred_wait_s(prefer)
    if seconds is not None:
        return seconds
    return WAIT_DEFAULT_S if "wait" in words else default_s


def parse_cancel_after(text: str) -> int:
    """Give the seconds of a Cancel-After header, such as ``90s`` or ``1m30s``; raises InvalidField.

    >>> parse_cancel_after("1m30s"), parse_cancel_after("90")
    (90, 90)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    low, high = _CANCEL_AFTER_S
    if match and any(match.groups()):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        total_s = hours * 3600 + minutes * 60 + seconds
        if low <= total_s <= high:
            return total_s
    raise InvalidField(
        "It must be a time from 5s to 24h, such as 90s or 1m30s.", field="Cancel-After"
    )


def _model(body: Mapping[str, Any]) -> ModelRef | None:
    named = [name for name in ("version", "model") if body.get(name) is not None]
    if not named:
        return None
    if len(named) > 1:
        raise InvalidField("Give either version or model.", field="version")
    text = body[named[0]]
    if not isinstance(text, str):
        raise InvalidField("It must be a string.", field=named[0])
    if text.isdecimal():
        raise InvalidField(
            "A version names its model, such as echo:2: clients send it alone.", field=named[0]
        )
    return parse_model_ref(text, name=named[0])


def _prediction_id(body: Mapping[str, Any], path_id: str) -> str:
    own = body.get("id")
    if own is not None and not isinstance(own, str):
        raise InvalidField("The id must be a string.", field="id")
    if path_id and own and own != path_id:
        raise InvalidField("The id in the body is not that in the path.", field="id")
    chosen = path_id or own or ""
    return check_prediction_id(chosen) if chosen else ""


def _webhook_url(body: Mapping[str, Any]) -> str:
    wanted = body.get("webhook_events_filter")
    if wanted is not None:
        is_list = isinstance(wanted, list)
        if not is_list or any(each not in WEBHOOK_EVENTS for each in wanted):
            raise InvalidField(
                "It must be a list of events.",
                field="webhook_events_filter",
                allowed=WEBHOOK_EVENTS,
            )
        if wanted and COMPLETED not in wanted:
            raise InvalidField(
                "Only 'completed' is sent; nothing would ever arrive.",
                field="webhook_events_filter",
                allowed=(COMPLETED,),
            )
    named = [name for name in ("webhook", "webhook_completed") if body.get(name) is not None]
    if not named:
        return ""
    if len(named) > 1 and body["webhook"] != body["webhook_completed"]:
        raise InvalidField("Give one webhook.", field="webhook_completed")
    url = body[named[0]]
    if not isinstance(url, str) or not url:
        raise InvalidField("The webhook must be a URL.", field=named[0])
    return url
