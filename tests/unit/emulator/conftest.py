"""Puts the emulator on the path for the tests of this folder, and takes it off again."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.emulator.board import EMULATOR, Board
from tests.unit.emulator.programs import Program


@pytest.fixture(scope="package")
def installed() -> Iterator[Any]:
    """Import acl from this repository for these tests only."""
    sys.path.insert(0, str(EMULATOR))
    yield importlib.import_module("acl")
    sys.path.remove(str(EMULATOR))
    for name in [name for name in sys.modules if name == "acl" or name.startswith("acl.")]:
        del sys.modules[name]


@pytest.fixture
def board(installed: Any, tmp_path: Path) -> Iterator[Board]:
    """Give a board in its factory state, and leave none of it behind."""
    board = Board(installed, tmp_path)
    board.use()
    with warnings.catch_warnings():
        # The binding warns of deprecated calls; tests that want to see it say so.
        warnings.filterwarnings("ignore", message="acl.util")
        yield board
    board.use()


@pytest.fixture
def acl(board: Board) -> Any:
    """Give the module that a program would import."""
    return board.acl


@pytest.fixture
def opened(board: Board) -> Any:
    """Give the module with a device set and nothing else done."""
    return board.open()


@pytest.fixture
def program(board: Board) -> Iterator[Program]:
    """Give a program with a context and a stream, which it gives back at the end."""
    program = Program(board)
    yield program
    program.close()
