"""Rule 6: init, device, use, reset, finalize; contexts belong to threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.emulator.board import Board, misuse
from tests.unit.emulator.programs import Program


def _in_thread(acl: Any, work: Callable[[], object]) -> object:
    results: list[object] = []
    thread, code = acl.util.start_thread(lambda _: results.append(work()), [0])
    assert code == 0
    assert acl.util.stop_thread(thread) == 0
    return results[0]


def test_rule_06_calls_before_init_fail(board: Board) -> None:
    """The runtime answers 100001, the graph engine 145001."""
    acl = board.acl
    assert acl.rt.set_device(0) == 100001
    assert acl.mdl.load_from_file("x")[1] == 145001
    assert acl.mdl.unload(1) == 145001


def test_rule_06_calls_without_a_device_fail(board: Board) -> None:
    """Nothing that needs a context works before set_device."""
    acl = board.acl
    assert acl.init() == 0
    assert acl.rt.malloc(64, 0) == (0, 107002)
    assert acl.rt.create_stream() == (0, 107002)
    assert acl.rt.get_context() == (0, 107002)
    assert acl.get_soc_name() is None
    assert acl.rt.set_device(7) == 107001
    assert acl.rt.set_device(-1) == 107001


def test_rule_06_resets_balance_sets(opened: Any) -> None:
    """As many reset_device as set_device; one more is an error."""
    assert opened.rt.set_device(0) == 0
    assert opened.rt.reset_device(0) == 0
    assert opened.rt.get_device() == (0, 0)
    assert opened.rt.reset_device(0) == 0
    assert opened.rt.get_device()[1] == 107002
    assert opened.rt.reset_device(0) == 107000


def test_rule_06_the_default_context_is_shared(opened: Any) -> None:
    """set_device in another thread gives the same context; without it there is none."""
    own, _ = opened.rt.get_context()
    assert _in_thread(opened, opened.rt.get_context) == (0, 107002)

    def work() -> object:
        opened.rt.set_device(0)
        found = opened.rt.get_context()
        opened.rt.reset_device(0)
        return found

    assert _in_thread(opened, work) == (own, 0)


def test_rule_06_a_new_context_is_current_in_its_thread(opened: Any) -> None:
    """create_context switches; set_context switches back, and into other threads."""
    default, _ = opened.rt.get_context()
    made, code = opened.rt.create_context(0)
    assert code == 0
    assert opened.rt.get_context() == (made, 0)

    def work() -> object:
        assert opened.rt.set_context(made) == 0
        return opened.rt.get_context()

    assert _in_thread(opened, work) == (made, 0)
    assert opened.rt.set_context(default) == 0
    assert opened.rt.destroy_context(made) == 0
    assert opened.rt.get_context() == (default, 0)
    assert opened.rt.set_context(0) == 100000
    assert opened.rt.destroy_context(default) == 100000


def test_rule_06_a_model_stays_in_its_context(program: Program) -> None:
    """Loading, running and unloading happen in one context."""
    acl = program.start()
    loaded = program.load()
    other, _ = acl.rt.create_context(0)
    assert loaded.execute() == 107004
    assert acl.mdl.unload(loaded.number) == 107004
    assert acl.rt.destroy_context(other) == 0
    assert loaded.execute() == 107002
    assert acl.rt.set_context(program.context) == 0
    assert loaded.execute() == 0


def test_rule_06_a_stream_stays_in_its_context(program: Program) -> None:
    """Work cannot be queued in another context's stream."""
    acl = program.start()
    foreign = program.stream
    a, _ = acl.rt.malloc(64, 0)
    b, _ = acl.rt.malloc(64, 0)
    other, _ = acl.rt.create_context(0)
    assert acl.rt.memcpy_async(a, 64, b, 64, 3, foreign) == 107003
    assert acl.rt.destroy_context(other) == 0
    assert acl.rt.set_context(program.context) == 0
    assert acl.rt.free(a) == acl.rt.free(b) == 0


def test_rule_06_a_context_goes_after_what_is_in_it(program: Program) -> None:
    """Destroying a context with a live stream is a finding."""
    acl = program.start()
    with pytest.raises(misuse(), match="still live in it: stream"):
        acl.rt.destroy_context(program.context)


def test_rule_06_nothing_works_after_finalize(program: Program) -> None:
    """After the end the codes are those of before the beginning."""
    acl = program.start()
    program.close()
    program.context = 0
    assert acl.rt.malloc(64, 0) == (0, 100001)
    assert acl.rt.set_device(0) == 100001
