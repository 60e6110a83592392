"""The real scripts against a model in Python: any order of steps, late owners, repeated calls."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from pipeline.connection import connect
from pipeline.jobs.job import LIVE_STATES, Job, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import (
    DISPATCHER_GROUP,
    POSTPROCESS_GROUP,
    DeliveryDue,
    InferRequested,
    Keyspace,
)
from pipeline.settings import RedisSettings
from pipeline.streams import Entry, StreamReader
from tests.builders import make_inferred, make_job, make_subscriber
from tests.integration.pipeline.looking import entries_of, pending_of

T = TypeVar("T")

GIVEN_UP = (JobState.FAILED, JobState.CANCELED, JobState.EXPIRED)

#: Where a dispatcher may move a job that it runs.
LEAVING = (JobState.QUEUED, JobState.INFERRED, JobState.FAILED)

#: Few, so that steps meet.
JOBS_MAX = 3

consumers = st.sampled_from(["a", "b"])


@dataclass
class Stream:
    """What a stream holds: unclaimed entries by job, claimed ones by id with job and owner."""

    unclaimed: Counter[str] = field(default_factory=Counter)
    claimed: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Known:
    """What the model knows about one job."""

    job: Job
    state: JobState = JobState.QUEUED
    attempt: int = 0
    end: tuple[JobState, int] | None = None


@dataclass(frozen=True)
class Held:
    """A hold on an entry, and the job's record as its holder knows it."""

    entry: Entry
    job: Job


@dataclass
class Server:
    """One connection and one event loop for all examples."""

    runner: asyncio.Runner
    redis: Redis

    def run(self, call: Awaitable[T]) -> T:
        """Await *call* to its end."""

        async def awaited() -> T:
            return await call

        return self.runner.run(awaited())


