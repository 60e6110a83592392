"""What a caller says of an endpoint: its fields, checked and typed."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from egress.asymmetric_key import PrivateKey
from egress.brokers import is_broker, parse_broker
from egress.client import OWN_HEADERS
from egress.policy import EgressPolicy, check_literal
from egress.targets import MAX_URL_CHARACTERS, parse_target
from pipeline.deliveries.endpoints import Endpoint, Format, Ordering, Payload
from pipeline.errors import InvalidRequest, TargetNotAllowed
from pipeline.events.event import SUBSCRIBABLE
from webapp.refusals import InvalidField, RefusedTarget
from webapp.submission import check_text

#: A replaced secret signs beside the new one for so long, unless the caller says otherwise.
OVERLAP_DEFAULT_S = 24 * 3600
OVERLAP_MAX_S = 7 * 24 * 3600

_HEADERS_MAX = 16
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?")
#: Names that the delivery writes itself, or that would change how the request is understood.
_RESERVED = frozenset(name.decode("ascii") for name in OWN_HEADERS) | {
    "content-type",
    "content-encoding",
    "proxy-authorization",
    "proxy-connection",
}
_RESERVED_PREFIXES = ("webhook-", "ce-")

Fields = TypeVar("Fields", bound=BaseModel)

_Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class MqttFields(BaseModel):
    """How to log in at an MQTT broker. Password and authority are never shown again."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    username: str = Field("", max_length=256)
    password: str = Field("", max_length=1024)
    client_id: str = Field(
        "", max_length=128, description="gw's own unless given; two that share one do not work."
    )
    version: Literal["5", "3.1.1"] = "5"
    ca: str = Field("", max_length=32 * 1024, description="PEM: the only authorities to trust.")


class EndpointChanges(BaseModel):
    """Changes of an endpoint: what is absent stays, null stands for the default."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: str | None = Field(
        None, max_length=MAX_URL_CHARACTERS, examples=["https://example.com/hooks/gw"]
    )
    event_types: list[_Word] | None = Field(
        None,
        max_length=32,
        description="The events that it gets without being named; none by default. A type, a"
        " family such as job.*, or *.",
        examples=[["job.succeeded"]],
    )
    models: list[_Word] | None = Field(
        None, max_length=64, description="Only events of jobs of these models; all by default."
    )
    labels: list[_Word] | None = Field(
        None,
        max_length=64,
        description="Only events of jobs in whose result one of these labels was found.",
        examples=[["no_helmet"]],
    )
    description: str | None = Field(None, max_length=200)
    headers: dict[str, str] | None = Field(
        None, description="Sent with each delivery. Their values are never shown again."
    )
    asymmetric: bool | None = Field(
        None, description="Sign with ed25519 (v1a) too; the public key is in every answer."
    )
    format: Format | None = Field(
        None, description="standard, CloudEvents in structured mode, or as Cog or fal tell of jobs."
    )
    payload: Payload | None = Field(None, description="full, or thin: what happened and a link.")
    ordering: Ordering | None = Field(
        None, description="Deliveries of one model or reference wait for the one before to end."
    )
    rate_per_s: float | None = Field(
        None, gt=0, le=10_000, description="At most so many attempts a second."
    )
    concurrency: int | None = Field(
        None, ge=1, le=256, description="At most so many attempts at once."
    )
    mqtt: MqttFields | None = Field(
        None, description="How to log in, where the URL is mqtt://broker/topic or mqtts://..."
    )
    enabled: bool | None = Field(
        None, description="false: nothing is sent. true also lifts what failures have disabled."
    )


class NewEndpoint(EndpointChanges):
    """A new endpoint."""

    url: str = Field(max_length=MAX_URL_CHARACTERS, examples=["https://example.com/hooks/gw"])


class SecretRotation(BaseModel):
    """How long the secret that is replaced signs beside the new one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    overlap_s: int = Field(OVERLAP_DEFAULT_S, ge=0, le=OVERLAP_MAX_S)


Changes = TypeVar("Changes", bound=EndpointChanges)

_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "format": tuple(Format),
    "payload": tuple(Payload),
    "ordering": tuple(Ordering),
}


_DEFAULTS: Mapping[str, Any] = {
    "event_types": (),
    "models": (),
    "labels": (),
    "description": "",
    "headers": {},
    "format": Format.STANDARD,
    "payload": Payload.FULL,
    "ordering": Ordering.NONE,
    "rate_per_s": 0.0,
    "concurrency": 0,
    "enabled": True,
    "mqtt": {},
}


