"""A request compared with its model: what each item of its batch is, and which outputs go back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.models.entry import ModelEntry
from pipeline.models.tensors import ELEMENT_BYTES, TensorFacts
from webapp.open_inference.request import BYTES, InferInput, InferRequest, RequestedOutput
from webapp.open_inference.values import pack, unpack_texts
from webapp.refusals import InvalidField, ModelNotReady

#: How the picture formats that are taken begin.
_MAGICS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTensors:
    """What a version of a model takes and gives, batch axis first."""

    model: str
    version: str
    input: TensorFacts
    outputs: tuple[TensorFacts, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The items of a batch: pictures where *tensor* is None, else tensors of that kind.

    *data* is emptied once the items are stored: waiting may be long.
    """

    data: list[bytes] = field(repr=False)
    tensor: TensorFacts | None = None


def tensors_of(entry: ModelEntry, version: str) -> ModelTensors:
    """Give what *version* takes and gives; raises ModelNotReady where nobody has told it."""
    for detail in entry.details:
        if detail.version == version and len(detail.inputs) == 1:
            return ModelTensors(
                model=entry.name,
                version=version,
                input=detail.inputs[0],
                outputs=detail.outputs,
                labels=entry.labels,
            )
    raise ModelNotReady(f"{entry.name}/{version}", "its inputs are not known yet")


def items_of(request: InferRequest, model: ModelTensors, *, items_max: int) -> Items:
    """Give the items of the request's batch; raises InvalidField."""
    if request.tensor is None:
        return _raw_item(request.raw, model)
    tensor, wanted = request.tensor, model.input
    if tensor.name != wanted.name:
        raise InvalidField(
            f"unexpected inference input {tensor.name!r} for model {model.model!r}",
            field="inputs",
            allowed=(wanted.name,),
        )
    if tensor.datatype == BYTES:
        return Items(data=_pictures(tensor, items_max=items_max))
    if tensor.datatype != wanted.datatype:
        raise InvalidField(
            f"inference input {tensor.name!r} data-type is {tensor.datatype!r}, but model"
            f" {model.model!r} expects {wanted.datatype!r}",
            field=tensor.name,
            allowed=(wanted.datatype, BYTES),
        )
    if not wanted.takes(tensor.shape):
        raise InvalidField(
            f"unexpected shape for input {tensor.name!r} for model {model.model!r}. Expected"
            f" {list(wanted.shape)}, got {list(tensor.shape)}",
            field=tensor.name,
        )
    _check_count(tensor.shape[0], items_max)
    return _split(tensor)


def wanted_outputs(request: InferRequest, model: ModelTensors) -> tuple[RequestedOutput, ...]:
    """Give the outputs that go back, in order; raises InvalidField for one that is not there."""
    known = [output.name for output in model.outputs]
    if request.outputs is None:
        return tuple(RequestedOutput(name=name, is_binary=request.is_binary) for name in known)
    for output in request.outputs:
        if output.name not in known:
            raise InvalidField(
                f"unexpected inference output {output.name!r} for model {model.model!r}",
                field="outputs",
                allowed=tuple(known),
            )
    return request.outputs


def _split(tensor: InferInput) -> Items:
    facts = TensorFacts(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape[1:])
    count, size_bytes = tensor.shape[0], facts.size_bytes
    data = tensor.binary
    if data is None:
        data = pack(
            tensor.datatype, tensor.values, elements=math.prod(tensor.shape), name=tensor.name
        )
    if len(data) != count * size_bytes:
        raise InvalidField(
            f"input {tensor.name!r} has {len(data)} bytes, and its shape {list(tensor.shape)}"
            f" takes {count * size_bytes}",
            field=tensor.name,
        )
    rows = (data[first : first + size_bytes] for first in range(0, len(data), size_bytes))
    return Items(data=list(rows), tensor=facts)


def _pictures(tensor: InferInput, *, items_max: int) -> list[bytes]:
    """Give the pictures of a BYTES tensor, each behind its length; a single one may stand alone."""
    if tensor.binary is None:
        raise InvalidField("pictures must be sent as binary data", field=tensor.name)
    count = math.prod(tensor.shape)
    _check_count(count, items_max)
    if count == 1 and tensor.binary.startswith(_MAGICS):
        return [tensor.binary]
    pictures = unpack_texts(tensor.binary)
    if pictures is None or len(pictures) != count:
        raise InvalidField(
            f"input {tensor.name!r} must be {count} pictures, each behind its length in 4 bytes",
            field=tensor.name,
        )
    return pictures


def _raw_item(data: bytes, model: ModelTensors) -> Items:
    """Give the one item of a body that is nothing but the input's bytes."""
    wanted = model.input
    shape = _completed(wanted.shape[1:], len(data), ELEMENT_BYTES.get(wanted.datatype, 0))
    if shape is None:
        raise InvalidField(
            f"the body has {len(data)} bytes, which is no {wanted.datatype}"
            f" {[1, *wanted.shape[1:]]} for input {wanted.name!r} of model {model.model!r}",
            field="body",
        )
    facts = TensorFacts(name=wanted.name, datatype=wanted.datatype, shape=shape)
    return Items(data=[data], tensor=facts)


def _completed(shape: Sequence[int], size_bytes: int, element_bytes: int) -> tuple[int, ...] | None:
    """Give *shape* with its one free dimension, if any, as the size has it; None if it cannot."""
    if shape.count(-1) > 1 or not element_bytes:
        return None
    known_bytes = element_bytes * math.prod(size for size in shape if size != -1)
    free, rest = divmod(size_bytes, known_bytes)
    if rest or free < 1 or (free != 1 and -1 not in shape):
        return None
    return tuple(free if size == -1 else size for size in shape)


def _check_count(count: int, items_max: int) -> None:
    if count > items_max:
        raise InvalidField(
            f"the batch has {count} items, and one request may have {items_max}", field="shape"
        )
