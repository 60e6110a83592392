"""The job store: accepting, starting, moving and reading jobs, each in one atomic script.

This is the only door through which a job's state changes. Deliveries' own steps are in
``pipeline/deliveries/store.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.deliveries.delivery import Delivery
from pipeline.ids import event_id_of
from pipeline.jobs.acceptance import Acceptance, Admission
from pipeline.jobs.job import Job, JobState, check_transition
from pipeline.jobs.loads import LOADING_STATES, loads_of, through_field
from pipeline.jobs.promises import Once
from pipeline.jobs.quotas import Quota
from pipeline.jobs.waiting_members import waiting_member
from pipeline.protocol import (
    DISPATCHER_GROUP,
    JOB_RETENTION_MS,
    DeliveryDue,
    EventAnnounced,
    InferRequested,
    JobInferred,
    Keyspace,
)
from pipeline.reading import read_records, readable
from pipeline.script_arguments import ScriptKeys, flat, to_json
from pipeline.streams import Entry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of one job.

    *job* is the record as the mover knows it: its state and attempt fence the move. *causes* is
    the claimed entry that this step settles, with its consumer *group*; *announces* what the next
    hop is told, in *stream*. *version* is which version runs the job, where that has changed.
    """

    job: Job
    to: JobState
    expected: frozenset[JobState] = frozenset()
    alone: bool = False
    version: str = ""
    finished_unix_ms: int = 0
    result: str = ""
    reason_code: str = ""
    reason: str = ""
    cause: Entry | None = None
    group: str = ""
    announces: InferRequested | JobInferred | None = None
    stream: str = ""


