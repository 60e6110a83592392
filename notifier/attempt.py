"""One attempt: sign, send, and judge what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from egress.answer import Answer, FaultKind, Outcome
from egress.asymmetric_key import PrivateKey
from egress.brokers import is_broker, parse_broker
from egress.client import EgressClient
from egress.exchange import Message, exchange
from notifier.announcement import thin_data
from notifier.brokers import Brokers, Publication
from notifier.dialects import dialect_body, own_format
from notifier.events import CONTENT_TYPES, cloud_event_body, standard_body
from notifier.health import AttemptOutcome
from notifier.schedule import (
    RetrySchedule,
    Verdict,
    clock_ahead_s,
    retry_hint_s,
    verdict,
    wait_s,
)
from notifier.signing import sign
from pipeline.clock import Clock
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint, Format, Payload
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.deliveries.store import Settlement
from pipeline.events.event import Event
from pipeline.streams import Entry

#: So much of an answer is read and kept: enough to see what the receiver complained about.
ANSWER_KEPT_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Due:
    """A claimed delivery with its event, and the place it goes to.

    *endpoint* is None where a job gave a URL with *secret* of its own.
    """

    entry: Entry
    delivery: Delivery
    event: Event
    receiver: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    endpoint: Endpoint | None = None
    is_probe: bool = False


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
        base_url: str = "",
    ) -> None:
        self._client = client
        self._brokers = Brokers(client)
        self._schedule = schedule
        self._clock = clock
        self._deadline_s = deadline_s
        self._randomness = randomness
        self._base_url = base_url

    async def attempt(self, due: Due) -> tuple[Settlement, AttemptOutcome]:
        """Try once; give what is to be written, and what it says about the receiver."""
        at_unix_ms = self._clock.unix_ms()
        message = self._message(due, at_unix_ms)
        outcome = await self._outcome(due, message)
        settlement = self._settlement(due, message, outcome, at_unix_ms)
        status = outcome.status if isinstance(outcome, Answer) else 0
        return settlement, AttemptOutcome(
            receiver=due.receiver,
            endpoint=due.endpoint,
            is_success=200 <= status < 300,
            is_gone=status == 410,
            error=str(status) if isinstance(outcome, Answer) else outcome.kind,
            skew_s=clock_ahead_s(outcome, now_unix_s=self._clock.unix_ms() / 1000),
        )

    async def aclose(self) -> None:
        """Let go of the brokers."""
        await self._brokers.aclose()

    async def _outcome(self, due: Due, message: Message) -> Outcome:
        if due.endpoint is None or not is_broker(due.url):
            return await exchange(
                self._client,
                message,
                deadline_s=self._deadline_s,
                max_response_bytes=ANSWER_KEPT_BYTES,
            )
        event = due.event
        topic = parse_broker(due.url).topic(
            tenant=event.tenant, model=event.model, event_type=event.type
        )
        publication = Publication(topic=topic, body=message.body, properties=dict(message.headers))
        return await self._brokers.publish(due.endpoint, publication, deadline_s=self._deadline_s)

    def _message(self, due: Due, at_unix_ms: int) -> Message:
        endpoint = due.endpoint
        form = Format(endpoint.format) if endpoint else own_format(due.event.job)
        body = self._body(due, form)
        secrets = endpoint.signing_secrets(at_unix_ms) if endpoint else (due.secret,)
        keys: list[SigningSecret | PrivateKey] = [SigningSecret.parse(text) for text in secrets]
        if endpoint and endpoint.private_key:
            keys.append(PrivateKey.parse(endpoint.private_key))
        signature = sign(
            keys,
            message_id=due.delivery.delivery_id,
            timestamp_unix_s=at_unix_ms // 1000,
            body=body,
        )
        extra = endpoint.headers.items() if endpoint else ()
        headers = (("content-type", CONTENT_TYPES[form]), *signature, *extra)
        method = "PUBLISH" if is_broker(due.url) else "POST"
        return Message(method=method, url=due.url, headers=headers, body=body)

    def _body(self, due: Due, form: Format) -> bytes:
        event = due.event
        is_thin = due.endpoint is not None and due.endpoint.payload == Payload.THIN
        if event.job is not None:
            body = dialect_body(event.job, form, is_thin=is_thin, base_url=self._base_url)
            if body is not None:
                return body
        data = thin_data(event, base_url=self._base_url) if is_thin else event.data
        if form is not Format.CLOUDEVENTS:
            return standard_body(event_type=event.type, unix_ms=event.unix_ms, data=data)
        return cloud_event_body(
            message_id=due.delivery.delivery_id,
            event_type=event.type,
            unix_ms=event.unix_ms,
            tenant=event.tenant,
            subject=event.subject,
            data=data,
        )

    def _settlement(
        self, due: Due, message: Message, outcome: Outcome, at_unix_ms: int
    ) -> Settlement:
        number = due.delivery.attempts + 1
        # Of those since it was last sent again: then its schedule begins anew.
        turn = number - due.delivery.earlier_attempts
        judged = verdict(outcome, self._schedule, attempt=turn)
        if judged is Verdict.RETRY and due.delivery.once:
            judged = Verdict.EXHAUSTED
        due_unix_ms = None
        if judged is Verdict.RETRY:
            delay_s = wait_s(
                self._schedule,
                attempt=turn,
                randomness=self._randomness(),
                hint_s=retry_hint_s(outcome, now_unix_s=at_unix_ms / 1000),
            )
            due_unix_ms = self._clock.unix_ms() + int(delay_s * 1000)
        shown = _shown(due, message) if due.delivery.once else ""
        return Settlement.of(
            due.delivery,
            due.entry,
            _STATES[judged],
            attempt=_record(outcome, number, at_unix_ms, request=shown),
            due_unix_ms=due_unix_ms,
        )


_STATES = {
    Verdict.DELIVERED: DeliveryState.DELIVERED,
    Verdict.RETRY: DeliveryState.PENDING,
    Verdict.EXHAUSTED: DeliveryState.EXHAUSTED,
    Verdict.DISABLED: DeliveryState.EXHAUSTED,
}


def is_the_receivers_doing(outcome_error: str) -> bool:
    """Whether a failure says anything about the receiver: a forbidden address was never called."""
    return outcome_error != FaultKind.TARGET_NOT_ALLOWED


def _shown(due: Due, message: Message) -> str:
    """Give the request as JSON text, for whoever asked for an example; without extra headers."""
    hidden = {name for name, _ in due.endpoint.headers.items()} if due.endpoint else set()
    headers = {name: value for name, value in message.headers if name not in hidden}
    return json.dumps(
        {"headers": headers, "body": message.body.decode("utf-8")}, ensure_ascii=False
    )


def _record(outcome: Outcome, number: int, at_unix_ms: int, *, request: str) -> Attempt:
    if isinstance(outcome, Answer):
        return Attempt(
            number=number,
            at_unix_ms=at_unix_ms,
            duration_ms=round(outcome.elapsed_ms),
            status=outcome.status,
            error=outcome.fault or "",
            answer=outcome.body.decode("utf-8", "replace"),
            request=request,
        )
    return Attempt(
        number=number,
        at_unix_ms=at_unix_ms,
        duration_ms=round(outcome.elapsed_ms),
        error=outcome.kind,
        answer=outcome.detail,
        request=request,
    )
