"""What the return codes of pyACL mean: name, cause, fix, and what has to happen next.

The facts are those of CANN's error code pages and headers; causes and fixes say what was seen in
the field. docs/npu.md prints this table for operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a code says about who or what is at fault."""

    #: The device, or this process's hold on it, is gone: only a new process may get it back.
    DEVICE = "device"
    #: The model file, or what it was given, cannot be run; the device is well.
    MODEL = "model"
    #: The interface was called in a wrong way: a defect of gw.
    DEFECT = "defect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One return code. *cause* and *fix* are clauses for an operator."""

    number: int
    name: str
    meaning: Meaning
    cause: str
    fix: str


_REPORT = "report it as a defect of gw, with the dispatcher's log"
_REBOOT = "gw starts the device process again; if it recurs, reset the NPU or reboot the board"
_ALIGN = "use one version of driver, firmware and CANN, and convert the model with that CANN's ATC"
_DRIVER = (
    "see that npu-smi info works, that the container has the device nodes and runs as uid 1000, "
    "and that no other container holds the device"
)
_MEMORY = (
    "load fewer models (GW_DEVICE_MEMORY_MB), convert with fewer or smaller gears, "
    "or end the other process that holds NPU memory"
)
_AICPU = (
    "mount the AICPU libraries and kernels, start dmp_daemon and slogd, and use one version of CANN"
)

_DEVICE, _MODEL, _DEFECT = Meaning.DEVICE, Meaning.MODEL, Meaning.DEFECT

