"""acl.media: the JPEG decoder and encoder."""

from __future__ import annotations

import ctypes
from typing import SupportsIndex

import numpy as np

from acl import _codes
from acl._dvpp import (
    JPEGE,
    PIC_DESC,
    Choice,
    PicDesc,
    align,
    blocks_of,
    dvpp_memory,
    open_channel,
    pixels_of,
)
from acl._jpeg import BrokenJpeg, JpegHeader, decode, encode, read_header
from acl._machine import Machine, here
from acl._pixels import NV12, NV21, buffer_bytes, pack, unpack
from acl._stream_calls import no_stream, usable
from acl._streams import Stream, Task
from acl._surface import exported

_media = exported("acl.media")

_LEAST_PX = 32
_MOST_ENCODED_PX = 16384
_WIDTH_STRIDE, _HEIGHT_STRIDE = 64, 16
_ENCODER_STRIDE = 16
_ENCODED = frozenset({NV12, NV21})
# Sampling -> what the decoder can give it as (semi-planar, U first), and the number that
# get_image_info_v2 has for it.
_NATIVE = {"400": 0, "420": 1, "422": 3, "444": 5}
_INFO_FORMATS = {"444": 0, "422": 1, "420": 2, "400": 3, "440": 4}
_UNKNOWN_FORMAT = 10000
_HEADER_BYTES = 1 << 16


def _header(machine: Machine, address: int, size_bytes: int, call: str) -> JpegHeader | int:
    """Read a header from host memory, which is the device's own where acl runs on it."""
    if not address or not size_bytes:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no data")
    span = machine.memory.span(address, size_bytes, call=call)
    if span is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: bad memory")
    if span.on_device and machine.configuration.run_mode == 1:
        machine.findings.misuse(f"{call}: reads host memory, {address:#x} is the device's")
        return machine.fail(_codes.INVALID_PARAM, f"{call}: device memory")
    try:
        return read_header(ctypes.string_at(span.real, size_bytes))
    except BrokenJpeg as error:
        return machine.fail(_codes.DVPP_UNSUPPORTED_JPEG, f"{call}: {error}")


@_media
def dvpp_jpeg_get_image_info(address: int, size_bytes: int) -> tuple[int, int, int, int]:
    """Give width, height and number of components."""
    found = _header(here(), address, size_bytes, "acl.media.dvpp_jpeg_get_image_info")
    if isinstance(found, int):
        return 0, 0, 0, found
    return found.width_px, found.height_px, found.components, _codes.SUCCESS


@_media
def dvpp_jpeg_get_image_info_v2(address: int, size_bytes: int) -> tuple[int, int, int, int, int]:
    """Give width, height, number of components and sampling."""
    found = _header(here(), address, size_bytes, "acl.media.dvpp_jpeg_get_image_info_v2")
    if isinstance(found, int):
        return 0, 0, 0, 0, found
    form = _INFO_FORMATS.get(found.sampling, 1000)
    return found.width_px, found.height_px, found.components, form, _codes.SUCCESS


@_media
def dvpp_jpeg_predict_dec_size(
    address: int, size_bytes: int, form: SupportsIndex
) -> tuple[int, int]:
    """Give the bytes that the decoded picture needs."""
    machine, call = here(), "acl.media.dvpp_jpeg_predict_dec_size"
    found = _header(machine, address, size_bytes, call)
    if isinstance(found, int):
        return 0, found
    chosen = _format(found, int(form))
    if chosen is None:
        text = f"{call}: no decoding of {found.sampling} to format {int(form)}"
        return 0, machine.fail(_codes.INVALID_PARAM, text)
    width, height = found.turned
    strides = (align(width, _WIDTH_STRIDE), align(height, _HEIGHT_STRIDE))
    return buffer_bytes(chosen, *strides), _codes.SUCCESS