class StoreMachine(RuleBasedStateMachine):
    """Steps that services take, each checked against what the model expects."""

    jobs: Bundle[Job] = Bundle("jobs")
    claims: Bundle[Held] = Bundle("claims")
    started: Bundle[Held] = Bundle("started")
    answers: Bundle[Held] = Bundle("answers")
    past_moves: Bundle[Move] = Bundle("past_moves")

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.keys = Keyspace(f"t{secrets.token_hex(6)}")
        self.store = JobStore(server.redis, self.keys)
        self.known: dict[str, Known] = {}
        sample = make_job()
        self.infer = self.keys.infer(sample.model, sample.priority, sample.tenant)
        self.streams = {self.infer: Stream(), self.keys.results: Stream()}
        self.now_unix_ms = 1_000
        for stream in self.streams:
            server.run(self.reader(stream, "a").ensure_groups([stream]))

    def reader(self, stream: str, consumer: str) -> StreamReader:
        """Give a reader without a lease: whatever it looks at is overdue."""
        group = DISPATCHER_GROUP if stream == self.infer else POSTPROCESS_GROUP
        return StreamReader(
            self.server.redis, self.keys, group=group, consumer=consumer, lease_ms=0
        )

    # Steps.

    @precondition(lambda self: len(self.known) < JOBS_MAX)
    @rule(
        target=jobs,
        subscribers=st.integers(0, 3),
        deadline_unix_ms=st.sampled_from([0, 5]),
        again=st.booleans(),
    )
    def accept(self, subscribers: int, deadline_unix_ms: int, again: bool) -> Job:
        """Accept a job as webapp, which asks twice when an answer was lost."""
        job = make_job(
            subscribers=tuple(make_subscriber() for _ in range(subscribers)),
            deadline_unix_ms=deadline_unix_ms,
        )
        for _ in range(1 + again):
            assert self.server.run(self.store.accept([job], waiting_max=1000)).accepted
        self.known[job.job_id] = Known(job=job)
        self.streams[self.infer].unclaimed[job.job_id] += 1
        return job

    @rule(job=jobs)
    def accept_much_later(self, job: Job) -> None:
        """Repeat an acceptance when the job may be anywhere, even at its end."""
        assert self.server.run(self.store.accept([job], waiting_max=1000)).accepted

    @rule(target=claims, consumer=consumers, is_heir=st.booleans())
    def claim(self, consumer: str, is_heir: bool) -> Any:
        """Claim what waits, or take over what a silent dispatcher held, and start nothing yet."""
        return multiple(*self._take(self.infer, consumer, is_heir=is_heir))

    @rule(target=started, held=consumes(claims), again=st.booleans())
    def start(self, held: Held, again: bool) -> Any:
        """Start a claimed job, unless it has ended meanwhile; a lost answer starts it twice."""
        return multiple(*self._started([held], again=again))

    @rule(target=started, consumer=consumers, is_heir=st.booleans())
    def claim_and_start(self, consumer: str, is_heir: bool) -> Any:
        """Claim or take over, and start at once; a silent dispatcher may still wake up."""
        return multiple(*self._started(self._take(self.infer, consumer, is_heir=is_heir)))

    @rule(target=past_moves, held=started, to=st.sampled_from(LEAVING))
    def leave_the_device(self, held: Held, to: JobState) -> Move:
        """Hand a job back, hand its answer on, or give it up, as its first or a late owner."""
        if to is JobState.QUEUED:
            return self._move(self._handed_back(held))
        if to is JobState.INFERRED:
            return self._move(self._inferred(held))
        return self._move(self._end(held, to, DISPATCHER_GROUP))

    @rule(target=answers, consumer=consumers, is_heir=st.booleans())
    def claim_answer(self, consumer: str, is_heir: bool) -> Any:
        """Claim or take over answers, as postprocess."""
        return multiple(*self._take(self.keys.results, consumer, is_heir=is_heir))

    @rule(
        target=past_moves,
        held=answers,
        to=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED]),
    )
    def finish(self, held: Held, to: JobState) -> Move:
        """End a job as postprocess."""
        return self._move(self._end(held, to, POSTPROCESS_GROUP))

    @rule(target=past_moves, job=jobs, to=st.sampled_from(GIVEN_UP), is_fresh=st.booleans())
    def withdraw(self, job: Job, to: JobState, is_fresh: bool) -> Move:
        """End a job without a claim, by a record that is fresh or long out of date."""
        seen = self.server.run(self.store.get(job.job_id)) if is_fresh else job
        assert seen is not None
        return self._move(
            Move(job=seen, to=to, expected=LIVE_STATES, finished_unix_ms=self._later())
        )

    @rule(move=past_moves)
    def repeat(self, move: Move) -> None:
        """Ask for a step again, soon or much later."""
        self._move(move)

    @rule(moves=st.lists(past_moves, min_size=2, max_size=4))
    def repeat_several(self, moves: list[Move]) -> None:
        """Let several steps travel in one call."""
        expected = [self._expect(move) for move in moves]
        assert self.server.run(self.store.move(moves)) == expected

    # What every step must keep.

    @invariant()
    def counts_match_the_jobs(self) -> None:
        """Every accepted job is counted in exactly one state, the one it is in."""
        counts = self.server.run(self.store.counts())
        assert sum(counts.values()) == len(self.known)
        tally = Counter(known.state for known in self.known.values())
        assert counts == {state: tally[state] for state in JobState}

    @invariant()
    def records_match(self) -> None:
        """Each record has the expected state and attempt, and an end is never changed."""
        ids = list(self.known)
        for job in self.server.run(self.store.get_many(ids)) if ids else []:
            assert job is not None
            known = self.known[job.job_id]
            assert (job.state, job.attempt) == (known.state, known.attempt)
            if known.end is not None:
                assert (job.state, job.finished_unix_ms) == known.end

    @invariant()
    def streams_match(self) -> None:
        """No entry is lost, added twice, or left pending after it was settled."""
        for name, stream in self.streams.items():
            held, waiting = self.server.run(self._contents(name))
            assert held == {entry: owner for entry, (_, owner) in stream.claimed.items()}
            assert waiting == +stream.unclaimed

    @invariant()
    def each_end_is_announced_once(self) -> None:
        """Each ended job has one entry for each subscriber, and no other job has any."""
        entries = self.server.run(entries_of(self.server.redis, self.keys.deliveries))
        announced = [DeliveryDue.from_fields(fields).delivery_id for _, fields in entries]
        assert sorted(announced) == sorted(
            subscriber.delivery_id
            for known in self.known.values()
            if known.end is not None
            for subscriber in known.job.subscribers
        )

    @invariant()
    def each_job_is_listed_and_logged_once(self) -> None:
        """Find every job in the index, and its acceptance and its end, if any, in the log."""
        (tenant,) = {known.job.tenant for known in self.known.values()} or {"default"}
        entries = self.server.run(entries_of(self.server.redis, self.keys.events(tenant)))
        logged = sorted((fields["job"], fields["event"]) for _, fields in entries)
        ends = [(job_id, known.end[0]) for job_id, known in self.known.items() if known.end]
        assert logged == sorted([*((job_id, "accepted") for job_id in self.known), *ends])
        listed = self.server.run(self.server.redis.zrange(self.keys.jobs(tenant), 0, -1))
        assert listed == sorted(self.known)

    @invariant()
    def only_live_jobs_have_a_deadline(self) -> None:
        """Deadlines are those of live jobs that have one."""
        overdue = self.server.run(self.store.past_deadline(now_unix_ms=5, limit=1000))
        assert sorted(overdue) == sorted(
            job_id
            for job_id, known in self.known.items()
            if known.end is None and known.job.deadline_unix_ms
        )

    def teardown(self) -> None:
        """From wherever they are, one last dispatcher and one postprocess bring all jobs home."""
        try:
            self._drain()
            for stream in self.streams:
                assert self.server.run(self._contents(stream)) == ({}, Counter())
            assert all(known.end is not None for known in self.known.values())
            self.counts_match_the_jobs()
            self.each_end_is_announced_once()
        finally:
            self.server.run(self._remove_keys())

    def _drain(self) -> None:
        for is_heir in (True, False):
            for held in self._started(self._take(self.infer, "last", is_heir=is_heir)):
                self._move(self._inferred(held))
        for is_heir in (True, False):
            for held in self._take(self.keys.results, "last", is_heir=is_heir):
                self._move(self._end(held, JobState.SUCCEEDED, POSTPROCESS_GROUP))

    # How the steps are made, and what the model expects of each.

    def _later(self) -> int:
        self.now_unix_ms += 1
        return self.now_unix_ms

    def _handed_back(self, held: Held) -> Move:
        return Move(
            job=held.job,
            to=JobState.QUEUED,
            cause=held.entry,
            group=DISPATCHER_GROUP,
            announces=InferRequested(job_id=held.job.job_id),
            stream=self.infer,
        )

    def _inferred(self, held: Held) -> Move:
        return Move(
            job=held.job,
            to=JobState.INFERRED,
            cause=held.entry,
            group=DISPATCHER_GROUP,
            announces=make_inferred(held.job),
            stream=self.keys.results,
        )

    def _end(self, held: Held, to: JobState, group: str) -> Move:
        return Move(
            job=held.job,
            to=to,
            expected=frozenset(
                {JobState.INFERRED if group == POSTPROCESS_GROUP else JobState.RUNNING}
            ),
            finished_unix_ms=self._later(),
            reason_code="code",
            cause=held.entry,
            group=group,
        )

    def _take(self, stream: str, consumer: str, *, is_heir: bool) -> list[Held]:
        """Claim all that waits in *stream*, or take over all that anybody has claimed there."""
        reader = self.reader(stream, consumer)
        if is_heir:
            entries = self.server.run(reader.take_over(stream, count=99))
        else:
            entries = self.server.run(reader.claim([stream], count=99, block_ms=0))
        taken = []
        for entry in entries:
            job_id = entry.fields["job_id"]
            if not is_heir:
                self.streams[stream].unclaimed[job_id] -= 1
            self.streams[stream].claimed[entry.entry_id] = (job_id, consumer)
            job = self.server.run(self.store.get(job_id))
            assert job is not None
            taken.append(Held(entry=entry, job=job))
        return taken

    def _started(self, claimed: list[Held], *, again: bool = False) -> list[Held]:
        """Start claimed jobs; give those that had not ended."""
        started = []
        for held in claimed:
            for _ in range(1 + again):
                fresh = self._start(held)
            if fresh is not None:
                started.append(Held(entry=held.entry, job=fresh))
        return started

    def _start(self, held: Held) -> Job | None:
        (fresh,) = self.server.run(
            self.store.start(
                [(held.entry, InferRequested(job_id=held.job.job_id))], now_unix_ms=self._later()
            )
        )
        known = self.known[held.job.job_id]
        if known.state in (JobState.QUEUED, JobState.RUNNING):
            known.state = JobState.RUNNING
            known.attempt += 1
            assert fresh is not None
            assert fresh.attempt == known.attempt
        else:
            self._settle(held.entry)
            assert fresh is None
        return fresh

    def _move(self, move: Move) -> Move:
        expected = self._expect(move)
        assert self.server.run(self.store.move([move])) == [expected]
        return move

    def _expect(self, move: Move) -> bool:
        """Take the step in the model; tell whether it happens."""
        known = self.known[move.job.job_id]
        fence = move.job.attempt if move.job.state is JobState.RUNNING else None
        is_its_own = fence is None or fence == known.attempt
        moves = known.state in (move.expected or {move.job.state}) and is_its_own
        if moves:
            known.state = move.to
            if move.announces is not None:
                self.streams[move.stream].unclaimed[move.job.job_id] += 1
            if move.to.is_terminal:
                assert known.end is None
                known.end = (move.to, move.finished_unix_ms)
        if move.cause is not None and (moves or known.state is not JobState.RUNNING or is_its_own):
            self._settle(move.cause)
        return moves

    def _settle(self, entry: Entry) -> None:
        self.streams[entry.stream].claimed.pop(entry.entry_id, None)

    async def _contents(self, stream: str) -> tuple[dict[str, str], Counter[str]]:
        """Give a stream's claimed entries with their owners, and its unclaimed ones by job."""
        redis = self.server.redis
        group = DISPATCHER_GROUP if stream == self.infer else POSTPROCESS_GROUP
        rows = await pending_of(redis, stream, group)
        held = {row["message_id"]: row["consumer"] for row in rows}
        entries = await entries_of(redis, stream)
        assert held.keys() <= {entry_id for entry_id, _ in entries}
        waiting = Counter(fields["job_id"] for entry_id, fields in entries if entry_id not in held)
        return held, waiting

    async def _remove_keys(self) -> None:
        names = [name async for name in self.server.redis.scan_iter(f"{self.keys.prefix}:*")]
        if names:
            await self.server.redis.delete(*names)


@pytest.fixture
def server(redis_url: str) -> Iterator[Server]:
    """Keep one event loop and one client for all examples."""
    with asyncio.Runner() as runner:
        redis = connect(RedisSettings(url=redis_url))
        yield Server(runner=runner, redis=redis)
        runner.run(redis.aclose())


def test_no_order_of_steps_breaks_a_promise(server: Server) -> None:
    """Whatever happens in whatever order, counts, records, streams and deliveries stay true."""
    run_state_machine_as_test(
        lambda: StoreMachine(server),  # type: ignore[arg-type]  # any factory of one will do
        settings=settings(
            max_examples=120,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Ids and streams are new in every run, so a failure is shown as it was found.
            database=None,
            phases=[Phase.generate],
        ),
    )
