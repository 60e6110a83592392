"""Emulated NPUs behind real device processes, on boards that a test sets up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.cards.card import ModelCard
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.models.repository import ModelVersion
from dispatcher.runtime import RuntimeOptions
from tests.builders_onnx import make_card
from tests.conformance.bench import child_path
from tests.processes import device_processes, forget_earlier_processes

StartNpu = Callable[..., Awaitable[Device]]


def make_version(path: Path, card: ModelCard | None = None, *, name: str = "tiny") -> ModelVersion:
    """Give version 1 of a model whose file is *path*."""
    return ModelVersion(
        card=card or make_card(name=name), version=1, path=path, file_sha256="0" * 64, file_bytes=1
    )


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Give a function that sets up the board by the text of a configuration file."""
    monkeypatch.setenv("PYTHONPATH", child_path())
    path = tmp_path / "board.toml"
    monkeypatch.setenv("ACL_EMULATOR_CONFIG", str(path))

    def set_up(text: str) -> None:
        path.write_text(text)

    set_up("")
    return set_up


@pytest.fixture
async def start_npu(board: object) -> AsyncIterator[StartNpu]:
    """Start devices with the acl runtime, and end them after the test."""
    forget_earlier_processes()
    devices: list[Device] = []

    async def start(
        *, infer_timeout_s: float = 30.0, shared_bytes: int = 1 << 20, **settings: Any
    ) -> Device:
        device = Device(
            DeviceConfig(
                runtime="acl",
                options=RuntimeOptions(infer_timeout_s=infer_timeout_s),
                input_bytes=shared_bytes,
                output_bytes=shared_bytes,
                **settings,
            )
        )
        devices.append(device)
        await device.start()
        return device

    yield start
    for device in devices:
        await device.stop()
    assert device_processes() == []


@pytest.fixture
def no_findings(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail a test in whose processes the emulator found a misuse or a leak."""
    yield
    told = [line for line in capfd.readouterr().err.splitlines() if "acl emulator" in line]
    assert told == []
