"""Rule 8: calls that keep the interpreter lock keep it here, and the others release it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.unit.emulator.models import doubling_om, products_om, write
from tests.unit.emulator.programs import Program

BUSY_MS = 150.0
# Shares of a call during which no other thread ran; the machine may be busy with other things.
HELD, RELEASED = 0.6, 0.5


class Beat:
    """A thread that does nothing but look at the clock; *longest_s* is when it could not."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._stop:
            now = time.perf_counter()
            self.longest_s = max(self.longest_s, now - last)
            last = now

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating."""
        self._stop = True
        self._thread.join()


@contextmanager
def beating() -> Iterator[Beat]:
    """Beat during a block."""
    beat = Beat()
    beat.start()
    try:
        yield beat
    finally:
        beat.stop()


def _silence_share(call: Callable[[], object]) -> float:
    """Give the longest silence of another thread as a share of the call's duration."""
    with beating() as beat:
        began_s = time.perf_counter()
        call()
        lasted_s = time.perf_counter() - began_s
        # One more beat, so that a silence at the end is seen.
        beat.stop()
    return beat.longest_s / lasted_s


def test_rule_08_execute_keeps_the_lock(program: Program) -> None:
    """A heartbeat in another thread stops for as long as a model runs."""
    program.start(profiles=[{"model": "*", "fixed_ms": BUSY_MS}])
    loaded = program.load()
    assert _silence_share(loaded.execute) > HELD


def test_rule_08_computing_keeps_the_lock(program: Program) -> None:
    """It is the same where a model is really computed."""
    program.start()
    loaded = program.load(products_om(side=400, count=60))
    loaded.put(np.ones((400, 400), np.float32))
    assert _silence_share(loaded.execute) > HELD


def test_rule_08_computing_in_a_stream_releases_the_lock(program: Program) -> None:
    """The same model in a stream lets other threads run."""
    acl = program.start()
    loaded = program.load(products_om(side=400, count=60))
    loaded.put(np.ones((400, 400), np.float32))

    def run() -> None:
        assert loaded.execute_async() == 0
        assert acl.rt.synchronize_stream(program.stream) == 0

    assert _silence_share(run) < RELEASED


def test_rule_08_loading_keeps_the_lock(program: Program) -> None:
    """A heartbeat stops for as long as a model loads."""
    acl = program.start(profiles=[{"model": "*", "load_ms": BUSY_MS}])
    path = write(program.board.folder, doubling_om())
    loaded: list[int] = []
    assert _silence_share(lambda: loaded.append(acl.mdl.load_from_file(path)[0])) > HELD
    assert acl.mdl.unload(loaded[0]) == 0


def test_rule_08_synchronising_releases_the_lock(program: Program) -> None:
    """The way out: queue the run, and wait for it."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": BUSY_MS}])
    loaded = program.load()

    def run() -> None:
        assert loaded.execute_async() == 0
        assert acl.rt.synchronize_stream(program.stream) == 0

    assert _silence_share(run) < RELEASED


def test_rule_08_waiting_for_callbacks_releases_the_lock(program: Program) -> None:
    """process_report lets other threads run."""
    acl = program.start()
    share = []

    def wait(_: object) -> None:
        share.append(_silence_share(lambda: acl.rt.process_report(int(BUSY_MS))))

    ready = threading.Event()

    def subscribed(given: list[object]) -> None:
        ready.wait()
        wait(given)

    thread, _ = acl.util.start_thread(subscribed, [0])
    assert acl.rt.subscribe_report(thread, program.stream) == 0
    ready.set()
    assert acl.util.stop_thread(thread) == 0
    assert acl.rt.unsubscribe_report(thread, program.stream) == 0
    assert share[0] < RELEASED


@pytest.mark.parametrize("at", ["memcpy", "malloc"])
def test_rule_08_copies_and_allocations_keep_the_lock(program: Program, at: str) -> None:
    """A slow copy or allocation stops other threads as well."""
    fault = {"at": at, "action": "slow", "for_ms": BUSY_MS, "nth": 2}
    acl = program.start(faults=[fault])
    source = np.zeros(64, np.uint8)
    address, _ = acl.rt.malloc(64, 0)
    data = source.ctypes.data
    calls = {
        "memcpy": lambda: acl.rt.memcpy(address, 64, data, 64, 3),
        "malloc": lambda: acl.rt.free(acl.rt.malloc(64, 0)[0]),
    }
    if at == "memcpy":
        assert calls["memcpy"]() == 0
    assert _silence_share(calls[at]) > HELD
    assert acl.rt.free(address) == 0
