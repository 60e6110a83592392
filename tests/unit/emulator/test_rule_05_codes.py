"""Rule 5: failures are the codes of the runtime, in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import Board
from tests.unit.emulator.models import doubling_om, write
from tests.unit.emulator.programs import Program

GEARS: dict[str, Any] = {"out": (4, 4), "dynamic_batch": (1, 2, 4)}


def test_rule_05_init_and_finalize_count(board: Board, tmp_path: Path) -> None:
    """A second init is 100002, a second finalize 100037; references are counted."""
    acl = board.acl
    assert acl.init() == 0
    assert acl.init() == 100002
    other = tmp_path / "acl.json"
    other.write_text("{}", "utf-8")
    assert acl.init(str(other)) == 100000
    assert acl.finalize_reference() == (2, 0)
    assert acl.finalize() == 0
    assert acl.finalize() == 100037
    assert acl.finalize_reference() == (0, 100037)
    assert acl.init() == 0
    assert acl.finalize() == 0


def test_rule_05_a_missing_config_is_an_invalid_file(acl: Any) -> None:
    """A configuration that cannot be read is 100003."""
    assert acl.init("/nowhere/acl.json") == 100003


def test_rule_05_allocations(opened: Any) -> None:
    """No bytes and address 0 are 100000."""
    assert opened.rt.malloc(0, 0) == (0, 100000)
    assert opened.rt.malloc_host(0) == (0, 100000)
    assert opened.rt.free(0) == 100000


def test_rule_05_copies_are_checked_in_order(board: Board) -> None:
    """Each check of a copy comes before the ones that follow it."""
    acl = board.acl
    a, b = np.zeros(64, np.uint8), np.zeros(64, np.uint8)
    to, of = a.ctypes.data, b.ctypes.data
    assert acl.rt.memcpy(0, 0, 0, 0, 99) == 0
    assert acl.rt.memcpy(0, 0, of, 8, 99) == 100000
    assert acl.rt.memcpy(to, 0, of, 8, 6) == 100000
    assert acl.rt.memcpy(to, 0, of, 8, 3) == 107000
    assert acl.rt.memcpy(to, 4, of, 8, 3) == 107000
    assert acl.rt.memcpy(to, 64, of, 8, 3) == 107002
    board.open()
    assert acl.rt.memcpy(to, 64, to, 8, 3) == 0
    assert acl.rt.memcpy(to, 64, of, 64, 3) == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 145006), (b"fake om", 145006), (b"IMOD" + bytes(252), 145000)],
)
def test_rule_05_files_that_are_no_models(
    opened: Any, tmp_path: Path, content: bytes, code: int
) -> None:
    """What is too short or not an OM is 145006, a damaged one 145000."""
    path = write(tmp_path, content)
    assert opened.mdl.load_from_file(path) == (0, code)


def test_rule_05_a_truncated_model(opened: Any, tmp_path: Path) -> None:
    """An upload that ended early is 145006."""
    path = write(tmp_path, doubling_om()[:-10])
    assert opened.mdl.load_from_file(path) == (0, 145006)
    assert "header says" in opened.get_recent_err_msg()


def test_rule_05_a_missing_model(opened: Any) -> None:
    """A path that is not there is 145002, an empty one 100000."""
    assert opened.mdl.load_from_file("/nowhere/model.om") == (0, 145002)
    assert opened.mdl.load_from_file("") == (0, 100000)
    assert opened.mdl.query_size("/nowhere/model.om") == (0, 0, 145002)


def test_rule_05_a_model_that_is_not_loaded(program: Program) -> None:
    """A bad model id is 145003, before and after."""
    acl = program.start()
    desc = acl.mdl.create_desc()
    assert acl.mdl.get_desc(desc, 17) == 145003
    assert acl.mdl.unload(17) == 145003
    assert acl.mdl.execute(17, 0, 0) == 145003
    assert acl.mdl.destroy_desc(desc) == 0


def test_rule_05_a_wrong_number_of_buffers(program: Program) -> None:
    """Hidden inputs count; too few buffers are 145000."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    short = acl.mdl.create_dataset()
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 0)
    acl.mdl.add_dataset_buffer(short, buffer)
    assert acl.mdl.execute(loaded.number, short, loaded.outputs) == 145000
    assert "E13025" in acl.get_recent_err_msg()
    assert acl.mdl.destroy_dataset(short) == 0


def test_rule_05_wrong_gears(program: Program) -> None:
    """0 is 100000, a short buffer 145012, no gear 145013."""
    acl = program.start()
    loaded = program.load(doubling_om((-1, 4), **GEARS))
    assert loaded.choose_batch(0) == 100000
    assert loaded.choose_batch(3) == 145013
    assert acl.mdl.set_dynamic_batch_size(loaded.number, loaded.inputs, 9, 2) == 100000
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 1)
    address = acl.get_data_buffer_addr(buffer)
    assert acl.update_data_buffer(buffer, address, 2) == 0
    assert loaded.choose_batch(2) == 145012
    assert acl.update_data_buffer(buffer, address, 4) == 0
    static = program.load()
    assert acl.mdl.set_dynamic_batch_size(static.number, static.inputs, 0, 1) == 145013


def test_rule_05_the_recent_error_is_the_thread_s_own_and_read_once(opened: Any) -> None:
    """Another thread sees nothing of it, and a second read neither."""
    seen: list[object] = []
    assert opened.rt.malloc(0, 0)[1] == 100000
    thread, _ = opened.util.start_thread(lambda _: seen.append(opened.get_recent_err_msg()), [1])
    assert opened.util.stop_thread(thread) == 0
    assert seen == [None]
    assert "0 bytes" in opened.get_recent_err_msg()
    assert opened.get_recent_err_msg() is None
    assert opened.rt.peek_at_last_error(0) == 100000
    assert opened.rt.get_last_error(0) == 100000
    assert opened.rt.get_last_error(0) == 0