class JobStore:
    """Jobs in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(
        self, redis: Redis, keys: Keyspace, *, retention_ms: int = JOB_RETENTION_MS
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._retention_ms = retention_ms
        # Tenants that are noted as having jobs: once in a process's life is enough.
        self._submitters: set[str] = set()
        self._accept_jobs = load_script(redis, "accept_jobs")
        self._start_jobs = load_script(redis, "start_jobs")
        self._move_jobs = load_script(redis, "move_jobs")

    async def accept(
        self,
        jobs: Sequence[Job],
        *,
        waiting_max: int,
        quota: Quota = Quota(),  # noqa: B008  # frozen
        once: Once | None = None,
    ) -> Admission:
        """Store *jobs* of one tenant and announce them to the dispatcher.

        All of them, or none: past a limit, or where *once* was promised before.
        """
        call = Acceptance.of(self._keys, jobs, waiting_max=waiting_max, quota=quota, once=once)
        tenant = jobs[0].tenant
        with redis_errors():
            if tenant not in self._submitters:
                await self._redis.sadd(self._keys.submitters, tenant)
                self._submitters.add(tenant)
            answer = await self._accept_jobs(keys=call.keys, args=[*call.args, ""])
        return call.parse(answer)

    async def weigh(
        self, jobs: Sequence[Job], *, waiting_max: int, quota: Quota, once: Once | None = None
    ) -> Admission:
        """Say what :meth:`accept` would answer at this moment; nothing is changed."""
        call = Acceptance.of(self._keys, jobs, waiting_max=waiting_max, quota=quota, once=once)
        with redis_errors():
            answer = await self._accept_jobs(keys=call.keys, args=[*call.args, "weigh"])
        return call.parse(answer)

    async def start(
        self, claims: Sequence[tuple[Entry, InferRequested]], *, now_unix_ms: int
    ) -> list[Job | None]:
        """Move claimed jobs to running and give their records, with the new attempt.

        None where the job has ended, was withdrawn, or is gone: its entry is settled.
        """
        names = [self._keys.counts]
        args: list[str] = [DISPATCHER_GROUP, str(now_unix_ms)]
        for entry, message in claims:
            names += [self._keys.job(message.job_id), entry.stream]
            args.append(entry.entry_id)
        with redis_errors():
            records = await self._start_jobs(keys=names, args=args)
        return [
            readable(Job.from_fields, message.job_id, _pairs(record), id_field="job_id")
            for (_, message), record in zip(claims, records, strict=True)
        ]

    async def move(self, moves: Sequence[Move]) -> list[bool]:
        """Carry out *moves*; tell for each whether it happened.

        False means that another mover was first: the late one's work is void. Raises
        IllegalTransition, before anything is written, for a step that the table does not have.
        """
        keys = ScriptKeys()
        for name in (
            self._keys.counts,
            self._keys.deadlines,
            self._keys.deliveries,
            self._keys.loads,
        ):
            keys.index(name)
        documents = [self._document(move, keys) for move in moves]
        with redis_errors():
            answers = await self._move_jobs(
                keys=keys.names,
                args=[self._keys.ended_channel, to_json(documents)],
            )
        return [answer == 1 for answer in answers]

    async def get(self, job_id: str) -> Job | None:
        """Give the record, or None when there is no such job."""
        with redis_errors():
            fields = cast(dict[str, str], await self._redis.hgetall(self._keys.job(job_id)))
        return readable(Job.from_fields, job_id, fields, id_field="job_id")

    async def get_many(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Give the records in one round trip."""
        return await read_records(
            self._redis, self._keys.job, Job.from_fields, job_ids, id_field="job_id"
        )

    async def absent(self, job_ids: Sequence[str]) -> set[str]:
        """Give those of *job_ids* that have no record at all.

        Asked before anything is removed for want of a job: a record that only cannot be read here,
        as after a step back to an older version, still has its picture and its deadline.
        """
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.exists(self._keys.job(job_id))
                answers = await pipe.execute()
        return {job_id for job_id, there in zip(job_ids, answers, strict=True) if not there}

    async def counts(self) -> dict[JobState, int]:
        """Give how many jobs are in each live state, and how many ever ended in each other."""
        with redis_errors():
            fields = cast(dict[str, str], await self._redis.hgetall(self._keys.counts))
        return {state: int(fields.get(state, 0)) for state in JobState}

    async def past_deadline(self, *, now_unix_ms: int, limit: int) -> list[str]:
        """List live jobs whose deadline has passed, most overdue first."""
        with redis_errors():
            ids = await self._redis.zrangebyscore(
                self._keys.deadlines, "-inf", now_unix_ms, start=0, num=limit
            )
        return cast(list[str], ids)

    async def forget_deadline(self, job_id: str) -> None:
        """Drop the deadline of a job whose record is gone."""
        with redis_errors():
            await self._redis.zrem(self._keys.deadlines, job_id)

    def _document(self, move: Move, keys: ScriptKeys) -> dict[str, Any]:
        expected = move.expected or frozenset({move.job.state})
        for old in expected:
            check_transition(old, move.to)
        written = {
            "alone": "1" if move.alone else "",
            "version": move.version,
            "finished_unix_ms": str(move.finished_unix_ms) if move.finished_unix_ms else "",
            "result": move.result,
            "reason_code": move.reason_code,
            "reason": move.reason,
        }
        changes = {name: value for name, value in written.items() if value}
        if move.to is JobState.QUEUED:
            # Handed back in order: whatever follows is not this start's doing.
            changes["alone"] = ""
        document: dict[str, Any] = {
            "id": move.job.job_id,
            "record": keys.index(self._keys.job(move.job.job_id)),
            "expected": dict.fromkeys(expected, True),
            "attempt": str(move.job.attempt) if move.job.state is JobState.RUNNING else "",
            "to": move.to,
            "set": flat(changes),
            "terminal": move.to.is_terminal,
            "keep_ms": move.job.keep_record_s * 1000 or self._retention_ms,
            "log": keys.index(self._keys.events(move.job.tenant)) if move.to.is_terminal else 0,
            "deliveries": self._deliveries(move, keys) if move.to.is_terminal else [],
        }
        if move.to.is_terminal:
            document["announce"] = self._announcement(move.job, keys)
            if document["deliveries"]:
                document["told"] = keys.index(self._keys.tenant_deliveries(move.job.tenant))
            if move.job.batch_id:
                document["batch"] = keys.index(self._keys.batch(move.job.batch_id))
        if move.cause is not None:
            document["ack"] = {
                "stream": keys.index(move.cause.stream),
                "group": move.group,
                "entry": move.cause.entry_id,
            }
        if move.announces is not None:
            document["add"] = self._addition(move, move.announces, keys)
        if move.to not in LOADING_STATES:
            unloaded = {name: -count for name, count in loads_of([move.job]).items()}
            document["unload"] = flat(unloaded | {through_field(move.job.model): 1})
        return document

    def _addition(
        self, move: Move, announces: InferRequested | JobInferred, keys: ScriptKeys
    ) -> dict[str, Any]:
        document: dict[str, Any] = {"message": flat(announces.to_fields())}
        if isinstance(announces, InferRequested):
            job = move.job
            document["stream"] = keys.index(self._keys.infer(job.model, job.priority, job.tenant))
            document["waiting"] = keys.index(self._keys.waiting(job.model))
            document["member"] = waiting_member(job.priority, job.tenant)
            document["bell"] = keys.index(self._keys.bell(job.model))
        else:
            document["stream"] = keys.index(move.stream)
        return document

    def _announcement(self, job: Job, keys: ScriptKeys) -> dict[str, Any]:
        message = EventAnnounced(
            event_id=event_id_of(job.job_id), tenant=job.tenant, job_id=job.job_id
        )
        return {
            "stream": keys.index(self._keys.announcements),
            "subscribed": keys.index(self._keys.subscribed(job.tenant)),
            # An endpoint that the job names has an order and limits of its own to be looked up.
            "always": any(subscriber.endpoint_id for subscriber in job.subscribers),
            "message": flat(message.to_fields()),
        }

    def _deliveries(self, move: Move, keys: ScriptKeys) -> list[dict[str, Any]]:
        documents = []
        for subscriber in move.job.subscribers:
            delivery = Delivery(
                delivery_id=subscriber.delivery_id,
                job_id=move.job.job_id,
                endpoint_id=subscriber.endpoint_id,
                url=subscriber.url,
                secret=subscriber.secret,
                event_id=event_id_of(move.job.job_id),
                event_type=f"job.{move.to}",
                tenant=move.job.tenant,
                created_unix_ms=move.finished_unix_ms,
            )
            document: dict[str, Any] = {
                "key": keys.index(self._keys.delivery(delivery.delivery_id)),
                "id": delivery.delivery_id,
                "record": flat(delivery.to_fields()),
                "place": delivery.place,
            }
            if not subscriber.endpoint_id:
                due = DeliveryDue(delivery_id=delivery.delivery_id)
                document["message"] = flat(due.to_fields())
            documents.append(document)
        return documents


def _pairs(items: Sequence[str]) -> dict[str, str]:
    return dict(zip(items[::2], items[1::2], strict=True))
