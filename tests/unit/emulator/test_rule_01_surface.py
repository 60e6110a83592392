"""Rule 1: the names of the binding and nothing else, positional arguments, strict types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.emulator.board import run_script

TOP = {
    *("app_log", "create_data_buffer", "create_tensor_desc", "data_type_size"),
    *("destroy_data_buffer", "destroy_tensor_desc", "finalize", "finalize_reference"),
    *("get_cann_attribute", "get_cann_attribute_list", "get_cann_version"),
    *("get_data_buffer_addr", "get_data_buffer_size", "get_data_buffer_size_v2"),
    *("get_device_capability", "get_recent_err_msg", "get_soc_name", "get_version", "init"),
    *("update_data_buffer", "himpi", "mdl", "media", "rt", "util"),
}
RT = {
    *("set_device", "reset_device", "reset_device_force", "get_device", "get_device_count"),
    *("get_run_mode", "get_device_utilization_rate", "query_device_status", "create_context"),
    *("set_context", "get_context", "destroy_context", "ctx_get_current_default_stream"),
    *("create_stream", "create_stream_with_config", "destroy_stream", "destroy_stream_force"),
    *("synchronize_stream", "synchronize_stream_with_timeout", "stream_query"),
    *("synchronize_device", "synchronize_device_with_timeout", "create_event", "record_event"),
    *("query_event", "synchronize_event", "synchronize_event_with_timeout"),
    *("event_elapsed_time", "stream_wait_event", "destroy_event", "malloc", "malloc_cached"),
    *("mem_flush", "mem_invalidate", "free", "malloc_host", "free_host", "memset", "memcpy"),
    *("memcpy_async", "get_mem_info", "subscribe_report", "unsubscribe_report"),
    *("process_report", "launch_callback", "set_op_wait_timeout", "set_op_execute_time_out"),
    *("peek_at_last_error", "get_last_error"),
}
UTIL = {
    *("numpy_to_ptr", "numpy_contiguous_to_ptr", "ptr_to_numpy", "bytes_to_ptr"),
    *("ptr_to_bytes", "start_thread", "stop_thread"),
}


def _public(module: Any) -> set[str]:
    return {name for name in dir(module) if not name.startswith("_")}


def test_rule_01_the_module_has_the_names_of_the_binding(acl: Any) -> None:
    """No name is missing, and none is added."""
    assert _public(acl) == TOP
    assert _public(acl.rt) == RT
    assert _public(acl.util) == UTIL


def test_rule_01_a_fresh_import_shows_no_other_names(tmp_path: Path) -> None:
    """An import in a process of its own gives the same names."""
    done = run_script(
        "import acl; print(*[name for name in dir(acl) if not name.startswith('_')])", tmp_path
    )
    assert set(done.stdout.split()) == TOP, done.stderr


@pytest.mark.parametrize("name", ["ACL_SUCCESS", "ACL_MEMCPY_HOST_TO_DEVICE", "ACL_HOST", "op"])
def test_rule_01_there_are_no_constants(acl: Any, name: str) -> None:
    """What the binding does not have is an AttributeError."""
    with pytest.raises(AttributeError):
        getattr(acl, name)


@pytest.mark.parametrize("name", ["get_input", "get_output", "load", "run"])
def test_rule_01_invented_calls_do_not_exist(acl: Any, name: str) -> None:
    """Calls that samples on the web invent are an AttributeError."""
    with pytest.raises(AttributeError):
        getattr(acl.mdl, name)


def test_rule_01_every_call_refuses_keywords(acl: Any) -> None:
    """Arguments are positional only, in every call of every module."""
    for module in (acl, acl.rt, acl.mdl, acl.util, acl.media, acl.himpi):
        for name in _public(module):
            call = getattr(module, name)
            if callable(call):
                with pytest.raises(TypeError):
                    call(surely_no_parameter=1)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "too few"),
        ((64,), "too few"),
        ((64, 0, 0), "too many"),
        ((64.0, 0), "a float"),
        (("64", 0), "a str"),
        ((None, 0), "None"),
        ((np.int64(64), 0), "a numpy integer for an unsigned long"),
    ],
)
def test_rule_01_wrong_arguments_are_type_errors(
    opened: Any, arguments: tuple[object, ...], why: str
) -> None:
    """A wrong count or type is a TypeError that names the call."""
    with pytest.raises(TypeError, match=r"acl\.rt\.malloc args parse failed"):
        opened.rt.malloc(*arguments)


def test_rule_01_a_bool_is_an_int(opened: Any) -> None:
    """True counts as 1, as in C."""
    address, code = opened.rt.malloc(True, False)
    assert code == 0
    assert opened.rt.free(address) == 0


def test_rule_01_an_enumeration_takes_what_has_an_index(opened: Any) -> None:
    """A C int takes a numpy integer."""
    address, code = opened.rt.malloc(64, np.int32(2))
    assert code == 0
    assert opened.rt.free(address) == 0


@pytest.mark.parametrize("value", [b"text", "text", 3, None, bytearray(4)])
def test_rule_01_numpy_to_ptr_takes_arrays_only(acl: Any, value: object) -> None:
    """Anything but an array is a ValueError."""
    with pytest.raises(ValueError, match="ndarray"):
        acl.util.numpy_to_ptr(value)


@pytest.mark.parametrize("value", ["text", 3, None, bytearray(4), memoryview(b"text")])
def test_rule_01_bytes_to_ptr_takes_bytes_only(acl: Any, value: object) -> None:
    """Anything but bytes is a ValueError."""
    with pytest.raises(ValueError, match="bytes"):
        acl.util.bytes_to_ptr(value)
