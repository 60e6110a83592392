"""Rule 21: the second interface has unsigned codes, and no channels unless it is told so."""

from __future__ import annotations

import ctypes
from typing import Any

from tests.unit.emulator.board import Board
from tests.unit.emulator.programs import Program


def _picture(address: int, width: int, height: int) -> dict[str, Any]:
    return {
        "picture_address": address,
        "picture_buffer_size": width * height * 3 // 2,
        "picture_width": width,
        "picture_height": height,
        "picture_width_stride": width,
        "picture_height_stride": height,
        "picture_format": 1,
    }


def test_rule_21_codes_are_unsigned(board: Board) -> None:
    """A failure is a large positive number."""
    assert board.acl.himpi.sys_init() == 0xA0078010
    acl = board.open()
    assert acl.himpi.sys_init() == 0
    assert acl.himpi.vpc_get_process_result(0, 1, 0) == 2684846083
    assert acl.himpi.dvpp_malloc(0, 0) == (0, 0xA0078003)


def test_rule_21_channels_cannot_be_created_by_default(board: Board) -> None:
    """As on some boards, so that a program keeps its other way."""
    acl = board.open()
    assert acl.himpi.sys_init() == 0
    assert acl.himpi.vpc_sys_create_chn({}) == (0, 0xA0078005)
    assert acl.himpi.vdec_create_chn(0, {}) == 0xA0078005
    assert acl.himpi.sys_exit() == 0


def test_rule_21_channels_work_where_configured(program: Program) -> None:
    """With channels a picture is scaled, and its task asked for once."""
    acl = program.start(himpi_channels=True, channels=1)
    himpi = acl.himpi
    assert himpi.sys_init() == 0
    channel, code = himpi.vpc_sys_create_chn({})
    assert code == 0
    assert himpi.vpc_create_chn(channel, {}) == 0xA0078005
    (source, _), (target, _) = himpi.dvpp_malloc(0, 6144), himpi.dvpp_malloc(0, 1536)
    ctypes.memset(source, 99, 6144)
    pictures = (_picture(source, 64, 64), _picture(target, 32, 32))
    task, code = himpi.vpc_resize(channel, *pictures, 0, 0, 0, -1)
    assert code == 0
    assert himpi.vpc_get_process_result(channel, task, -1) == 0
    assert himpi.vpc_get_process_result(channel, task, -1) == 0xA0078003
    assert ctypes.string_at(target, 1536) == bytes([99]) * 1536
    assert himpi.vpc_resize(channel, {}, pictures[1], 0, 0, 0, -1) == (0, 0xA0078003)
    assert himpi.dvpp_free(source) == himpi.dvpp_free(target) == 0
    assert himpi.vpc_destroy_chn(channel) == 0
    assert himpi.sys_exit() == 0
