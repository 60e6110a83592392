"""One load on a running stack: from the first request out to the last webhook in."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench import client
from bench.client import Submissions, Submitted
from bench.processes import busy_s, since
from bench.receiver import Arrival
from bench.stack import RunningStack

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of a receiver that does not check
_CONNECTIONS = 16
#: What is written after the last webhook has come belongs to the load too.
_SETTLE_S = 0.4
_POLL_S = 0.01
_PATIENCE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What a load took. Times of CPU run from before the first request to after the last write.

    *others_cpu_s* is the CPU time of everything on the machine that is not part of this.
    """

    submitted: Submitted = field(repr=False)
    arrivals: Sequence[Arrival] = field(repr=False)
    cpu_s: dict[str, float]
    receiver_cpu_s: float
    others_cpu_s: float
    span_s: float

    @property
    def count(self) -> int:
        """How many jobs it was."""
        return len(self.submitted.jobs)

    @property
    def wall_s(self) -> float:
        """From the first request's beginning to the last webhook's arrival."""
        first_ns = min(started_ns for started_ns, _ in self.submitted.jobs)
        return (max(at_ns for at_ns, _ in self.arrivals) - first_ns) / 1e9

    @property
    def per_s(self) -> float:
        """Jobs per second, end to end."""
        return self.count / self.wall_s

    @cached_property
    def events(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """The first announcement of each job: when it came, and its data."""
        events: dict[str, tuple[int, dict[str, Any]]] = {}
        for at_ns, body in self.arrivals:
            data = json.loads(body)["data"]
            events.setdefault(data["id"], (at_ns, data))
        return events

    @cached_property
    def started_ns(self) -> dict[str, int]:
        """When the submission of each job began."""
        return {json.loads(answer)["id"]: at_ns for at_ns, answer in self.submitted.jobs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to submit, and how: see Submissions."""

    model: str
    pictures: tuple[bytes, ...] = field(repr=False)
    count: int
    window: int
    pause_s: float = 0.0


def run_load(stack: RunningStack, load: Load) -> LoadResult:
    """Submit and wait until each job is announced; raises where one does not succeed."""
    with ready_client(stack, load) as submit:
        before, receiver_before_s, busy_before_s = _meters(stack)
        started_s = time.monotonic()
        submitted = submit()
        wait_for(lambda: stack.receiver.count.value >= load.count)
        time.sleep(_SETTLE_S)
        after, receiver_after_s, busy_after_s = _meters(stack)
        span_s = time.monotonic() - started_s
    cpu_s = since(after, before)
    receiver_cpu_s = receiver_after_s - receiver_before_s
    ours_s = sum(cpu_s.values()) + receiver_cpu_s + submitted.cpu_s
    result = LoadResult(
        submitted=submitted,
        arrivals=stack.receiver.take(),
        cpu_s=cpu_s,
        receiver_cpu_s=receiver_cpu_s,
        others_cpu_s=max(0.0, busy_after_s - busy_before_s - ours_s),
        span_s=span_s,
    )
    _check(result)
    return result


@contextmanager
def ready_client(stack: RunningStack, load: Load) -> Iterator[Callable[[], Submitted]]:
    """Start a client process, and give the call by which it submits and ends."""
    plan = Submissions(
        port=stack.port,
        key=stack.key,
        model=load.model,
        webhook_url=stack.receiver.url,
        webhook_secret=SECRET,
        pictures=load.pictures,
        count=load.count,
        window=load.window,
        connections=_CONNECTIONS,
        pause_s=load.pause_s,
    )
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    arguments = (theirs, plan, stack.receiver.count)
    process = context.Process(target=client.run, args=arguments, daemon=True)
    process.start()
    theirs.close()

    def submit() -> Submitted:
        pipe.send("go")
        answer = pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        submitted: Submitted = answer
        return submitted

    try:
        pipe.recv()
        yield submit
    finally:
        process.terminate()
        process.join()


def wait_for(condition: Callable[[], bool], *, timeout_s: float = _PATIENCE_S) -> None:
    """Look until *condition* is true; raises TimeoutError."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the platform was not through after {timeout_s:g} s")
        time.sleep(_POLL_S)


def _meters(stack: RunningStack) -> tuple[dict[str, float], float, float]:
    return stack.services.cpu_s(), stack.receiver.cpu_s(), busy_s()


def _check(result: LoadResult) -> None:
    """Raise unless every accepted job was announced as succeeded."""
    states = {job_id: data["state"] for job_id, (_, data) in result.events.items()}
    if set(states) != set(result.started_ns) or set(states.values()) != {"succeeded"}:
        raise RuntimeError(f"not all jobs succeeded: {Counter(states.values())}")
