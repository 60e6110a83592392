"""Rule 20: the picture units keep the limits of the hardware's tables."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.unit.emulator.board import misuse
from tests.unit.emulator.programs import Program

Pixels = npt.NDArray[np.uint8]
NV12, RGB = 1, 12


class Units:
    """A channel, and pictures in memory for the picture units."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.acl = acl = program.start()
        self.media = acl.media
        self.channel = self.media.dvpp_create_channel_desc()
        assert self.media.dvpp_create_channel(self.channel) == 0
        self._memory: list[int] = []
        self._ends: list[tuple[Callable[[int], int], int]] = []

    def memory(self, size: int, content: bytes = b"") -> int:
        """Allocate memory for the units."""
        address, code = self.media.dvpp_malloc(size)
        assert code == 0
        ctypes.memmove(address, content, len(content))
        self._memory.append(address)
        return int(address)

    def keep(self, handle: int, end: Callable[[int], int]) -> int:
        """Have *handle* destroyed at the end."""
        self._ends.append((end, handle))
        return handle

    def picture(
        self,
        width: int,
        height: int,
        form: int = NV12,
        *,
        strides: tuple[int, int] | None = None,
        content: bytes = b"",
        spare: int = 0,
    ) -> int:
        """Describe a picture with memory of the size that its strides need, and *spare* more."""
        across, down = strides or (width * 3 if form == RGB else width, height)
        size = across * down * (3 if form == NV12 else 2) // 2 + spare
        desc = self.keep(self.media.dvpp_create_pic_desc(), self.media.dvpp_destroy_pic_desc)
        values = {
            "data": self.memory(max(size, 1), content),
            "size": size,
            "format": form,
            "width": width,
            "height": height,
            "width_stride": across,
            "height_stride": down,
        }
        for name, value in values.items():
            assert getattr(self.media, f"dvpp_set_pic_desc_{name}")(desc, value) == 0
        return desc

    def roi(self, left: int, right: int, top: int, bottom: int) -> int:
        """Describe a region."""
        made = self.media.dvpp_create_roi_config(left, right, top, bottom)
        return self.keep(made, self.media.dvpp_destroy_roi_config)

    def resize(self, source: int, target: int) -> int:
        """Scale, and wait for it."""
        made = self.media.dvpp_create_resize_config()
        config = self.keep(made, self.media.dvpp_destroy_resize_config)
        stream = self.program.stream
        code = self.media.dvpp_vpc_resize_async(self.channel, source, target, config, stream)
        return int(code or self.acl.rt.synchronize_stream(stream))

    def decode(self, data: bytes, form: int = NV12, size: int = 0) -> tuple[int, int]:
        """Decode a JPEG, and wait for it; gives the picture and the code."""
        address = self.memory(len(data), data)
        wanted, code = self.media.dvpp_jpeg_predict_dec_size(address, len(data), form)
        assert code == 0, self.acl.get_recent_err_msg()
        made = self.media.dvpp_create_pic_desc()
        desc = self.keep(made, self.media.dvpp_destroy_pic_desc)
        self.media.dvpp_set_pic_desc_data(desc, self.memory(size or wanted))
        self.media.dvpp_set_pic_desc_size(desc, size or wanted)
        self.media.dvpp_set_pic_desc_format(desc, form)
        call = self.media.dvpp_jpeg_decode_async
        code = call(self.channel, address, len(data), desc, self.program.stream)
        return desc, code or self.acl.rt.synchronize_stream(self.program.stream)

    def get(self, desc: int, name: str) -> int:
        """Give a field of a picture's description."""
        return int(getattr(self.media, f"dvpp_get_pic_desc_{name}")(desc))

    def luma(self, desc: int) -> Pixels:
        """Give the picture's first plane."""
        across, down = self.get(desc, "width_stride"), self.get(desc, "height_stride")
        raw = ctypes.string_at(self.get(desc, "data"), across * down)
        plane = np.frombuffer(raw, np.uint8).reshape(down, across)
        return plane[: self.get(desc, "height"), : self.get(desc, "width")]

    def close(self) -> None:
        """Give everything back."""
        for end, handle in self._ends:
            assert end(handle) == 0
        for address in self._memory:
            assert self.media.dvpp_free(address) == 0
        assert self.media.dvpp_destroy_channel(self.channel) == 0
        assert self.media.dvpp_destroy_channel_desc(self.channel) == 0


@pytest.fixture
def units(program: Program) -> Iterator[Units]:
    """Give the picture units of a started program."""
    units = Units(program)
    yield units
    if not program.board.findings:
        units.close()


