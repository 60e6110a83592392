"""Asking RQ for operations: once each, and again whenever RQ has lost one."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from operations.planning import LOST_AFTER_MS, Act
from operations.queueing import OperationQueue
from operations.rq_names import (
    RETRIES,
    JobStatus,
    Queue,
    RqRecord,
    Worker,
    connect_rq,
    rq_queue,
)
from pipeline.settings import RedisSettings

ME, MINE = "q.box.b2", "q.box."


class SteppedClock:
    """A clock that a test steps."""

    def __init__(self) -> None:
        self.now_ms = 1000.0

    def unix_ms(self) -> int:
        """Give the moment."""
        return int(self.now_ms)

    def monotonic_ms(self) -> float:
        """Give the moment."""
        return self.now_ms


@pytest.fixture
def connection(redis_url: str) -> Iterator[Redis]:
    """Give RQ's connection."""
    with connect_rq(RedisSettings(url=redis_url)) as connection:
        yield connection


@pytest.fixture
def queue(connection: Redis) -> Queue:
    """Give a queue that no other test has."""
    return rq_queue(f"q{secrets.token_hex(4)}", connection)


@pytest.fixture
def operation_id() -> str:
    """Give an id that no other test has."""
    return f"batch_{secrets.token_hex(8)}"


@pytest.fixture
def clock() -> SteppedClock:
    """Give a clock that stands."""
    return SteppedClock()


@pytest.fixture
def operations(connection: Redis, queue: Queue, clock: SteppedClock) -> OperationQueue:
    """Give what is tested."""
    return OperationQueue(connection, queue.name, clock=clock, own_prefix=MINE)


def record(connection: Redis, operation_id: str) -> RqRecord:
    """Give RQ's record."""
    return RqRecord.fetch(operation_id, connection=connection, serializer="json")


def test_an_operation_is_asked_for_once(
    operations: OperationQueue, queue: Queue, connection: Redis, operation_id: str
) -> None:
    """However often, by however many planners: it stands in the queue once, with its retries."""
    other = OperationQueue(connection, queue.name, clock=SteppedClock(), own_prefix="q.other.")

    acts = [
        each.ensure(operation_id, "batch_x", worker=ME)
        for each in (operations, other, operations, other)
    ]

    assert acts == [Act.ENQUEUE, Act.NOTHING, Act.NOTHING, Act.NOTHING]
    assert queue.get_job_ids() == [operation_id]
    job = record(connection, operation_id)
    assert (job.func_name, job.args) == ("operations.tasks.advance_batch", ["batch_x"])
    assert job.retries_left == RETRIES
    assert job.failure_ttl == 24 * 3600


def test_nothing_is_pickled(
    operations: OperationQueue, connection: Redis, operation_id: str
) -> None:
    """The payload is JSON: whoever writes to Redis can name a function, not bring one."""
    operations.ensure(operation_id, "batch_x", worker=ME)

    data = connection.hget(record(connection, operation_id).key, "data")

    assert isinstance(data, bytes)
    assert json.loads(zlib.decompress(data))[0] == "operations.tasks.advance_batch"


def test_a_popped_job_that_nobody_works_is_asked_for_again(
    operations: OperationQueue,
    queue: Queue,
    connection: Redis,
    operation_id: str,
    clock: SteppedClock,
) -> None:
    """A worker killed between its pop and its bookkeeping leaves a job in no list of RQ's."""
    operations.ensure(operation_id, "batch_x", worker=ME)
    assert connection.lmove(queue.key, queue.intermediate_queue_key) == operation_id.encode()

    at_once = operations.ensure(operation_id, "batch_x", worker=ME)
    clock.now_ms += LOST_AFTER_MS
    later = operations.ensure(operation_id, "batch_x", worker=ME)

    assert (at_once, later) == (Act.NOTHING, Act.RENEW)
    assert queue.get_job_ids() == [operation_id]
    assert queue.intermediate_queue.get_job_ids() == []


