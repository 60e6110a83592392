"""One attempt: sign, send, and judge what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from egress.answer import Answer, Outcome
from egress.client import EgressClient
from egress.exchange import Message, exchange
from notifier.announcement import announcement
from notifier.events import CONTENT_TYPE
from notifier.schedule import RetrySchedule, Verdict, retry_hint_s, verdict, wait_s
from notifier.signing import sign
from pipeline.clock import Clock
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.deliveries.store import Settlement
from pipeline.jobs.job import Job
from pipeline.streams import Entry

#: So much of an answer is read and kept: enough to see what the receiver complained about.
ANSWER_KEPT_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Due:
    """A claimed delivery with its job, and the place it goes to."""

    entry: Entry
    delivery: Delivery
    job: Job
    url: str = field(repr=False)
    secret: str = field(repr=False)


class Sender:
    """Makes attempts. *randomness* gives 0 to 1 for the jitter of waits."""

    def __init__(
        self,
        *,
        client: EgressClient,
        schedule: RetrySchedule,
        clock: Clock,
        deadline_s: float,
        randomness: Callable[[], float],
    ) -> None:
        self._client = client
        self._schedule = schedule
        self._clock = clock
        self._deadline_s = deadline_s
        self._randomness = randomness

    async def attempt(self, due: Due) -> Settlement:
        """Try once, and give what is to be written about it."""
        at_unix_ms = self._clock.unix_ms()
        body = announcement(due.job)
        signature = sign(
            [SigningSecret.parse(due.secret)],
            message_id=due.delivery.delivery_id,
            timestamp_unix_s=at_unix_ms // 1000,
            body=body,
        )
        message = Message(
            method="POST",
            url=due.url,
            headers=(("content-type", CONTENT_TYPE), *signature),
            body=body,
        )
        outcome = await exchange(
            self._client,
            message,
            deadline_s=self._deadline_s,
            max_response_bytes=ANSWER_KEPT_BYTES,
        )
        return self._settlement(due, outcome, at_unix_ms)

    def _settlement(self, due: Due, outcome: Outcome, at_unix_ms: int) -> Settlement:
        number = due.delivery.attempts + 1
        judged = verdict(outcome, self._schedule, attempt=number)
        due_unix_ms = None
        if judged is Verdict.RETRY:
            delay_s = wait_s(
                self._schedule,
                attempt=number,
                randomness=self._randomness(),
                hint_s=retry_hint_s(outcome, now_unix_s=at_unix_ms / 1000),
            )
            due_unix_ms = self._clock.unix_ms() + int(delay_s * 1000)
        return Settlement(
            delivery_id=due.delivery.delivery_id,
            job_id=due.delivery.job_id,
            entry=due.entry,
            state=_STATES[judged],
            attempt=_record(outcome, number, at_unix_ms),
            due_unix_ms=due_unix_ms,
        )


_STATES = {
    Verdict.DELIVERED: DeliveryState.DELIVERED,
    Verdict.RETRY: DeliveryState.PENDING,
    Verdict.EXHAUSTED: DeliveryState.EXHAUSTED,
    Verdict.DISABLED: DeliveryState.EXHAUSTED,
}


def _record(outcome: Outcome, number: int, at_unix_ms: int) -> Attempt:
    if isinstance(outcome, Answer):
        return Attempt(
            number=number,
            at_unix_ms=at_unix_ms,
            duration_ms=round(outcome.elapsed_ms),
            status=outcome.status,
            error=outcome.fault or "",
            answer=outcome.body.decode("utf-8", "replace"),
        )
    return Attempt(
        number=number,
        at_unix_ms=at_unix_ms,
        duration_ms=round(outcome.elapsed_ms),
        error=outcome.kind,
        answer=outcome.detail,
    )