def jpeg(width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    """Give a JPEG whose left half is dark and right half bright."""
    colours = np.zeros((height, width, 3), np.uint8)
    colours[:, width // 2 :] = (200, 220, 210)
    out = io.BytesIO()
    Image.fromarray(colours).convert(mode).save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def nv12(width: int, height: int, luma: int = 100) -> bytes:
    """Give a grey NV12 picture."""
    return bytes([luma]) * (width * height) + b"\x80" * (width * height // 2)


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [(10, 6, True), (8, 6, False), (10, 4, False), (4096, 6, True), (4098, 6, False)],
)
def test_rule_20_the_scaler_keeps_its_sizes(
    units: Units, width: int, height: int, fits: bool
) -> None:
    """Outputs are from 10x6 to 4096 wide."""
    source = units.picture(64, 64, content=nv12(64, 64))
    target = units.picture(width, height)
    assert units.resize(source, target) == (0 if fits else 100000)


@pytest.mark.parametrize(("width", "height"), [(65, 64), (64, 65)])
def test_rule_20_nv12_sides_are_even(units: Units, width: int, height: int) -> None:
    """Odd sides are refused for NV12, and fine for RGB."""
    source = units.picture(64, 64, content=nv12(64, 64))
    odd = units.picture(width, height, strides=(66, 66))
    assert units.resize(source, odd) == 100000
    assert units.resize(source, units.picture(width, height, RGB)) == 0


def test_rule_20_strides_and_sizes_are_checked(units: Units) -> None:
    """A stride below the width, and memory below the formula, are refused."""
    source = units.picture(64, 64, content=nv12(64, 64))
    assert units.resize(source, units.picture(64, 64, strides=(62, 64))) == 100000
    assert units.resize(source, units.picture(64, 64, strides=(64, 62))) == 100000
    assert units.resize(source, units.picture(64, 64, spare=-1)) == 100000
    assert units.resize(source, units.picture(64, 64, strides=(80, 70))) == 0


def test_rule_20_scaling_gives_the_picture(units: Units) -> None:
    """A grey picture stays grey, padding outside of it untouched."""
    source = units.picture(64, 64, content=nv12(64, 64, 77))
    target = units.picture(32, 20, strides=(48, 24))
    assert units.resize(source, target) == 0
    assert (units.luma(target) == 77).all()


@pytest.mark.parametrize(
    ("corners", "code"),
    [
        ((0, 31, 0, 31), 0),
        ((1, 32, 0, 31), 100000),
        ((0, 30, 0, 31), 100000),
        ((0, 65, 0, 31), 100000),
    ],
)
def test_rule_20_regions_begin_even_and_end_odd(
    units: Units, corners: tuple[int, int, int, int], code: int
) -> None:
    """Left and top are even, right and bottom odd, all inside the picture."""
    source = units.picture(64, 64, content=nv12(64, 64, 50))
    target = units.picture(32, 32)
    call, stream = units.media.dvpp_vpc_crop_async, units.program.stream
    assert call(units.channel, source, target, units.roi(*corners), stream) == code
    assert units.acl.rt.synchronize_stream(stream) == 0


def test_rule_20_crop_and_paste_leaves_the_rest(units: Units) -> None:
    """Only the paste region changes."""
    source = units.picture(64, 64, content=nv12(64, 64, 200))
    target = units.picture(64, 64, content=nv12(64, 64, 10))
    crop, paste = units.roi(0, 63, 0, 63), units.roi(16, 47, 16, 47)
    call, stream = units.media.dvpp_vpc_crop_and_paste_async, units.program.stream
    assert call(units.channel, source, target, crop, paste, stream) == 0
    assert units.acl.rt.synchronize_stream(stream) == 0
    luma = units.luma(target)
    assert (luma[16:48, 16:48] == 200).all()
    assert (luma[:16] == 10).all()
    assert (luma[:, 48:] == 10).all()


def test_rule_20_colours_are_converted(units: Units) -> None:
    """Grey NV12 becomes grey RGB."""
    source = units.picture(16, 8, content=nv12(16, 8, 90))
    target = units.picture(16, 8, RGB)
    stream = units.program.stream
    assert units.media.dvpp_vpc_convert_color_async(units.channel, source, target, stream) == 0
    assert units.acl.rt.synchronize_stream(stream) == 0
    data = ctypes.string_at(units.get(target, "data"), 16 * 8 * 3)
    assert set(data) == {90}


def test_rule_20_only_memory_of_the_units_is_taken(units: Units) -> None:
    """Memory of acl.rt.malloc is a finding."""
    source = units.picture(64, 64)
    address, _ = units.acl.rt.malloc(64 * 64 * 3 // 2, 0)
    units.media.dvpp_set_pic_desc_data(source, address)
    with pytest.raises(misuse(), match="not memory of dvpp_malloc"):
        units.resize(source, units.picture(64, 64))


def test_rule_20_a_channel_goes_before_its_description(units: Units) -> None:
    """The other order is 148051; a closed channel does nothing."""
    assert units.media.dvpp_destroy_channel_desc(units.channel) == 148051
    assert units.media.dvpp_destroy_channel(units.channel) == 0
    source = units.picture(64, 64, content=nv12(64, 64))
    assert units.resize(source, units.picture(64, 64)) == 100000
    assert units.media.dvpp_create_channel(units.channel) == 0


@pytest.mark.parametrize(
    ("size", "decoded", "strides"),
    [
        ((64, 48), (64, 48), (64, 48)),
        ((101, 75), (100, 74), (128, 80)),
        ((130, 33), (130, 32), (192, 32)),
    ],
)
def test_rule_20_decoded_pictures_are_aligned(
    units: Units, size: tuple[int, int], decoded: tuple[int, int], strides: tuple[int, int]
) -> None:
    """Odd sides are rounded down; strides are multiples of 64 and 16 of the source's size."""
    desc, code = units.decode(jpeg(*size))
    assert code == 0
    assert (units.get(desc, "width"), units.get(desc, "height")) == decoded
    across, down = units.get(desc, "width_stride"), units.get(desc, "height_stride")
    assert (across, down) == strides
    luma = units.luma(desc)
    assert (luma[:, : decoded[0] // 2 - 8] < 10).all()
    assert (luma[:, decoded[0] // 2 + 8 :] > 200).all()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (jpeg(64, 64, progressive=True), 148052),
        (jpeg(64, 64, "CMYK"), 148052),
        (jpeg(20, 64), 100000),
    ],
    ids=["progressive", "cmyk", "tiny"],
)
def test_rule_20_what_the_decoder_cannot_read(units: Units, data: bytes, code: int) -> None:
    """Progressive and four-colour JPEG are 148052, tiny ones are refused."""
    address = units.memory(len(data), data)
    target = units.picture(64, 64, strides=(64, 64))
    call, stream = units.media.dvpp_jpeg_decode_async, units.program.stream
    assert call(units.channel, address, len(data), target, stream) == code


def test_rule_20_a_damaged_jpeg_fails_later(units: Units) -> None:
    """Damage behind the header comes out when the stream is synchronised."""
    data = jpeg(64, 64)
    _, code = units.decode(data[: len(data) // 2])
    assert code == 507011


def test_rule_20_the_target_must_be_large_enough(units: Units) -> None:
    """Memory below the aligned size is refused."""
    _, code = units.decode(jpeg(64, 64), size=64 * 64)
    assert code == 100000


def test_rule_20_orientation_is_applied(units: Units) -> None:
    """EXIF turns the picture: what was right is then below."""
    exif = Image.Exif()
    exif[0x0112] = 6
    desc, code = units.decode(jpeg(96, 64, exif=exif))
    assert code == 0
    assert (units.get(desc, "width"), units.get(desc, "height")) == (64, 96)
    luma = units.luma(desc)
    assert (luma[:40] < 10).all()
    assert (luma[56:] > 200).all()


@pytest.mark.parametrize(
    ("mode", "sampling", "components", "form"),
    [("RGB", 0, 3, 0), ("RGB", 1, 3, 1), ("RGB", 2, 3, 2), ("L", 0, 1, 3)],
)
def test_rule_20_headers_tell_size_and_sampling(
    units: Units, mode: str, sampling: int, components: int, form: int
) -> None:
    """get_image_info gives width, height, components, and its second version the sampling."""
    data = jpeg(64, 48, mode, **({} if mode == "L" else {"subsampling": sampling}))
    address = units.memory(len(data), data)
    info = units.media.dvpp_jpeg_get_image_info(address, len(data))
    assert info == (64, 48, components, 0)
    info = units.media.dvpp_jpeg_get_image_info_v2(address, len(data))
    assert info == (64, 48, components, form, 0)


def test_rule_20_pictures_are_encoded(units: Units) -> None:
    """The encoder writes a JPEG and its length."""
    source = units.picture(64, 48, content=nv12(64, 48, 120))
    made = units.media.dvpp_create_jpege_config()
    config = units.keep(made, units.media.dvpp_destroy_jpege_config)
    assert units.media.dvpp_set_jpege_config_level(config, 101) == 100000
    assert units.media.dvpp_set_jpege_config_level(config, 90) == 0
    size, code = units.media.dvpp_jpeg_predict_enc_size(source, config)
    assert code == 0
    target, length = units.memory(size), np.array([size], np.uint32)
    pointer, stream = length.ctypes.data, units.program.stream
    call = units.media.dvpp_jpeg_encode_async
    assert call(units.channel, source, target, pointer, config, stream) == 0
    assert units.acl.rt.synchronize_stream(stream) == 0
    with Image.open(io.BytesIO(ctypes.string_at(target, int(length[0])))) as picture:
        assert picture.size == (64, 48)
        assert abs(np.asarray(picture.convert("L")).astype(int) - 120).max() <= 2
    narrow = units.picture(40, 48, strides=(40, 48))
    assert call(units.channel, narrow, target, pointer, config, stream) == 100000
