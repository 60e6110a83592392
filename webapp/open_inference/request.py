"""An infer request, taken apart: JSON, then the raw tensors in the order they stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.jobs.job import Priority
from pipeline.models.tensors import DATATYPES
from webapp.refusals import InvalidField
from webapp.uploads import parse_json_object

#: The datatype of pictures, besides those of tensors.
BYTES = "BYTES"

#: More dimensions no model takes.
_DIMENSIONS_MAX = 16
_DIMENSION_MAX = 2**31

_REFUSED_PARAMETERS = {
    "sequence_id": "no model here keeps a state from one request to the next",
    "shared_memory_region": "shared memory is not taken: send the values themselves",
}

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedOutput:
    """One output as it is asked for: *classes* is how many of the best, 0 for the values."""

    name: str
    is_binary: bool
    classes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InferInput:
    """The request's one input: either *values* of JSON, or *binary*."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any = field(default=None, repr=False)
    binary: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """A request as it was sent, not yet compared with its model.

    *tensor* is None in the raw form, where *raw* is the model's one input without a description.
    *outputs* is None where all are wanted. *timeout_s* is 0 for none.
    """

    request_id: str = ""
    tensor: InferInput | None = None
    raw: bytes = field(default=b"", repr=False)
    outputs: tuple[RequestedOutput, ...] | None = None
    is_binary: bool = False
    priority: Priority = Priority.NORMAL
    timeout_s: float = 0.0
    keeps_outputs: bool = False


def parse_infer_request(body: bytes, *, header_bytes: int | None, json_max: int) -> InferRequest:
    """Take a body apart; raises InvalidRequest.

    *header_bytes* is how much of it is JSON: None for all, 0 for the raw form.
    """
    if header_bytes == 0:
        return InferRequest(raw=body, is_binary=True)
    size_bytes = len(body) if header_bytes is None else header_bytes
    if size_bytes > len(body):
        raise InvalidField(
            f"Inference-Header-Content-Length is {size_bytes}, and the body has {len(body)} bytes",
            field="Inference-Header-Content-Length",
        )
    if size_bytes > json_max:
        raise InvalidField(
            f"the JSON has {size_bytes} bytes, and at most {json_max} are taken:"
            " send tensors as binary",
            field="body",
        )
    document = parse_json_object(body[:size_bytes])
    binary = b"" if header_bytes is None else body[size_bytes:]
    parameters = _object(document, "parameters")
    _refuse(parameters)
    is_binary = _flag(parameters, "binary_data_output")
    return InferRequest(
        request_id=_text(document, "id"),
        tensor=_input(document, binary),
        outputs=_outputs(document, is_binary=is_binary),
        is_binary=is_binary,
        priority=_priority(parameters.get("priority", 0)),
        timeout_s=_timeout_s(parameters.get("timeout", 0)),
        keeps_outputs=_flag(parameters, "keep_outputs"),
    )


def _input(document: Mapping[str, Any], binary: bytes) -> InferInput:
    inputs = document.get("inputs")
    if not isinstance(inputs, list):
        raise InvalidField("Unable to parse 'inputs': there is no such list", field="inputs")
    if len(inputs) != 1:
        raise InvalidField(f"expected 1 input but got {len(inputs)} inputs", field="inputs")
    (tensor,) = inputs
    if not isinstance(tensor, dict):
        raise InvalidField("Unable to parse 'inputs': each must be an object", field="inputs")
    name = _text(tensor, "name")
    parameters = _object(tensor, "parameters")
    _refuse(parameters)
    datatype, shape = _text(tensor, "datatype"), _shape(tensor.get("shape"))
    if datatype not in DATATYPES and datatype != BYTES:
        raise InvalidField(
            f"inference input {name!r} has the unknown data-type {datatype!r}",
            field=name,
            allowed=(*DATATYPES, BYTES),
        )
    if "data" in tensor:
        if "binary_data_size" in parameters or binary:
            raise InvalidField(f"input {name!r} is given as JSON and as binary", field=name)
        return InferInput(name=name, datatype=datatype, shape=shape, values=tensor["data"])
    _check_size(parameters.get("binary_data_size"), binary, datatype=datatype, name=name)
    return InferInput(name=name, datatype=datatype, shape=shape, binary=binary)


def _check_size(size: Any, binary: bytes, *, datatype: str, name: str) -> None:
    """Compare the announced size with what is there.

    Of BYTES it is not believed: some clients count the elements' lengths, and some do not.
    """
    is_count = isinstance(size, int) and not isinstance(size, bool)
    if size is not None and not is_count:
        raise InvalidField("binary_data_size must be a whole number", field=name)
    if size is None and not binary:
        raise InvalidField(f"input {name!r} has neither 'data' nor binary data", field=name)
    if size is not None and datatype != BYTES and size != len(binary):
        raise InvalidField(
            f"input {name!r} announces {size} bytes of binary data, and {len(binary)} came",
            field=name,
        )


def _outputs(document: Mapping[str, Any], *, is_binary: bool) -> tuple[RequestedOutput, ...] | None:
    outputs = document.get("outputs")
    if outputs is None or outputs == []:
        return None
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise InvalidField(
            "Unable to parse 'outputs': it must be a list of objects", field="outputs"
        )
    wanted = []
    for output in outputs:
        name, parameters = _text(output, "name"), _object(output, "parameters")
        _refuse(parameters)
        wanted.append(
            RequestedOutput(
                name=name,
                is_binary=_flag(parameters, "binary_data", default=is_binary),
                classes=_count(parameters.get("classification", 0), "classification"),
            )
        )
    if len({each.name for each in wanted}) < len(wanted):
        raise InvalidField("an output is asked for twice", field="outputs")
    return tuple(wanted)


def _shape(shape: Any) -> tuple[int, ...]:
    is_shape = isinstance(shape, list) and 0 < len(shape) <= _DIMENSIONS_MAX
    if not is_shape or not all(type(each) is int and 0 < each < _DIMENSION_MAX for each in shape):
        raise InvalidField(
            "Unable to parse 'shape': it must be a list of whole numbers above 0", field="shape"
        )
    return tuple(shape)


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidField(f"Unable to parse {name!r}: it must be an object", field=name)
    return value


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "" if name == "id" else None)
    if not isinstance(value, str):
        raise InvalidField(f"Unable to parse {name!r}: it must be a string", field=name)
    return value


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidField(f"parameter {name!r} must be true or false", field=name)
    return value


def _count(value: Any, name: str) -> int:
    # A client may send it as text.
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if type(value) is not int or value < 0:
        raise InvalidField(f"parameter {name!r} must be a whole number of 0 or more", field=name)
    return value


def _priority(value: Any) -> Priority:
    """Give the platform's word: 0 is the default, 1 the most urgent."""
    match _count(value, "priority"):
        case 0 | 2:
            return Priority.NORMAL
        case 1:
            return Priority.HIGH
        case _:
            return Priority.LOW


def _timeout_s(value: Any) -> float:
    return _count(value, "timeout") / _MICROSECONDS


def _refuse(parameters: Mapping[str, Any]) -> None:
    for name, why in _REFUSED_PARAMETERS.items():
        if parameters.get(name) not in (None, 0, ""):
            raise InvalidField(f"parameter {name!r}: {why}", field=name)
