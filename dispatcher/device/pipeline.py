"""Staged batches, run one right after the other while the next is brought to the device.

Two threads: the one that takes requests stages a batch, this one's own runs them. When a batch is
through, the next is started before the outputs of the first are read, so that the device waits for
neither copies nor answers.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from dispatcher.device.messages import Inferred, OutputPlace, Reply
from dispatcher.runtime import StagedBatch, StagingRuntime

#: One batch runs, one lies ready: as many as a model has room for.
_DEPTH = 2


@dataclass(slots=True, kw_only=True, eq=False)
class Answer:
    """What becomes the one answer to a request, whose batch may run in several parts."""

    number: int
    count: int
    places: tuple[OutputPlace, ...]
    used_bytes: int
    device_ms: float = 0.0
    fell_back: list[tuple[int, str]] = field(default_factory=list)
    error: Exception | None = None

    def to_reply(self) -> Inferred:
        """Give the answer to a batch that went well; raises what it failed with."""
        if self.error is not None:
            raise self.error
        return Inferred(
            outputs=self.places,
            used_bytes=self.used_bytes,
            device_ms=self.device_ms,
            fell_back=tuple(self.fell_back),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One run: what is staged, where its outputs go, and whether it completes its answer."""

    staged: StagedBatch
    outputs: Sequence[NDArray[Any]]
    answer: Answer
    is_last: bool


class Pipeline:
    """Runs what is staged with *runtime*; *reply* is called for each answer, from this thread.

    *reply* gets a callable that gives the answer or raises what it failed with.
    """

    def __init__(
        self, runtime: StagingRuntime, reply: Callable[[int, Callable[[], Reply]], None]
    ) -> None:
        self._runtime = runtime
        self._reply = reply
        self._changed = threading.Condition()
        self._ready: deque[Part] = deque()
        # How many are staged and not released.
        self._held = 0
        self._is_over = False
        self._defect: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="device-run", daemon=True)
        self._thread.start()

    def wait_for_room(self) -> None:
        """Wait until another batch may be staged."""
        self._wait_until_held(_DEPTH - 1)

    def drain(self) -> None:
        """Wait until nothing is staged and every answer is given."""
        self._wait_until_held(0)

    def submit(self, part: Part) -> None:
        """Have a staged batch run after those before it; raises what ended the thread, if it is."""
        with self._changed:
            if self._defect is not None:
                raise self._defect
            self._held += 1
            self._ready.append(part)
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, once everything is through."""
        self.drain()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._thread.join()

    def _wait_until_held(self, most: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held <= most or self._is_over)

    def _run(self) -> None:
        try:
            self._runtime.adopt_thread()
            started: tuple[Part, float] | None = None
            while True:
                if started is None:
                    part = self._next(block=True)
                    if part is None:
                        return
                    started = part, self._start(part)
                started = self._finish(*started)
        except OSError:
            pass  # the supervisor died with an answer on its way
        except Exception as exc:  # told to whoever submits next
            self._defect = exc
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _next(self, *, block: bool) -> Part | None:
        with self._changed:
            if block:
                self._changed.wait_for(lambda: self._ready or self._is_over)
            return self._ready.popleft() if self._ready else None

    def _start(self, part: Part) -> float:
        """Start *part*; give when that was."""
        started_s = time.perf_counter()
        if part.answer.error is None:
            _into(part.answer, part.staged.start)
        return started_s

    def _finish(self, part: Part, started_s: float) -> tuple[Part, float] | None:
        """See *part* through, starting the next one in between; give that one."""
        answer, following = part.answer, None
        if answer.error is None:
            _into(answer, part.staged.wait)
        answer.device_ms += (time.perf_counter() - started_s) * 1000
        if (following_part := self._next(block=False)) is not None:
            following = following_part, self._start(following_part)
        if answer.error is None:
            _into(answer, lambda: part.staged.collect(part.outputs))
        part.staged.release()
        if part.is_last:
            self._reply(answer.number, answer.to_reply)
        with self._changed:
            self._held -= 1
            self._changed.notify_all()
        return following


def _into(answer: Answer, step: Callable[[], None]) -> None:
    """Do *step*; what goes wrong becomes the answer's error."""
    try:
        step()
    except Exception as exc:  # the runtime's own errors, of any kind
        answer.error = answer.error or exc
