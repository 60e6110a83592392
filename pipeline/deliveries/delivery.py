"""The delivery: one announcement of one job's end to one subscriber. Its states, moves and record.

A second state machine beside the job's, because a job is finished whether or not anybody listens.
Every attempt is recorded; an exhausted delivery is kept until its record's retention ends.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pipeline.documents import from_document
from pipeline.errors import MalformedMessage


@enum.verify(enum.UNIQUE)
class DeliveryState(enum.StrEnum):
    """Where a delivery is."""

    #: Waiting for its first or next attempt.
    PENDING = "pending"
    #: The subscriber has answered 2xx.
    DELIVERED = "delivered"
    #: No further attempt will be made; the last one says why.
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try: *status* is 0 when no answer came, *error* then names the class of failure.

    *answer* holds the first bytes of the answer's body as text, bounded by the notifier.
    """

    number: int
    at_unix_ms: int
    duration_ms: int
    status: int = 0
    error: str = ""
    answer: str = ""

    def to_json_text(self) -> str:
        """Give the stored form."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json_text(cls, text: str) -> Attempt:
        """Parse the stored form; raises MalformedMessage."""
        try:
            return from_document(cls, json.loads(text))
        except (AttributeError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"attempt: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The record of one delivery. *due_unix_ms* is the next attempt's moment, 0 for at once."""

    delivery_id: str
    job_id: str
    state: DeliveryState = DeliveryState.PENDING
    endpoint_id: str = ""
    url: str = ""
    secret: str = field(default="", repr=False)
    attempts: int = 0
    due_unix_ms: int = 0

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields of the record; the id is the key's, not a field."""
        return {
            "job_id": self.job_id,
            "state": self.state,
            "endpoint_id": self.endpoint_id,
            "url": self.url,
            "secret": self.secret,
            "attempts": str(self.attempts),
            "due_unix_ms": str(self.due_unix_ms),
        }

    @classmethod
    def from_fields(cls, delivery_id: str, fields: Mapping[str, str]) -> Delivery:
        """Parse a record; unknown fields are ignored, anything else raises MalformedMessage."""
        try:
            return cls(
                delivery_id=delivery_id,
                job_id=fields["job_id"],
                state=DeliveryState(fields["state"]),
                endpoint_id=fields["endpoint_id"],
                url=fields["url"],
                secret=fields["secret"],
                attempts=int(fields["attempts"]),
                due_unix_ms=int(fields["due_unix_ms"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"delivery record {delivery_id}: {exc!r}") from exc