@pytest.mark.parametrize(
    ("worker", "act"), [("q.box.a1", Act.RENEW), (ME, Act.NOTHING), ("q.else.a1", Act.NOTHING)]
)
def test_an_earlier_workers_job_is_asked_for_at_once(
    worker: str,
    act: Act,
    operations: OperationQueue,
    queue: Queue,
    connection: Redis,
    operation_id: str,
) -> None:
    """RQ would notice after a minute and a half; our own dead workers are known by their names."""
    operations.ensure(operation_id, "batch_x", worker=ME)
    connection.lpop(queue.key)
    dead = Worker(
        [queue],
        name=f"{worker}.{secrets.token_hex(4)}" if worker != ME else ME,
        connection=connection,
        serializer="json",
    )
    job = record(connection, operation_id)
    dead.prepare_execution(job)
    dead.prepare_job_execution(job, remove_from_intermediate_queue=True)

    assert operations.ensure(operation_id, "batch_x", worker=ME) is act

    status = record(connection, operation_id).get_status()
    assert status is (JobStatus.QUEUED if act is Act.RENEW else JobStatus.STARTED)
    assert queue.get_job_ids() == ([operation_id] if act is Act.RENEW else [])


def test_a_finished_operation_that_is_needed_again_is_asked_for(
    operations: OperationQueue, queue: Queue, connection: Redis, operation_id: str
) -> None:
    """One that handed back, or whose batch has come to its next step."""
    operations.ensure(operation_id, "batch_x", worker=ME)
    connection.lpop(queue.key)
    record(connection, operation_id).set_status(JobStatus.FINISHED)

    assert operations.ensure(operation_id, "batch_x", worker=ME) is Act.RENEW

    assert queue.get_job_ids() == [operation_id]


def test_a_sweep_is_asked_for_once_in_its_slot(
    operations: OperationQueue, queue: Queue, connection: Redis, operation_id: str
) -> None:
    """A second scheduler, or the same after a restart, adds nothing."""
    for _ in range(3):
        operations.sweep(operation_id, "batches", remember_s=60)

    assert queue.get_job_ids() == [operation_id]
    assert record(connection, operation_id).args == ["batches"]


def test_rqs_own_tools_see_the_operations(
    operations: OperationQueue, queue: Queue, redis_url: str, operation_id: str
) -> None:
    """``rq info`` with our prefix counts what waits."""
    operations.ensure(operation_id, "batch_x", worker=ME)

    answer = subprocess.run(
        [str(Path(sys.executable).with_name("rq")), "info", "-u", redis_url, "--raw"],
        env=os.environ | {"RQ_KEY_PREFIX": queue.key.partition(":queue:")[0]},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert f"queue {queue.name} 1" in answer.stdout


def test_the_dashboard_reads_the_operations(
    operations: OperationQueue, queue: Queue, redis_url: str, operation_id: str
) -> None:
    """``rq-dashboard --json`` shows what an operation does."""
    operations.ensure(operation_id, "batch_x", worker=ME)
    code = (
        "import sys\n"
        "from flask import Flask\n"
        "import rq_dashboard\n"
        "app = Flask('x')\n"
        "app.config.from_object(rq_dashboard.default_settings)\n"
        "app.config['RQ_DASHBOARD_REDIS_URL'] = sys.argv[1]\n"
        "from rq.serializers import JSONSerializer\n"
        # As `rq-dashboard --json` does.
        "rq_dashboard.web.config.serializer = JSONSerializer\n"
        "rq_dashboard.web.setup_rq_connection(app)\n"
        "app.register_blueprint(rq_dashboard.blueprint, url_prefix='/rq')\n"
        "print(app.test_client().get(sys.argv[2]).get_data(as_text=True))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, redis_url, f"/rq/0/data/job/{operation_id}.json"],
        env=os.environ | {"RQ_KEY_PREFIX": queue.key.partition(":queue:")[0]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert answer.returncode == 0, answer.stderr
    assert "advance_batch" in answer.stdout, answer.stdout + answer.stderr