def _format(header: JpegHeader, wanted: int) -> int | None:
    """Give the format that a decoding to *wanted* has; None if there is none."""
    if wanted == _UNKNOWN_FORMAT:
        native = _NATIVE.get(header.sampling)
        return native + 1 if native else native
    if wanted in _ENCODED:
        return wanted
    native = _NATIVE.get(header.sampling)
    return wanted if native is not None and wanted in {native, native + 1} else None


@_media
def dvpp_jpeg_decode_async(  # noqa: PLR0911 - one answer for each thing that can be wrong
    channel: int, address: int, size_bytes: int, target: int, stream: int
) -> int:
    """Decode a baseline JPEG, turned as EXIF says; read the size back from the target."""
    machine, call = here(), "acl.media.dvpp_jpeg_decode_async"
    if code := usable(machine, call) or open_channel(machine, channel, call):
        return code
    pic = machine.ledger.get(PIC_DESC, target, PicDesc, call=call)
    queued_in = machine.stream(stream, call=call)
    if pic is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no picture description")
    if queued_in is None:
        return no_stream(machine, stream, call)
    span = dvpp_memory(machine, address, size_bytes, call)
    if span is None or not dvpp_memory(machine, pic.data, pic.size, call):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no dvpp memory")
    try:
        header = read_header(ctypes.string_at(span.real, size_bytes))
    except BrokenJpeg as error:
        return machine.fail(_codes.DVPP_UNSUPPORTED_JPEG, f"{call}: {error}")
    if code := _check_decoding(machine, header, pic, call):
        return code

    def run(_stream: Stream) -> int:
        fault = machine.faults.strike("jpeg_decode")
        pic.ret_code = (
            fault.code if fault is not None else _decode(machine, address, size_bytes, pic)
        )
        return pic.ret_code

    blocks = blocks_of(machine, address, pic.data)
    queued_in.submit(Task(call, run, blocks=blocks))
    return _codes.SUCCESS


def _check_decoding(machine: Machine, header: JpegHeader, pic: PicDesc, call: str) -> int:
    if not header.is_baseline or not header.sampling:
        text = f"{call}: only baseline JPEG of 1 or 3 components; decode this one on the CPU"
        return machine.fail(_codes.DVPP_UNSUPPORTED_JPEG, text)
    if min(header.width_px, header.height_px) < _LEAST_PX:
        text = f"{call}: {header.width_px}x{header.height_px} is smaller than 32x32"
        return machine.fail(_codes.INVALID_PARAM, text)
    form = _format(header, pic.format)
    if form is None:
        text = f"{call}: no decoding of {header.sampling} to format {pic.format}"
        return machine.fail(_codes.INVALID_PARAM, text)
    # Odd sides lose their last pixel.
    width, height = (side - side % 2 for side in header.turned)
    across = pic.width_stride or align(width, _WIDTH_STRIDE)
    down = pic.height_stride or align(height, _HEIGHT_STRIDE)
    if across % _WIDTH_STRIDE or down % _HEIGHT_STRIDE or across < width or down < height:
        text = f"{call}: strides {across}x{down} for {width}x{height}: multiples of 64 and 16"
        return machine.fail(_codes.INVALID_PARAM, text)
    if pic.size < buffer_bytes(form, across, down):
        text = f"{call}: {pic.size} bytes where {buffer_bytes(form, across, down)} are needed"
        return machine.fail(_codes.INVALID_PARAM, text)
    pic.format, pic.width, pic.height = form, width, height
    pic.width_stride, pic.height_stride = across, down
    return 0


def _decode(machine: Machine, address: int, size_bytes: int, pic: PicDesc) -> int:
    call = "acl.media.dvpp_jpeg_decode_async"
    span, raw = dvpp_memory(machine, address, size_bytes, call), pixels_of(machine, pic, call)
    if span is None or raw is None:
        return _codes.RT_MODEL_EXECUTE
    try:
        pixels = decode(ctypes.string_at(span.real, size_bytes))
    except BrokenJpeg:
        return _codes.RT_MODEL_EXECUTE
    pixels = np.ascontiguousarray(pixels[: pic.height, : pic.width])
    pack(pixels, raw, pic.format, (pic.width_stride, pic.height_stride))
    pic.size = buffer_bytes(pic.format, pic.width_stride, pic.height_stride)
    return 0