_ROWS: tuple[tuple[int, str, Meaning, str, str], ...] = (
    (100000, "INVALID_PARAM", _DEFECT, "a handle, size or enumeration is invalid", _REPORT),
    (100001, "UNINITIALIZE", _DEFECT, "acl.init was not called", _REPORT),
    (100002, "REPEAT_INITIALIZE", _DEFECT, "acl.init was called twice", "none needed: gw goes on"),
    (100003, "INVALID_FILE", _MODEL, "a configuration file is missing", "reinstall CANN"),
    (
        100019,
        "MODEL_NOT_DYNAMIC",
        _MODEL,
        "the model has no gears where its file says so",
        "convert the model again",
    ),
    (100033, "REPEAT_SUBSCRIBE", _DEFECT, "a stream was subscribed twice", _REPORT),
    (100034, "STREAM_NOT_SUBSCRIBE", _DEFECT, "a stream was not subscribed", _REPORT),
    (100035, "THREAD_NOT_SUBSCRIBE", _DEFECT, "a thread was not subscribed", _REPORT),
    (100036, "WAIT_CALLBACK_TIMEOUT", _DEFECT, "no callback came in time", _REPORT),
    (100037, "REPEAT_FINALIZE", _DEFECT, "acl.finalize was called twice", _REPORT),
    (
        100039,
        "COMPILING_STUB_MODE",
        _DEVICE,
        "the libraries are the stubs that are meant for compiling",
        "remove the devlib and stub folders from LD_LIBRARY_PATH",
    ),
    (107000, "RT_PARAM_INVALID", _DEFECT, "a copy is larger than its target", _REPORT),
    (
        107001,
        "RT_INVALID_DEVICEID",
        _DEVICE,
        "there is no such device here",
        "check ASCEND_VISIBLE_DEVICES and ASCEND_RT_VISIBLE_DEVICES: gw uses the first device",
    ),
    (107002, "RT_CONTEXT_NULL", _DEFECT, "the thread has no context", _REPORT),
    (107003, "RT_STREAM_CONTEXT", _DEFECT, "the stream belongs to another context", _REPORT),
    (107004, "RT_MODEL_CONTEXT", _DEFECT, "the model belongs to another context", _REPORT),
    (107008, "RT_ADDR_UNALIGNED", _DEFECT, "an asynchronous copy is not aligned", _REPORT),
    (107011, "RT_STREAM_SUBSCRIBE", _DEFECT, "a stream is already subscribed", _REPORT),
    (107012, "RT_THREAD_SUBSCRIBE", _DEFECT, "a thread is already subscribed", _REPORT),
    (107015, "RT_STREAM_NO_CB_REG", _DEFECT, "a callback has no thread", _REPORT),
    (107017, "RT_INVALID_HANDLE", _DEFECT, "a handle was used after its end", _REPORT),
    (107019, "RT_WAIT_TIMEOUT", _DEVICE, "the device did not answer in time", _REBOOT),
    (107020, "RT_TASK_TIMEOUT", _DEVICE, "a task did not end in time", _REBOOT),
    (107022, "RT_DEVICE_TASK_ABORT", _DEVICE, "the device's tasks are being aborted", _REBOOT),
    (107023, "RT_STREAM_ABORT", _DEVICE, "the stream's tasks are being aborted", _REBOOT),
    (
        145000,
        "GE_PARAM_INVALID",
        _MODEL,
        "the model file is broken, or takes other buffers than it says",
        "convert the model again and copy it whole",
    ),
    (145001, "GE_EXEC_NOT_INIT", _DEFECT, "acl.init was not called", _REPORT),
    (
        145002,
        "GE_MODEL_PATH_INVALID",
        _MODEL,
        "the model file is missing or cannot be read by this user",
        "check the mount, and that uid 1000 may read the file",
    ),
    (145003, "GE_MODEL_ID_INVALID", _DEFECT, "the model was unloaded or never loaded", _REPORT),
    (
        145006,
        "GE_MODEL_DATA_SIZE_INVALID",
        _MODEL,
        "the model file is truncated or no OM",
        "copy it again and compare checksums",
    ),
    (145007, "GE_MODEL_ADDR_INVALID", _DEFECT, "the model's memory is invalid", _REPORT),
    (145009, "GE_LOAD_MODEL_REPEATED", _DEFECT, "the model was loaded twice", _REPORT),
    (145011, "GE_DYNAMIC_INPUT_ADDR_INVALID", _DEFECT, "the gear has no buffer", _REPORT),
    (145012, "GE_DYNAMIC_INPUT_LENGTH_INVALID", _DEFECT, "the gear's buffer is short", _REPORT),
    (
        145013,
        "GE_DYNAMIC_BATCH_SIZE_INVALID",
        _MODEL,
        "the batch size is none of the model's gears",
        "convert the model again: its file lists other gears than it has",
    ),
    (145014, "GE_AIPP_BATCH_EMPTY", _DEFECT, "AIPP was set without a batch", _REPORT),
    (
        145015,
        "GE_AIPP_NOT_EXIST",
        _MODEL,
        "the model has no AIPP where its file says so",
        "convert the model again",
    ),
    (
        145016,
        "GE_AIPP_MODE_INVALID",
        _MODEL,
        "the model's AIPP is static where its file says dynamic",
        "convert the model again",
    ),
    (148049, "INVALID_OPP_PATH", _MODEL, "the operator package is not found", "source set_env.sh"),
    (148051, "RELATIVE_RESOURCE_NOT_CLEARED", _DEFECT, "DVPP was closed out of order", _REPORT),
    (
        148052,
        "UNSUPPORTED_JPEG",
        _MODEL,
        "DVPP cannot decode this JPEG (progressive or arithmetic)",
        "none needed: gw decodes on the CPU",
    ),
    (200000, "BAD_ALLOC", _MODEL, "memory ran out on the host side", _MEMORY),
    (200001, "FEATURE_UNSUPPORTED", _MODEL, "this chip or kind of model cannot do that", _ALIGN),
    (207000, "RT_FEATURE_NOT_SUPPORT", _MODEL, "this chip or driver cannot do that", _ALIGN),
    (207001, "RT_MEMORY_ALLOCATION", _MODEL, "the NPU has no memory left for it", _MEMORY),
    (207004, "RT_NO_DEVICE", _DEVICE, "the driver is down or the device node absent", _DRIVER),
    (207005, "RT_RESOURCE_ALLOC_FAIL", _DEVICE, "the driver ran out of a resource", _REBOOT),
    (207006, "RT_NO_PERMISSION", _DEVICE, "this user may not use the device", _DRIVER),
    (207007, "RT_NO_EVENT_RESOURCE", _DEVICE, "the device ran out of events", _REBOOT),
    (207008, "RT_NO_STREAM_RESOURCE", _DEVICE, "the device ran out of streams", _REBOOT),
    (207018, "RT_DEVICE_OOM", _MODEL, "the NPU has no memory left for it", _MEMORY),
    (500000, "INTERNAL_ERROR", _MODEL, "CANN failed inside", _ALIGN),
    (500001, "FAILURE", _MODEL, "CANN failed inside", _ALIGN),
    (
        500002,
        "GE_FAILURE",
        _MODEL,
        "the model was built for another chip, or by a newer CANN, or versions are mixed",
        "convert it for this chip (atc --soc_version) with a CANN not newer than this one",
    ),
    (500003, "RT_FAILURE", _MODEL, "the CANN runtime failed inside", _ALIGN),
    (500004, "DRV_FAILURE", _DEVICE, "the driver failed inside", _DRIVER),
    (500005, "PROFILING_FAILURE", _MODEL, "the profiler failed", "switch profiling off"),
    (
        507008,
        "RT_SOC_VERSION",
        _MODEL,
        "the model was built for another chip, or the driver cannot tell which one this is",
        "convert it with atc --soc_version of this chip; see that npu-smi info works",
    ),
    (
        507009,
        "RT_TASK_TYPE_NOT_SUPPORT",
        _MODEL,
        "the model holds tasks that this driver does not know",
        _ALIGN,
    ),
    (507010, "RT_LOST_HEARTBEAT", _DEVICE, "the NPU died or hangs", _REBOOT),
    (
        507011,
        "RT_MODEL_EXECUTE",
        _MODEL,
        "an operator of the model failed on this batch",
        "look for aicore errors in ~/ascend/log; if every batch fails, " + _ALIGN,
    ),
    (507014, "RT_AICORE_TIMEOUT", _DEVICE, "an operator hung on the AI Core", _REBOOT),
    (507015, "RT_AICORE_EXCEPTION", _DEVICE, "an operator crashed the AI Core", _REBOOT),
    (507017, "RT_AICPU_TIMEOUT", _DEVICE, "an operator hung on the AI CPU", _AICPU),
    (507018, "RT_AICPU_EXCEPTION", _DEVICE, "an operator crashed the AI CPU", _AICPU),
    (507033, "RT_DEV_SETUP_ERROR", _DEVICE, "the device cannot be opened", _DRIVER),
    (507046, "RT_STREAM_SYNC_TIMEOUT", _DEVICE, "the batch did not end in time", _REBOOT),
    (507047, "RT_EVENT_SYNC_TIMEOUT", _DEVICE, "an event did not come in time", _REBOOT),
    (507899, "RT_DRV_INTERNAL_ERROR", _DEVICE, "a call into the driver failed", _DRIVER),
    (507900, "RT_AICPU_INTERNAL_ERROR", _DEVICE, "the AI CPU failed inside", _AICPU),
    (507901, "RT_SOCKET_CLOSE", _DEVICE, "the link to the device was cut", _REBOOT),
    (545601, "GE_EXEC_TIMEOUT", _DEVICE, "the model did not end in time", _REBOOT),
    (545602, "GE_EXEC_TIMEOUT_2", _DEVICE, "the model did not end in time", _REBOOT),
)

#: Every code that is known, by its number.
CODES: Mapping[int, Code] = {
    number: Code(number=number, name=name, meaning=meaning, cause=cause, fix=fix)
    for number, name, meaning, cause, fix in _ROWS
}

SUCCESS = 0
REPEAT_INITIALIZE = 100002

# Families of codes that are not in the table, by their first digits.
_FAMILIES: tuple[tuple[range, Meaning], ...] = (
    (range(100000, 145000), _DEFECT),
    (range(507000, 508000), _DEVICE),
)


def look_up(number: int) -> Code:
    """Give the code; one that is not in the table is told by its family."""
    known = CODES.get(number)
    if known is not None:
        return known
    meaning = next((meaning for family, meaning in _FAMILIES if number in family), _MODEL)
    return Code(
        number=number,
        name="unknown",
        meaning=meaning,
        cause="a code that gw does not know",
        fix="look it up in CANN's error code pages, and in ~/ascend/log",
    )
