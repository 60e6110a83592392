"""Rule 19: callbacks run in the thread that subscribed, one list each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.emulator.programs import Program


class Poller:
    """A thread that processes reports until it is told to end."""

    def __init__(self, acl: Any) -> None:
        self._acl = acl
        self._end = False
        self.ready = threading.Event()
        self.codes: set[int] = set()
        self.thread, code = acl.util.start_thread(self._poll, ["unused"])
        assert code == 0

    def _poll(self, _: list[object]) -> None:
        self.ready.wait()
        while not self._end:
            self.codes.add(self._acl.rt.process_report(20))

    def stop(self) -> None:
        """End the thread."""
        self._end = True
        self.ready.set()
        assert self._acl.util.stop_thread(self.thread) == 0


@pytest.fixture
def poller(program: Program) -> Iterator[Poller]:
    """Give a thread that takes the callbacks of the program's stream."""
    acl = program.start()
    poller = Poller(acl)
    assert acl.rt.subscribe_report(poller.thread, program.stream) == 0
    poller.ready.set()
    yield poller
    poller.stop()
    assert acl.rt.unsubscribe_report(poller.thread, program.stream) == 0


def test_rule_19_a_callback_gets_its_list(program: Program, poller: Poller) -> None:
    """The function gets one argument, in the polling thread, before the stream goes on."""
    acl = program.acl
    calls: list[tuple[list[object], int]] = []

    def note(given: list[object]) -> None:
        calls.append((given, threading.get_ident()))

    assert acl.rt.launch_callback(note, [1, "two"], 1, program.stream) == 0
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert calls == [([1, "two"], poller.thread)]


def test_rule_19_exceptions_are_logged(
    program: Program, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that raises disturbs nobody."""
    acl = program.acl

    def fail(_: list[object]) -> None:
        raise ZeroDivisionError("of the callback")

    with caplog.at_level(logging.ERROR, logger="acl"):
        assert acl.rt.launch_callback(fail, [], 1, program.stream) == 0
        assert acl.rt.synchronize_stream(program.stream) == 0
    assert "of the callback" in caplog.text
    assert poller.codes <= {0, 100036}


def test_rule_19_callbacks_need_a_subscription(program: Program) -> None:
    """Without a thread there is 107015; a second thread is refused."""
    acl = program.start()
    assert acl.rt.launch_callback(print, [], 0, program.stream) == 107015
    assert acl.rt.unsubscribe_report(1, program.stream) == 100034
    assert acl.rt.subscribe_report(1, program.stream) == 0
    assert acl.rt.subscribe_report(2, program.stream) == 100033
    assert acl.rt.unsubscribe_report(2, program.stream) == 100035
    assert acl.rt.unsubscribe_report(1, program.stream) == 0
    assert acl.rt.process_report(10) == 100035
    assert acl.rt.process_report(0) == 100000


def test_rule_19_waiting_without_work_runs_out_of_time(program: Program) -> None:
    """process_report with nothing to do gives 100036."""
    acl = program.start()
    own = threading.get_ident()
    assert acl.rt.subscribe_report(own, program.stream) == 0
    assert acl.rt.process_report(1) == 100036
    assert acl.rt.unsubscribe_report(own, program.stream) == 0


def test_rule_19_threads_tell_of_exceptions(acl: Any) -> None:
    """stop_thread raises what the thread raised; None as arguments means no argument."""
    seen: list[object] = []
    thread, _ = acl.util.start_thread(lambda: seen.append("called"), None)
    assert acl.util.stop_thread(thread) == 0
    assert seen == ["called"]

    def fail(_: list[object]) -> None:
        raise KeyError("of the thread")

    thread, _ = acl.util.start_thread(fail, [1])
    with pytest.raises(RuntimeError, match="of the thread"):
        acl.util.stop_thread(thread)
