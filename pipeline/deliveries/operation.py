"""The operation that a caller asks for: deliveries that are made, or made again, in the background.

Two kinds. *recover* sends again what is exhausted of one endpoint; *replay* sends one endpoint the
events of a time, whether it was there then or not. Each step is one script that writes deliveries
and how far it is, so whatever is killed is repeated from there: nothing is made twice or left out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import MalformedMessage


@enum.verify(enum.UNIQUE)
class OperationKind(enum.StrEnum):
    """What an operation does."""

    RECOVER = "recover"
    REPLAY = "replay"


@enum.verify(enum.UNIQUE)
class OperationState(enum.StrEnum):
    """Where an operation is."""

    #: Asked for; it waits for its turn, or is under way.
    RUNNING = "running"
    #: Everything is on its way.
    COMPLETED = "completed"
    #: It was given up; the reason says why.
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The record of one operation, whole.

    *from_unix_ms* is included, *until_unix_ms* is not. *cursor* is how far it is, "" for its
    beginning. *paced_unix_ms* is when the next delivery is due, since they go at a rate.
    *only_missing* leaves out events that the endpoint has a delivery of. *sent* counts deliveries
    that were put on their way, *passed_over* what was looked at and not sent.
    """

    operation_id: str
    kind: OperationKind
    tenant: str
    endpoint_id: str
    from_unix_ms: int
    until_unix_ms: int
    created_unix_ms: int
    only_missing: bool = False
    state: OperationState = OperationState.RUNNING
    cursor: str = ""
    paced_unix_ms: int = 0
    sent: int = 0
    passed_over: int = 0
    finished_unix_ms: int = 0
    reason: str = ""

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields of the record; the id is the key's."""
        return {
            "kind": self.kind,
            "tenant": self.tenant,
            "endpoint_id": self.endpoint_id,
            "from_unix_ms": str(self.from_unix_ms),
            "until_unix_ms": str(self.until_unix_ms),
            "created_unix_ms": str(self.created_unix_ms),
            "only_missing": "1" if self.only_missing else "",
            "state": self.state,
            "cursor": self.cursor,
            "paced_unix_ms": str(self.paced_unix_ms),
            "sent": str(self.sent),
            "passed_over": str(self.passed_over),
            "finished_unix_ms": str(self.finished_unix_ms),
            "reason": self.reason,
        }

    @classmethod
    def from_fields(cls, operation_id: str, fields: Mapping[str, str]) -> Operation:
        """Parse a record; unknown fields are ignored, anything else raises MalformedMessage."""
        try:
            return cls(
                operation_id=operation_id,
                kind=OperationKind(fields["kind"]),
                tenant=fields["tenant"],
                endpoint_id=fields["endpoint_id"],
                from_unix_ms=int(fields["from_unix_ms"]),
                until_unix_ms=int(fields["until_unix_ms"]),
                created_unix_ms=int(fields["created_unix_ms"]),
                only_missing=bool(fields["only_missing"]),
                state=OperationState(fields["state"]),
                cursor=fields["cursor"],
                paced_unix_ms=int(fields["paced_unix_ms"]),
                sent=int(fields["sent"]),
                passed_over=int(fields["passed_over"]),
                finished_unix_ms=int(fields["finished_unix_ms"]),
                reason=fields["reason"],
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"operation record {operation_id}: {exc!r}") from exc
