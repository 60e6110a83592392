"""Reads an OM: header, tables, inputs and outputs, attributes; never the weights."""

from __future__ import annotations

import stat
from pathlib import Path

from omfile import command_line
from omfile.aipp_text import read_aipp_text
from omfile.container import FILE_VERSION, read_header, read_partitions
from omfile.errors import InvalidAipp, MalformedOm, UnreadableOm
from omfile.facts import (
    DYNAMIC_AIPP_INPUT,
    Aipp,
    AippMode,
    Header,
    OmFile,
    Partition,
    PartitionKind,
    TensorInfo,
)
from omfile.inout import InOut, read_inout
from omfile.model_def import AIPP_OP, ModelDef, read_model_def
from omfile.source import FileSource, MemorySource, Source, unreadable

#: Model attributes that only synthetic files have.
EMULATED_ATTRIBUTE = "gw_emulated"
AIPP_ATTRIBUTE = "gw_aipp"

# The graph of a large model takes a few ten MB.
_MAX_DESCRIPTION_BYTES = 256 << 20


def read_om(data: bytes | memoryview) -> OmFile:
    """Read an OM that is in memory; raises OmError. The result keeps *data* alive."""
    return _read(MemorySource(memoryview(data).cast("B")))


def read_om_file(path: Path | str) -> OmFile:
    """Read an OM on disk; raises OmError. Only the parts that describe the model are loaded."""
    path = Path(path)
    try:
        found = path.stat()
    except OSError as exc:
        raise unreadable(exc) from exc
    if not stat.S_ISREG(found.st_mode):
        # Opening a named pipe would wait for a writer.
        raise UnreadableOm(f"{path} is not a regular file: name the .om file itself")
    return _read(FileSource(path, found.st_size))


def _read(source: Source) -> OmFile:
    header = read_header(source)
    partitions = read_partitions(source, header)
    raw_inout = _load(source, partitions, PartitionKind.MODEL_INOUT_INFO)
    raw_model = _load(source, partitions, PartitionKind.MODEL_DEF)
    if raw_inout is None and raw_model is None:
        raise MalformedOm(
            "the file describes neither its inputs nor its graph, so it cannot be run: "
            "build the model again with ATC"
        )
    model = read_model_def(raw_model) if raw_model is not None else ModelDef()
    told = (
        read_inout(raw_inout)
        if raw_inout is not None
        else InOut(inputs=model.inputs, outputs=model.outputs)
    )
    atc_cmdline = model.text("atc_cmdline")
    return OmFile(
        name=model.name or header.name,
        header=header,
        inputs=told.inputs,
        outputs=told.outputs,
        gears=told.gears or command_line.gears(atc_cmdline),
        is_dynamic_shape=_is_dynamic_shape(header),
        aipp=_aipp(model, told.inputs),
        soc_version=model.text("soc_version"),
        atc_version=model.text("atc_version"),
        opp_version=model.text("opp_version"),
        atc_cmdline=atc_cmdline,
        work_bytes=model.number("memory_size"),
        weight_bytes=model.number("weight_size"),
        host_env_os=model.text("host_env_os"),
        host_env_cpu=model.text("host_env_cpu"),
        is_emulated=EMULATED_ATTRIBUTE in model.attributes,
        partitions=partitions,
        source=source,
    )


def _load(source: Source, partitions: tuple[Partition, ...], kind: PartitionKind) -> bytes | None:
    """Read a part of the first model, None where it has none."""
    found = next((p for p in partitions if p.kind == kind and p.model_index == 0), None)
    if found is None:
        return None
    if found.size_bytes > _MAX_DESCRIPTION_BYTES:
        raise MalformedOm(
            f"part {found.kind_name} has {found.size_bytes:,} bytes, which no model needs: "
            "the file is damaged, copy it again"
        )
    return source.read(found.offset_bytes, found.size_bytes)


def _is_dynamic_shape(header: Header) -> bool:
    """Tell what the loader would; a model with gears is not one."""
    return header.version >= FILE_VERSION and (header.model_num > 1 or header.is_unknown_model)


def _aipp(model: ModelDef, inputs: tuple[TensorInfo, ...]) -> Aipp:
    try:
        text = model.text(AIPP_ATTRIBUTE)
        configs = read_aipp_text(text) if text else ()
    except InvalidAipp as exc:
        raise MalformedOm(f"the file's own AIPP settings are damaged: {exc}") from exc
    if any(tensor.name == DYNAMIC_AIPP_INPUT for tensor in inputs):
        evidence = f"input {DYNAMIC_AIPP_INPUT}"
        return Aipp(mode=AippMode.DYNAMIC, evidence=evidence, configs=configs)
    if model.has_aipp_op:
        evidence = f"node of type {AIPP_OP}"
    elif command_line.option(model.text("atc_cmdline"), "insert_op_conf"):
        evidence = "insert_op_conf in ATC's command line"
    else:
        return Aipp()
    return Aipp(mode=AippMode.STATIC, evidence=evidence, configs=configs)
