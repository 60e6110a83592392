"""Tests of dispatcher/device/pipeline.py with a scripted runtime."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dispatcher.cards.card import ModelCard
from dispatcher.device.messages import Inferred, Reply
from dispatcher.device.pipeline import Answer, Part, Pipeline
from dispatcher.pictures.items import Item
from dispatcher.runtime import DeviceHealth, ModelDescription, StagedBatch, TensorSpec
from pipeline.errors import ModelFault

_PATIENCE_S = 10.0


class ScriptedRuntime:
    """Writes down what is called; a run ends when the test says so, or with an error."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def adopt_thread(self) -> None:
        """Take note."""
        self.calls.put("adopt")

    def next_call(self) -> str:
        """Give the call that comes next."""
        return self.calls.get(timeout=_PATIENCE_S)

    def stage(self, key: str, items: Sequence[Item]) -> StagedBatch:
        """Stage a batch under its name."""
        return ScriptedBatch(self, key)

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Play no part here."""
        raise NotImplementedError

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Play no part here."""
        raise NotImplementedError

    def unload(self, key: str) -> None:
        """Play no part here."""

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Play no part here."""
        raise NotImplementedError

    def largest_stage(self, key: str) -> int:
        """Take any batch whole."""
        return 8

    def output_specs(self, key: str) -> Sequence[TensorSpec]:
        """Play no part here."""
        return ()

    def health(self) -> DeviceHealth:
        """Be well."""
        return DeviceHealth(healthy=True)

    def close(self) -> None:
        """Hold nothing."""


class ScriptedBatch:
    """One staged batch."""

    def __init__(self, runtime: ScriptedRuntime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self.fell_back: Mapping[int, str] = {}

    def start(self) -> None:
        """Begin."""
        self._runtime.calls.put(f"start {self._name}")

    def wait(self) -> None:
        """Wait for the word."""
        if error := self._runtime.ends.get(timeout=_PATIENCE_S):
            raise error

    def collect(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Give ones."""
        self._runtime.calls.put(f"collect {self._name}")
        for values in outputs:
            values[...] = 1

    def release(self) -> None:
        """Take note."""
        self._runtime.calls.put(f"release {self._name}")


class Bench:
    """A pipeline over a scripted runtime, and what it answered."""

    def __init__(self) -> None:
        self.runtime = ScriptedRuntime()
        self.replies: queue.SimpleQueue[tuple[int, Reply | Exception]] = queue.SimpleQueue()
        self.pipeline = Pipeline(self.runtime, self._reply)

    def submit(self, name: str, answer: Answer, *, is_last: bool = True) -> NDArray[Any]:
        """Submit a batch; give the array for its outputs."""
        outputs = np.zeros(1)
        staged = self.runtime.stage(name, ())
        self.pipeline.submit(Part(staged=staged, outputs=[outputs], answer=answer, is_last=is_last))
        return outputs

    def reply(self) -> tuple[int, Reply | Exception]:
        """Give the next answer."""
        return self.replies.get(timeout=_PATIENCE_S)

    def calls(self, count: int) -> list[str]:
        """Give the calls that come next."""
        return [self.runtime.next_call() for _ in range(count)]

    def _reply(self, number: int, do: Callable[[], Reply]) -> None:
        try:
            self.replies.put((number, do()))
        except ModelFault as fault:
            self.replies.put((number, fault))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a pipeline, and end its thread after the test."""
    bench = Bench()
    assert bench.calls(1) == ["adopt"]
    yield bench
    bench.pipeline.close()


def answer(number: int) -> Answer:
    """Make the answer to a request for one item."""
    return Answer(number=number, count=1, places=(), used_bytes=0)


def test_the_next_batch_starts_before_the_last_is_read(bench: Bench) -> None:
    """The device is never idle for the sake of copies: start comes before collect."""
    first, second = bench.submit("a", answer(1)), bench.submit("b", answer(2))
    assert bench.calls(1) == ["start a"]

    bench.runtime.ends.put(None)

    assert bench.calls(3) == ["start b", "collect a", "release a"]
    assert bench.reply()[0] == 1
    assert (first[0], second[0]) == (1, 0)
    bench.runtime.ends.put(None)
    assert bench.calls(2) == ["collect b", "release b"]
    assert bench.reply()[0] == 2


def test_there_is_room_for_one_beside_the_running_one(bench: Bench) -> None:
    """A third batch waits until the first is through and answered."""
    bench.submit("a", answer(1))
    bench.pipeline.wait_for_room()
    bench.submit("b", answer(2))
    bench.runtime.ends.put(None)

    bench.pipeline.wait_for_room()

    assert bench.reply()[0] == 1
    bench.runtime.ends.put(None)
    bench.pipeline.drain()
    assert bench.reply()[0] == 2


def test_a_failure_is_its_own_batchs(bench: Bench) -> None:
    """What a batch fails with is its answer; its outputs are not read, and the next one runs."""
    bench.submit("a", answer(1))
    bench.submit("b", answer(2))
    bench.runtime.ends.put(ModelFault("no"))
    bench.runtime.ends.put(None)
    bench.pipeline.drain()

    assert bench.calls(5) == ["start a", "start b", "release a", "collect b", "release b"]
    number, error = bench.reply()
    assert (number, str(error)) == (1, "no")
    assert isinstance(bench.reply()[1], Inferred)


def test_a_batch_in_parts_has_one_answer(bench: Bench) -> None:
    """The last part answers for all; once one has failed the others are not run."""
    whole = answer(1)
    bench.submit("a", whole, is_last=False)
    bench.runtime.ends.put(ModelFault("no"))
    bench.pipeline.drain()
    bench.submit("b", whole)
    bench.pipeline.drain()

    assert bench.calls(3) == ["start a", "release a", "release b"]
    number, error = bench.reply()
    assert (number, str(error)) == (1, "no")
    assert bench.replies.empty()
