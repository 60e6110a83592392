"""Puts an ONNX model into a synthetic OM, for the emulator of ``acl``. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gw.onnx_graph import OnnxGraph, read_onnx
from omfile.aipp_text import AippConfig, read_aipp_text
from omfile.errors import OmError
from omfile.facts import TensorInfo
from omfile.synthetic import Recipe, pack
from pipeline.errors import InvalidSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRequest:
    """What to build: ATC's own options, under its own names where it has them.

    *shapes* gives dims for inputs and outputs by name where the file leaves them free.
    """

    name: str
    soc_version: str
    dynamic_batch: tuple[int, ...] = ()
    shapes: Mapping[str, tuple[int, ...]]
    aipp_text: str = ""


def pack_emulated(onnx_bytes: bytes, request: PackRequest) -> bytes:
    """Give the synthetic OM of an ONNX file; raises InvalidSettings."""
    graph = read_onnx(onnx_bytes)
    if graph.has_external_data:
        raise InvalidSettings("the model's weights lie in files beside it: export it as one file")
    try:
        return pack(onnx_bytes, _recipe(graph, request))
    except OmError as exc:
        raise InvalidSettings(str(exc)) from exc


def parse_shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Parse ``name:1,3,640,640;other:1,10``; raises InvalidSettings."""
    shapes: dict[str, tuple[int, ...]] = {}
    for part in filter(None, (each.strip() for each in text.split(";"))):
        name, _, dims = part.rpartition(":")
        shapes[name.strip()] = parse_numbers(dims)
        if not name.strip():
            raise InvalidSettings(f'"{part}" is not a shape: write NAME:1,3,640,640')
    return shapes


def parse_numbers(text: str) -> tuple[int, ...]:
    """Parse ``1,2,4``; raises InvalidSettings."""
    try:
        numbers = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError as exc:
        raise InvalidSettings(f'"{text}" is not a list of whole numbers: write 1,2,4') from exc
    if any(number < 1 for number in numbers):
        raise InvalidSettings(f'"{text}" has a number below 1')
    return numbers


def _recipe(graph: OnnxGraph, request: PackRequest) -> Recipe:
    names = {tensor.name for tensor in (*graph.inputs, *graph.outputs)}
    for name in request.shapes:
        if name not in names:
            known = ", ".join(sorted(names))
            raise InvalidSettings(f'the model has no "{name}" to give a shape to; it has {known}')
    aipp: Sequence[AippConfig] = read_aipp_text(request.aipp_text) if request.aipp_text else ()
    return Recipe(
        name=request.name,
        inputs=tuple(_shaped(tensor, request) for tensor in graph.inputs),
        outputs=tuple(_shaped(tensor, request) for tensor in graph.outputs),
        soc_version=request.soc_version,
        dynamic_batch=request.dynamic_batch,
        aipp=tuple(aipp),
    )


def _shaped(tensor: TensorInfo, request: PackRequest) -> TensorInfo:
    """Settle the dims: only the batch may stay free, and only for gears; else it is 1."""
    declared = tensor.dims
    dims = request.shapes.get(tensor.name, declared)
    if tensor.name not in request.shapes and dims[:1] == (-1,) and not request.dynamic_batch:
        dims = (1, *dims[1:])
    if request.dynamic_batch and declared[:1] == (-1,):
        dims = (-1, *dims[1:])
    if any(dim < 0 for dim in (dims[1:] if request.dynamic_batch else dims)):
        raise InvalidSettings(
            f'"{tensor.name}" has axes without a size: give its shape with '
            f'--shapes "{tensor.name}:1,3,640,640"'
        )
    if len(declared) != len(dims) and min(declared, default=0) != -2:
        raise InvalidSettings(
            f'"{tensor.name}" has {len(declared)} axes, and its shape is given with {len(dims)}'
        )
    if any(known > 0 and known != dim for known, dim in zip(declared, dims, strict=False)):
        raise InvalidSettings(
            f'"{tensor.name}" is {declared} in the file, which {dims} contradicts'
        )
    return replace(tensor, dims=dims, dims_v2=dims)
