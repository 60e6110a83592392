"""Rule 4: every handle is of one kind, and is given back once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.emulator.board import Board, misuse
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Program

MAKERS = {
    "stream": ("rt.create_stream", (), "rt.destroy_stream"),
    "event": ("rt.create_event", (), "rt.destroy_event"),
    "context": ("rt.create_context", (0,), "rt.destroy_context"),
    "desc": ("mdl.create_desc", (), "mdl.destroy_desc"),
    "dataset": ("mdl.create_dataset", (), "mdl.destroy_dataset"),
    "buffer": ("create_data_buffer", (0, 0), "destroy_data_buffer"),
    "aipp": ("mdl.create_aipp", (1,), "mdl.destroy_aipp"),
    "config": ("mdl.create_config_handle", (), "mdl.destroy_config_handle"),
    "malloc": ("rt.malloc", (64, 0), "rt.free"),
    "malloc_host": ("rt.malloc_host", (64,), "rt.free_host"),
    "dvpp": ("media.dvpp_malloc", (64,), "media.dvpp_free"),
    "pic desc": ("media.dvpp_create_pic_desc", (), "media.dvpp_destroy_pic_desc"),
    "channel desc": ("media.dvpp_create_channel_desc", (), "media.dvpp_destroy_channel_desc"),
}


def _call(acl: Any, name: str, *arguments: object) -> Any:
    found = acl
    for word in name.split("."):
        found = getattr(found, word)
    return found(*arguments)


def _make(acl: Any, kind: str) -> int:
    name, arguments, _ = MAKERS[kind]
    made = _call(acl, name, *arguments)
    handle: int = made[0] if isinstance(made, tuple) else made
    assert handle != 0
    return handle


@pytest.mark.parametrize("kind", MAKERS)
def test_rule_04_a_second_destruction_is_a_finding(opened: Any, kind: str) -> None:
    """Destroying a handle twice names the place of the first time."""
    handle = _make(opened, kind)
    destroy = MAKERS[kind][2]
    assert _call(opened, destroy, handle) == 0
    if kind == "context":
        assert opened.rt.set_device(0) == 0
    with pytest.raises(misuse(), match=r"already (destroyed|freed) at .*test_rule_04"):
        _call(opened, destroy, handle)


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "dataset"])
def test_rule_04_a_handle_of_another_kind_is_a_finding(opened: Any, kind: str) -> None:
    """A dataset passed as something else is told apart."""
    dataset = opened.mdl.create_dataset()
    with pytest.raises(misuse(), match=f"{dataset:#x}"):
        _call(opened, MAKERS[kind][2], dataset)


@pytest.mark.parametrize("kind", MAKERS)
def test_rule_04_lenient_destruction_gives_a_code(board: Board, kind: str) -> None:
    """Without strictness a misuse is written down, and answered with a code."""
    acl = board.open(strict=False)
    handle = _make(acl, kind)
    destroy = MAKERS[kind][2]
    assert _call(acl, destroy, handle) == 0
    if kind == "context":
        assert acl.rt.set_device(0) == 0
    assert _call(acl, destroy, handle) == 100000
    assert len(board.findings) == 1
    assert _call(acl, destroy, 0) == 100000
    assert len(board.findings) == 1


@pytest.mark.parametrize(
    ("made", "freed"),
    [
        ("malloc", "rt.free_host"),
        ("malloc", "media.dvpp_free"),
        ("malloc_host", "rt.free"),
        ("dvpp", "rt.free"),
    ],
)
def test_rule_04_each_allocation_has_its_own_release(opened: Any, made: str, freed: str) -> None:
    """Memory goes back the way it came."""
    address = _make(opened, made)
    with pytest.raises(misuse(), match=f"is {made} memory"):
        _call(opened, freed, address)
    assert _call(opened, MAKERS[made][2], address) == 0


def test_rule_04_an_interior_pointer_cannot_be_freed(opened: Any) -> None:
    """Only the address that was given out can be freed."""
    address = _make(opened, "malloc")
    with pytest.raises(misuse(), match="lies inside a block"):
        opened.rt.free(address + 8)
    assert opened.rt.free(address) == 0


def test_rule_04_freed_memory_is_recognised(opened: Any) -> None:
    """A copy out of freed memory names the place where it was freed."""
    freed, kept = _make(opened, "malloc"), _make(opened, "malloc")
    assert opened.rt.free(freed) == 0
    with pytest.raises(misuse(), match=r"was freed at .*test_rule_04"):
        opened.rt.memcpy(kept, 64, freed, 64, 3)
    assert opened.rt.free(kept) == 0


def test_rule_04_memory_of_queued_work_cannot_be_freed(program: Program) -> None:
    """Freeing what a stream still needs is a finding."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": 300}])
    loaded = program.load()
    assert loaded.execute_async() == 0
    with pytest.raises(misuse(), match="still used by work in a stream"):
        acl.rt.free(loaded.address(loaded.inputs))


def test_rule_04_a_stream_with_work_cannot_be_destroyed(program: Program) -> None:
    """A stream is synchronised before it goes."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": 300}])
    assert program.load().execute_async() == 0
    with pytest.raises(misuse(), match="not done"):
        acl.rt.destroy_stream(program.stream)


def test_rule_04_a_running_model_cannot_be_unloaded(program: Program) -> None:
    """A model is unloaded after its last run."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": 300}])
    loaded = program.load()
    assert loaded.execute_async() == 0
    with pytest.raises(misuse(), match="runs in a stream"):
        acl.mdl.unload(loaded.number)


def test_rule_04_a_model_runs_in_one_stream_at_a_time(program: Program) -> None:
    """Two streams need the model loaded twice."""
    acl = program.start(profiles=[{"model": "*", "fixed_ms": 300}])
    loaded = program.load(doubling_om())
    other, _ = acl.rt.create_stream()
    assert loaded.execute_async() == 0
    with pytest.raises(misuse(), match="another stream"):
        acl.mdl.execute_async(loaded.number, loaded.inputs, loaded.outputs, other)


def test_rule_04_a_buffer_may_go_before_its_dataset(program: Program) -> None:
    """Destroying a buffer that a dataset still lists is legal; running that dataset is not."""
    acl = program.start()
    loaded = program.load()
    buffer = acl.mdl.get_dataset_buffer(loaded.inputs, 0)
    acl.rt.free(acl.get_data_buffer_addr(buffer))
    assert acl.destroy_data_buffer(buffer) == 0
    assert program.board.findings == []
    with pytest.raises(misuse(), match="already destroyed"):
        loaded.execute()
