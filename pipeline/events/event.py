"""Events: what happened, and for whom.

The end of a job is announced by the very script that ends it, and its event is made of the job's
record. Any other event (a batch's end, an endpoint that fails) has a record of its own: whoever
announces it gives it an id that is the same if it is announced again.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.documents import compact_json
from pipeline.errors import MalformedMessage
from pipeline.jobs.job import Job, Subscriber


@enum.verify(enum.UNIQUE)
class EventType(enum.StrEnum):
    """What an endpoint can subscribe to."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    JOB_EXPIRED = "job.expired"
    #: Every job of a batch has ended.
    BATCH_COMPLETED = "batch.completed"
    #: Another endpoint has not answered 2xx for a while.
    ENDPOINT_FAILING = "endpoint.failing"
    #: Another endpoint is called no more.
    ENDPOINT_DISABLED = "endpoint.disabled"
    #: Another endpoint answers again.
    ENDPOINT_RECOVERED = "endpoint.recovered"
    #: A receiver's clock and the box's differ by more than a minute.
    CLOCK_SKEWED = "clock.skewed"
    #: Somebody asked for an example; only the endpoint that it is for gets it.
    ENDPOINT_TEST = "endpoint.test"


#: What can be subscribed to: a type, a family of types, or everything.
SUBSCRIBABLE = (
    "*",
    *sorted({f"{each.partition('.')[0]}.*" for each in EventType}),
    *(each.value for each in EventType if each is not EventType.ENDPOINT_TEST),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. *data* is what is told of it; *subject* names what it is about.

    *job* is the record whose end this is, None for any other event; it is not stored again.
    *subscribers* are told whatever they subscribe to. *about_endpoint* is an endpoint that the
    event speaks of and that is not told itself. *model*, *reference* and *labels* (what was found)
    are there to choose by; *once* asks for a single attempt, past every limit and state.
    """

    event_id: str
    tenant: str
    type: str
    subject: str
    unix_ms: int
    data: Mapping[str, Any] = field(repr=False)
    subscribers: tuple[Subscriber, ...] = field(default=(), repr=False)
    about_endpoint: str = ""
    model: str = ""
    reference: str = ""
    labels: tuple[str, ...] = ()
    once: bool = False
    job: Job | None = field(default=None, repr=False)

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields of the record; the id is the key's, not a field."""
        return {
            "tenant": self.tenant,
            "type": self.type,
            "subject": self.subject,
            "unix_ms": str(self.unix_ms),
            "data": compact_json(self.data),
            "subscribers": json.dumps(
                [[s.delivery_id, s.endpoint_id, s.url, s.secret] for s in self.subscribers],
                separators=(",", ":"),
            ),
            "about_endpoint": self.about_endpoint,
            "model": self.model,
            "reference": self.reference,
            "labels": compact_json(self.labels),
            "once": "1" if self.once else "",
        }

    @classmethod
    def from_fields(cls, event_id: str, fields: Mapping[str, str]) -> Event:
        """Parse a record; unknown fields are ignored, anything else raises MalformedMessage."""
        try:
            return cls(
                event_id=event_id,
                tenant=fields["tenant"],
                type=fields["type"],
                subject=fields["subject"],
                unix_ms=int(fields["unix_ms"]),
                data=json.loads(fields["data"]),
                subscribers=tuple(
                    Subscriber(delivery_id=d, endpoint_id=e, url=u, secret=s)
                    for d, e, u, s in json.loads(fields["subscribers"])
                ),
                about_endpoint=fields["about_endpoint"],
                model=fields["model"],
                reference=fields["reference"],
                labels=tuple(json.loads(fields["labels"])),
                once=bool(fields["once"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"event record {event_id}: {exc!r}") from exc
