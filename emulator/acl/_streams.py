"""Streams: work in the order it was queued, done by a worker thread, errors told late."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from acl import _codes
from acl._contexts import Current
from acl._findings import Findings, Misuse
from acl._memory import Block

STREAM = "stream"
# A run on the CPU can take seconds, and its memory must not go before it.
_LONGEST_FAREWELL_S = 10.0


@dataclass(slots=True, eq=False)
class Task:
    """One piece of queued work. *run* gives its code; *blocks* stay untouchable until it ran.

    *ended* is called once it ran or was dropped.
    """

    label: str
    run: Callable[[Stream], int]
    blocks: tuple[Block, ...] = ()
    ended: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class Mailbox:
    """The callbacks that wait for one thread to process them."""

    calls: queue.Queue[Callable[[], None]] = field(default_factory=queue.Queue)
    streams: int = 0


class Mailboxes:
    """The threads that take callbacks, by their identifier."""

    def __init__(self) -> None:
        self.by_thread: dict[int, Mailbox] = {}


class Stream:
    """A first-in first-out queue with its own worker, started when there is work."""

    def __init__(self, findings: Findings, dead_code: Callable[[], int], context: Current) -> None:
        self.context = context
        self.subscriber: int | None = None
        self.stopped = threading.Event()
        #: When the last task ended on the device's own clock, on which nothing is late.
        self.ended_at_s = 0.0
        self._findings = findings
        self._dead_code = dead_code
        self._changed = threading.Condition()
        self._queue: deque[Task] = deque()
        self._queued = 0
        self._done = 0
        self._error = 0
        self._worker: threading.Thread | None = None

    def submit(self, task: Task) -> None:
        """Queue *task*; its memory cannot be freed until it ran."""
        for block in task.blocks:
            block.pins += 1
        with self._changed:
            self._queue.append(task)
            self._queued += 1
            if self._worker is None:
                name = f"acl-stream-{id(self):x}"
                self._worker = threading.Thread(target=self._work, name=name, daemon=True)
                self._worker.start()
            self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> int | None:
        """Wait until everything queued so far is done; its first error, None when out of time."""
        with self._changed:
            target = self._queued
            done = self._changed.wait_for(
                lambda: self._done >= target or self._dead_code() != 0, timeout_s
            )
            return self._error if done else None

    def take_error(self) -> None:
        """Forget the error: it was told."""
        self._error = 0

    def is_idle(self) -> bool:
        """Whether all queued work is done."""
        return self._done == self._queued

    def stop(self) -> None:
        """End the worker; what is still queued is dropped, what runs may finish."""
        self.stopped.set()
        with self._changed:
            for task in self._queue:
                _end(task)
            self._queue.clear()
            self._done = self._queued
            self._changed.notify_all()
        if self._worker is not None and self._worker is not threading.current_thread():
            self._worker.join(_LONGEST_FAREWELL_S)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self.stopped.is_set())
                if self.stopped.is_set():
                    return
                task = self._queue.popleft()
            code = self._run(task)
            _end(task)
            with self._changed:
                if not self.stopped.is_set():
                    self._done += 1
                self._error = self._error or code
                self._changed.notify_all()

    def _run(self, task: Task) -> int:
        if dead := self._dead_code():
            return dead
        try:
            return task.run(self)
        except Misuse:
            # It is written down; the program hears of it when it synchronises.
            return _codes.RT_MODEL_EXECUTE
        except Exception as error:
            self._findings.note_late(f"{task.label} broke in the emulator: {error!r}")
            return _codes.RT_MODEL_EXECUTE


def _end(task: Task) -> None:
    for block in task.blocks:
        block.pins -= 1
    if task.ended is not None:
        task.ended()