@_media
def dvpp_jpeg_predict_enc_size(pic_desc: int, config: int) -> tuple[int, int]:
    """Give the bytes that an encoded picture can take."""
    machine, call = here(), "acl.media.dvpp_jpeg_predict_enc_size"
    pic = machine.ledger.get(PIC_DESC, pic_desc, PicDesc, call=call)
    if pic is None or machine.ledger.get(JPEGE, config, Choice, call=call) is None:
        return 0, machine.fail(_codes.INVALID_PARAM, f"{call}: a picture and settings are needed")
    return pic.width_stride * pic.height_stride * 3 // 2 + _HEADER_BYTES, _codes.SUCCESS


@_media
def dvpp_jpeg_encode_async(  # noqa: PLR0911 - the binding's own signature
    channel: int, source: int, target: int, size_pointer: int, config: int, stream: int
) -> int:
    """Encode a picture; the number at *size_pointer* is the room before, the length after."""
    machine, call = here(), "acl.media.dvpp_jpeg_encode_async"
    if code := usable(machine, call) or open_channel(machine, channel, call):
        return code
    pic = machine.ledger.get(PIC_DESC, source, PicDesc, call=call)
    quality = machine.ledger.get(JPEGE, config, Choice, call=call)
    queued_in = machine.stream(stream, call=call)
    if pic is None or quality is None or not size_pointer:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: picture, settings and size are needed")
    if queued_in is None:
        return no_stream(machine, stream, call)
    if problem := _encoder_problem(pic):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {problem}")
    number = machine.memory.span(size_pointer, 4, call=call)
    if number is None or not dvpp_memory(machine, pic.data, pic.size, call):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: bad memory")
    room = ctypes.c_uint32.from_address(number.real)
    if not dvpp_memory(machine, target, room.value, call):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: the target is no dvpp memory")
    level = quality.value

    def run(_stream: Stream) -> int:
        raw = pixels_of(machine, pic, call)
        into = dvpp_memory(machine, target, room.value, call)
        if raw is None or into is None:
            return _codes.RT_MODEL_EXECUTE
        strides = (pic.width_stride, pic.height_stride)
        data = encode(unpack(raw, pic.format, (pic.width, pic.height), strides), level)
        if len(data) > room.value:
            return _codes.RT_MODEL_EXECUTE
        ctypes.memmove(into.real, data, len(data))
        room.value = len(data)
        return 0

    blocks = blocks_of(machine, pic.data, target, size_pointer)
    queued_in.submit(Task(call, run, blocks=blocks))
    return _codes.SUCCESS


def _encoder_problem(pic: PicDesc) -> str:
    if pic.format not in _ENCODED:
        return f"format {pic.format}: only NV12 and NV21 are emulated"
    if not all(_LEAST_PX <= side <= _MOST_ENCODED_PX for side in (pic.width, pic.height)):
        return f"{pic.width}x{pic.height} is not in 32x32..16384x16384"
    if pic.width % 2 or pic.height % 2:
        return f"{pic.width}x{pic.height} must be even"
    if pic.width_stride % _ENCODER_STRIDE or pic.width_stride < pic.width:
        return f"width stride {pic.width_stride} must be a multiple of 16"
    if pic.height_stride not in {pic.height, align(pic.height, _ENCODER_STRIDE)}:
        return f"height stride {pic.height_stride} must be the height, or that rounded up to 16"
    wanted = buffer_bytes(pic.format, pic.width_stride, pic.height_stride)
    return "" if pic.size >= wanted else f"{pic.size} bytes where {wanted} are needed"
