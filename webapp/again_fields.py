"""What a caller says of a recovery or a replay: its time, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from webapp.endpoint_fields import parse_fields
from webapp.refusals import InvalidField


class Recovery(BaseModel):
    """Which exhausted deliveries are sent again: those of events from *since* on."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    since: AwareDatetime = Field(
        description="RFC 3339 with its offset.", examples=["2030-01-31T12:00:00Z"]
    )


class Replay(Recovery):
    """Which events are sent: those from *since* on and before *until*, the present by default."""

    until: AwareDatetime | None = Field(
        None, description="RFC 3339 with its offset; now by default."
    )
    only_missing: bool = Field(
        False, description="Leave out events of which the endpoint has a delivery already."
    )


def parse_recovery(body: Mapping[str, Any]) -> Recovery:
    """Check the fields of a recovery; raises InvalidField."""
    return parse_fields(Recovery, body)


def parse_replay(body: Mapping[str, Any]) -> Replay:
    """Check the fields of a replay; raises InvalidField."""
    return parse_fields(Replay, body)


def span_of(fields: Recovery, *, now_unix_ms: int) -> tuple[int, int]:
    """Give the first moment and the one behind the last, as Unix ms; raises InvalidField.

    What happens after the request was made is not part of it.
    """
    until = fields.until if isinstance(fields, Replay) else None
    from_unix_ms = max(1, _unix_ms(fields.since))
    until_unix_ms = min(_unix_ms(until) if until else now_unix_ms + 1, now_unix_ms + 1)
    if from_unix_ms >= until_unix_ms:
        raise InvalidField("It must be in the past, and before 'until'.", field="since")
    return from_unix_ms, until_unix_ms


def _unix_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
