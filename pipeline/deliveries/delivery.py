"""The delivery: one announcement of one event to one subscriber. Its states, moves and record.

Most events are the end of a job; others have a record of their own, named by *event_id*. This is a
second state machine beside the job's, because a job is finished whether or not anybody listens.
Every attempt is recorded; an exhausted delivery is kept until its record's retention ends.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pipeline.documents import compact_json, from_document
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


def place_of(unix_ms: int, record_id: str = "") -> str:
    """Give the place in an index by time of what happened at a moment; without an id, its bound.

    >>> place_of(1_700_000_000_000, "msg_1")
    '1700000000000:msg_1'
    """
    return f"{unix_ms:013d}:{record_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try: *status* is 0 when no answer came, *error* then names the class of failure.

    *answer* holds the first bytes of the answer's body as text, bounded by the notifier. *request*
    is what was sent, as JSON text; only an example that somebody asked for keeps it.
    """

    number: int
    at_unix_ms: int
    duration_ms: int
    status: int = 0
    error: str = ""
    answer: str = ""
    request: str = field(default="", repr=False)

    def to_json_text(self) -> str:
        """Give the stored form."""
        return compact_json(asdict(self))

    @classmethod
    def from_json_text(cls, text: str) -> Attempt:
        """Parse the stored form; raises MalformedMessage."""
        try:
            return from_document(cls, json.loads(text))
        except (AttributeError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"attempt: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The record of one delivery. *due_unix_ms* is the next attempt's moment, 0 for at once.

    It is about the job *job_id* or, where that is "", about the event *event_id*. *order* is the
    word of the deliveries to its endpoint that go one after the other, "" for none. *once* asks for
    a single attempt, past every limit of its receiver. *earlier_attempts* are those before it was
    last sent again: its schedule begins anew behind them. *reason* says why it is exhausted: the
    status or the class of failure of its last attempt.
    """

    delivery_id: str
    job_id: str
    event_id: str = ""
    event_type: str = ""
    tenant: str = ""
    created_unix_ms: int = 0
    order: str = ""
    once: bool = False
    state: DeliveryState = DeliveryState.PENDING
    endpoint_id: str = ""
    url: str = ""
    secret: str = field(default="", repr=False)
    attempts: int = 0
    due_unix_ms: int = 0
    earlier_attempts: int = 0
    reason: str = ""

    @property
    def place(self) -> str:
        """Give its place in the index of its tenant's deliveries, which sorts by time."""
        return place_of(self.created_unix_ms, self.delivery_id)

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
            "event_id": self.event_id,
            "event_type": self.event_type,
            "tenant": self.tenant,
            "created_unix_ms": str(self.created_unix_ms),
            "order": self.order,
            "once": "1" if self.once else "",
            "earlier_attempts": str(self.earlier_attempts),
            "reason": self.reason,
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
                event_id=fields.get("event_id", ""),
                event_type=fields.get("event_type", ""),
                tenant=fields.get("tenant", ""),
                created_unix_ms=int(fields.get("created_unix_ms", 0)),
                order=fields.get("order", ""),
                once=bool(fields.get("once", "")),
                earlier_attempts=int(fields.get("earlier_attempts", 0)),
                reason=fields.get("reason", ""),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"delivery record {delivery_id}: {exc!r}") from exc
