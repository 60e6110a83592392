"""The operation store: asking for operations, their steps, and sending one delivery again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.deliveries.delivery import Delivery, DeliveryState
from pipeline.deliveries.operation import Operation, OperationState
from pipeline.protocol import JOB_RETENTION_MS, Keyspace
from pipeline.reading import readable
from pipeline.script_arguments import flat, to_json

log = logging.getLogger(__name__)


#: An operation's record outlives its end by this much. A week.
OPERATION_RETENTION_MS = 7 * 24 * 3600 * 1000

#: What the script says of a step that somebody else has taken.
_REFUSED = -2


class Sent(IntEnum):
    """What became of sending a delivery again."""

    #: The delivery, or what it is about, is no longer kept.
    GONE = -1
    #: It is in none of the states in which it was to be sent: on its way, for one.
    OTHER_STATE = 0
    ON_ITS_WAY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A delivery that is to be sent at *due_unix_ms*, if it is in one of *states*.

    With *may_be_made* it is made where there is none.
    """

    delivery: Delivery
    due_unix_ms: int
    states: frozenset[DeliveryState]
    may_be_made: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an operation: *sendings*, and where it is after it.

    *passed_over* counts what was looked at and is not among them. *state* is terminal for the last.
    """

    sendings: Sequence[Sending]
    cursor: str
    paced_unix_ms: int
    passed_over: int = 0
    state: OperationState = OperationState.RUNNING
    reason: str = ""


class OperationStore:
    """Operations in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(
        self, redis: Redis, keys: Keyspace, *, retention_ms: int = JOB_RETENTION_MS
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._retention_ms = retention_ms
        self._accept_operation = load_script(redis, "accept_operation")
        self._send_again = load_script(redis, "send_again")

    async def accept(self, operation: Operation) -> str:
        """Store *operation*; give "", or the id of the one that its endpoint has under way."""
        with redis_errors():
            answer = await self._accept_operation(
                keys=[self._keys.operation(operation.operation_id), self._keys.open_operations],
                args=[operation.operation_id, operation.endpoint_id, *flat(operation.to_fields())],
            )
        return cast(str, answer)

    async def get(self, operation_id: str) -> Operation | None:
        """Give the record, or None when there is no such operation."""
        with redis_errors():
            fields = cast(
                Mapping[str, str], await self._redis.hgetall(self._keys.operation(operation_id))
            )
        return readable(Operation.from_fields, operation_id, fields, id_field="operation")

    async def open(self) -> list[str]:
        """List the operations that have not ended; one that lost its record is forgotten."""
        with redis_errors():
            rows = cast(dict[str, str], await self._redis.hgetall(self._keys.open_operations))
            if not rows:
                return []
            async with self._redis.pipeline(transaction=False) as pipe:
                for operation_id in rows.values():
                    pipe.exists(self._keys.operation(operation_id))
                there = await pipe.execute()
            lost = [each for each, found in zip(rows, there, strict=True) if not found]
            if lost:
                await self._redis.hdel(self._keys.open_operations, *lost)
        return sorted(operation_id for each, operation_id in rows.items() if each not in lost)

    async def advance(self, operation: Operation, step: Step, *, now_unix_ms: int) -> bool:
        """Take one step; False when somebody else has taken it, or the operation is gone."""
        document = {
            "endpoint": operation.endpoint_id,
            "from": operation.cursor,
            "to": step.cursor,
            "paced": step.paced_unix_ms,
            "passed": step.passed_over,
            "ended": "" if step.state is OperationState.RUNNING else step.state,
            "at": str(now_unix_ms),
            "reason": step.reason,
            "keep_ms": OPERATION_RETENTION_MS,
        }
        answers = await self._send(
            operation.tenant,
            step.sendings,
            operation_id=operation.operation_id,
            step=json.dumps(document),
            now_unix_ms=now_unix_ms,
        )
        return answers != [_REFUSED]

    async def send_one(self, delivery: Delivery, *, now_unix_ms: int) -> Sent:
        """Send one ended delivery again, at once."""
        sending = Sending(
            delivery=delivery,
            due_unix_ms=now_unix_ms,
            states=frozenset({DeliveryState.DELIVERED, DeliveryState.EXHAUSTED}),
        )
        (answer,) = await self._send(delivery.tenant, [sending], now_unix_ms=now_unix_ms)
        return Sent(answer)

    async def _send(
        self,
        tenant: str,
        sendings: Iterable[Sending],
        *,
        now_unix_ms: int,
        operation_id: str = "",
        step: str = "",
    ) -> list[int]:
        keys = self._keys
        documents: list[dict[str, Any]] = []
        names = [
            keys.operation(operation_id),
            keys.open_operations,
            keys.delivery_schedule,
            keys.tenant_deliveries(tenant),
            keys.exhausted(tenant),
        ]
        for each in sendings:
            delivery = each.delivery
            about = keys.job(delivery.job_id) if delivery.job_id else keys.event(delivery.event_id)
            delivery_id = delivery.delivery_id
            names += [keys.delivery(delivery_id), keys.attempts(delivery_id), about]
            document: dict[str, Any] = {
                "id": delivery_id,
                "place": delivery.place,
                "due": each.due_unix_ms,
                "states": dict.fromkeys(each.states, True),
            }
            if each.may_be_made:
                document["record"] = flat(delivery.to_fields())
            documents.append(document)
        with redis_errors():
            answers = await self._send_again(
                keys=names,
                args=[step, self._retention_ms, now_unix_ms, to_json(documents)],
            )
        return cast(list[int], answers)
