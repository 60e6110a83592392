"""What a caller asks for besides the picture: the fields of a job, checked and typed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from egress.policy import EgressPolicy, check_literal
from egress.targets import MAX_URL_CHARACTERS, parse_target
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import InvalidRequest, TargetNotAllowed
from pipeline.jobs.job import Priority
from webapp.refusals import InvalidField, RefusedTarget

REFERENCE_MAX_CHARACTERS = 200
METADATA_MAX_BYTES = 16 * 1024
METADATA_MAX_DEPTH = 32

#: No job waits longer than a month; a larger number is a mistake in the unit.
DEADLINE_MAX_S = 30 * 24 * 3600

# Standard Webhooks: a secret is 24 to 64 random bytes.

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class WebhookFields(BaseModel):
    """Where the job's end is announced: a URL with its secret, or a registered endpoint."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: str | None = Field(
        None, max_length=MAX_URL_CHARACTERS, examples=["https://example.com/hooks/gw"]
    )
    secret: str | None = Field(
        None,
        max_length=200,
        description="Signs the announcement (Standard Webhooks): whsec_ and 24 to 64 bytes in"
        " base64. It is never shown again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    endpoint: str | None = Field(
        None, max_length=100, description="The id of a registered endpoint, instead of a URL."
    )


class JobFields(BaseModel):
    """The fields of a submission, the same in a form, a query, headers and JSON."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: _Name = Field(description="The model's name, as GET /v1/models lists it.")
    version: _Name | None = Field(None, description="One of its versions; the newest by default.")
    priority: Priority = Field(Priority.NORMAL, description="How urgent it is.")
    deadline_s: float | None = Field(
        None,
        gt=0,
        le=DEADLINE_MAX_S,
        description="The job expires when it has no result after so many seconds.",
    )
    deadline: str | None = Field(
        None,
        max_length=40,
        description="The same as a moment (RFC 3339, with its offset), instead of deadline_s.",
        examples=["2030-01-31T12:00:00Z"],
    )
    webhook: WebhookFields | None = None
    preview: bool = Field(
        False, description="Draw what was found on the picture; see GET /v1/jobs/{job_id}/preview."
    )
    reference: str = Field(
        "",
        max_length=REFERENCE_MAX_CHARACTERS,
        description="The caller's own word for the job; it comes back with every answer.",
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description=f"Anything as a JSON object of at most {METADATA_MAX_BYTES // 1024} KiB; it"
        " comes back with every answer.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A checked webhook: either *endpoint_id*, or *url* and *secret*."""

    endpoint_id: str = ""
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Checked fields. *deadline_unix_ms* is 0 for none, *version* "" for the newest.

    *dialect* is the protocol that the caller speaks, "" for the API's own.
    """

    model: str
    version: str
    priority: Priority
    deadline_unix_ms: int
    webhook: Webhook | None
    preview: bool
    reference: str
    metadata: Mapping[str, Any] = field(repr=False)
    dialect: str = ""


def parse_submission(
    fields: Mapping[str, Any], *, now_unix_ms: int, egress: EgressPolicy
) -> Submission:
    """Check *fields*; raises InvalidField or RefusedTarget for the first that is wrong."""
    try:
        parsed = JobFields.model_validate(fields)
    except ValidationError as exc:
        raise _invalid_field(exc) from exc
    check_text(parsed.model, "model")
    check_text(parsed.version or "", "version")
    check_text(parsed.reference, "reference")
    _check_metadata(parsed.metadata)
    return Submission(
        model=parsed.model,
        version=parsed.version or "",
        priority=parsed.priority,
        deadline_unix_ms=_deadline_unix_ms(parsed, now_unix_ms),
        webhook=_webhook(parsed.webhook, egress) if parsed.webhook else None,
        preview=parsed.preview,
        reference=parsed.reference,
        metadata=parsed.metadata,
    )


def _invalid_field(exc: ValidationError) -> InvalidField:
    errors = exc.errors(include_url=False, include_input=False)
    # A misspelt field before one that is missing: it is likely the same.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    location = [str(part) for part in first["loc"]]
    name = ".".join(location)
    match first["type"]:
        case "extra_forbidden":
            known = WebhookFields if location[0] == "webhook" else JobFields
            return InvalidField(
                f"There is no field {name!r}.", field=name, allowed=tuple(known.model_fields)
            )
        case "missing":
            return InvalidField(f"The field {name!r} is missing.", field=name)
        case "enum":
            return InvalidField(
                f"The field {name!r} has an unknown value.",
                field=name,
                allowed=tuple(priority.value for priority in Priority),
            )
        case _:
            return InvalidField(f"{name}: {first['msg']}.", field=name)


def check_text(text: str, name: str) -> None:
    """Refuse control characters, line ends and halves of surrogate pairs; raises InvalidField."""
    if _UNPRINTABLE.search(text):
        raise InvalidField("The field must be one line of printable text.", field=name)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    if not metadata:
        return
    if _depth(metadata) > METADATA_MAX_DEPTH:
        raise InvalidField(
            f"The metadata is nested deeper than {METADATA_MAX_DEPTH}.", field="metadata"
        )
    try:
        text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size_bytes = len(text.encode("utf-8"))
    except ValueError as exc:
        # JSON lets both through: 1e999 parses as infinity, "\ud800" as half a character.
        raise InvalidField(
            "The metadata has a number or a character that cannot be written.", field="metadata"
        ) from exc
    if size_bytes > METADATA_MAX_BYTES:
        raise InvalidField(
            f"The metadata is larger than {METADATA_MAX_BYTES} bytes.", field="metadata"
        )


def _depth(document: Any) -> int:
    depth = 0
    level = [document]
    while level:
        depth += 1
        if depth > METADATA_MAX_DEPTH:
            break
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth


def _deadline_unix_ms(parsed: JobFields, now_unix_ms: int) -> int:
    if parsed.deadline_s is not None and parsed.deadline is not None:
        raise InvalidField("Give either deadline or deadline_s.", field="deadline")
    if parsed.deadline_s is not None:
        return now_unix_ms + max(1, round(parsed.deadline_s * 1000))
    if parsed.deadline is None:
        return 0
    moment_unix_ms = _unix_ms(parsed.deadline)
    if moment_unix_ms <= now_unix_ms:
        raise InvalidField("The deadline has already passed.", field="deadline")
    if moment_unix_ms > now_unix_ms + DEADLINE_MAX_S * 1000:
        raise InvalidField("The deadline is more than 30 days away.", field="deadline")
    return moment_unix_ms


def _unix_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidField(
            "The deadline must be a moment such as 2030-01-31T12:00:00Z.", field="deadline"
        ) from exc
    if moment.tzinfo is None:
        raise InvalidField("The deadline needs its offset, such as Z or +08:00.", field="deadline")
    try:
        return round(moment.timestamp() * 1000)
    except (OverflowError, ValueError) as exc:
        raise InvalidField("The deadline is out of range.", field="deadline") from exc


def _webhook(fields: WebhookFields, egress: EgressPolicy) -> Webhook:
    if (fields.url is None) == (fields.endpoint is None):
        raise InvalidField("Give either the webhook's url or its endpoint.", field="webhook")
    if fields.endpoint is not None:
        if fields.secret is not None:
            raise InvalidField("An endpoint has a secret of its own.", field="webhook.secret")
        check_text(fields.endpoint, "webhook.endpoint")
        return Webhook(endpoint_id=fields.endpoint)
    url = fields.url or ""
    check_text(url, "webhook.url")
    try:
        check_literal(parse_target(url), egress)
    except TargetNotAllowed as exc:
        raise RefusedTarget(str(exc), field="webhook.url") from exc
    except InvalidRequest as exc:
        raise InvalidField(str(exc), field="webhook.url") from exc
    if fields.secret is None:
        raise InvalidField("The webhook's secret is missing.", field="webhook.secret")
    try:
        secret = SigningSecret.parse(fields.secret)
    except InvalidRequest as exc:
        raise InvalidField(str(exc), field="webhook.secret") from exc
    return Webhook(url=url, secret=secret.to_text())