def parse_new_endpoint(body: Mapping[str, Any], egress: EgressPolicy) -> NewEndpoint:
    """Check the fields of a new endpoint; raises InvalidField or RefusedTarget."""
    return _checked(parse_fields(NewEndpoint, body), egress)


def parse_changes(body: Mapping[str, Any], egress: EgressPolicy) -> EndpointChanges:
    """Check changes of an endpoint; raises InvalidField or RefusedTarget."""
    changes = parse_fields(EndpointChanges, body)
    if "url" in changes.model_fields_set and changes.url is None:
        raise InvalidField("An endpoint has a URL.", field="url")
    return _checked(changes, egress)


def parse_rotation(body: Mapping[str, Any]) -> SecretRotation:
    """Check what is said about a rotation; raises InvalidField."""
    return parse_fields(SecretRotation, body)


def changed(endpoint: Endpoint, fields: EndpointChanges) -> Endpoint:
    """Give *endpoint* with *fields*: those that were given, null standing for the default."""
    given = fields.model_fields_set
    values: dict[str, Any] = {}
    for name in given - {"asymmetric"}:
        value = getattr(fields, name)
        value = _DEFAULTS.get(name) if value is None else value
        values[name] = tuple(dict.fromkeys(value)) if isinstance(value, list) else value
    if isinstance(values.get("mqtt"), MqttFields):
        values["mqtt"] = {name: text for name, text in fields.mqtt or () if text}
    if "headers" in values:
        values["headers"] = {name.lower(): value for name, value in values["headers"].items()}
    if "asymmetric" in given:
        has_key = bool(endpoint.private_key)
        if not fields.asymmetric:
            values["private_key"] = ""
        elif not has_key:
            values["private_key"] = PrivateKey.generate().to_text()
    return replace(endpoint, **values)


def parse_fields(kind: type[Fields], body: Mapping[str, Any]) -> Fields:
    """Parse a body as *kind*; raises InvalidField with the first thing that is wrong."""
    try:
        return kind.model_validate(body)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
        first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
        name = ".".join(str(part) for part in first["loc"])
        top = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            raise InvalidField(
                f"There is no field {name!r}.", field=name, allowed=tuple(kind.model_fields)
            ) from exc
        if first["type"] == "missing":
            raise InvalidField(f"The field {name!r} is missing.", field=name) from exc
        raise InvalidField(
            f"{name}: {first['msg']}.", field=name, allowed=_ALLOWED.get(top, ())
        ) from exc


def _checked(fields: Changes, egress: EgressPolicy) -> Changes:
    if fields.url is not None:
        _check_url(fields.url, egress)
    for each in fields.event_types or ():
        if each not in SUBSCRIBABLE:
            raise InvalidField(
                f"There is no event type {each!r}.", field="event_types", allowed=SUBSCRIBABLE
            )
    for name in ("models", "labels"):
        for word in getattr(fields, name) or ():
            check_text(word, name)
    check_text(fields.description or "", "description")
    _check_headers(fields.headers or {})
    if fields.mqtt is not None:
        _check_mqtt(fields.mqtt)
    return fields


def _check_url(url: str, egress: EgressPolicy) -> None:
    check_text(url, "url")
    try:
        target = parse_broker(url).target if is_broker(url) else parse_target(url)
        check_literal(target, egress)
    except TargetNotAllowed as exc:
        raise RefusedTarget(str(exc), field="url") from exc
    except InvalidRequest as exc:
        raise InvalidField(str(exc), field="url") from exc


def _check_mqtt(fields: MqttFields) -> None:
    for name in ("username", "password", "client_id"):
        if any(ord(each) < 32 for each in getattr(fields, name)):
            raise InvalidField("There is a control character in it.", field=f"mqtt.{name}")
    if fields.ca:
        try:
            ssl.create_default_context(cadata=fields.ca)
        except (ssl.SSLError, ValueError) as exc:
            raise InvalidField("It is no certificate in PEM.", field="mqtt.ca") from exc


def _check_headers(headers: Mapping[str, str]) -> None:
    if len(headers) > _HEADERS_MAX:
        raise InvalidField(f"There are more than {_HEADERS_MAX} headers.", field="headers")
    if len({name.lower() for name in headers}) < len(headers):
        raise InvalidField("A header is there twice.", field="headers")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidField(
                "A header's name is a token of at most 64 characters.", field="headers"
            )
        if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
            raise InvalidField(f"The header {name!r} is written by gw itself.", field="headers")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidField(
                f"The value of {name!r} must be 1 to 1024 printable ASCII characters, without"
                " white space at its ends.",
                field="headers",
            )
