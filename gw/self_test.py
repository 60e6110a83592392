"""Writing and running a model's self-test, in a device process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dispatcher.device.link import Device, DeviceConfig
from dispatcher.models import self_test
from dispatcher.models.repository import ModelVersion
from dispatcher.models.self_test import SelfTest, SelfTestCase
from dispatcher.runtime import RuntimeOptions
from pipeline.errors import InvalidSettings

_TIMEOUT_S = 300.0
_MAX_PIXELS = 50_000_000
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """One picture: what the model found, and how that differs from what was expected, "" if not."""

    name: str
    expected: SelfTestCase
    difference: str


def find_pictures(folder: Path) -> list[Path]:
    """List the pictures of a self-test's folder; raises InvalidSettings where there is none."""
    if folder.is_dir():
        pictures = sorted(each for each in folder.iterdir() if each.suffix.lower() in _PICTURES)
        if pictures:
            return pictures
    raise InvalidSettings(f"put a picture into {folder} first, such as {folder / 'gate.jpg'}")


def answers(
    version: ModelVersion, cases: Sequence[SelfTestCase], *, runtime: str
) -> list[CaseOutcome]:
    """Run *cases* on *version*; raises what the device or the model raises."""
    return asyncio.run(_answers(version, cases, runtime=runtime))


async def _answers(
    version: ModelVersion, cases: Sequence[SelfTestCase], *, runtime: str
) -> list[CaseOutcome]:
    device = Device(DeviceConfig(runtime=runtime, options=RuntimeOptions(threads=1)))
    outcomes = []
    with ThreadPoolExecutor(1) as threads:
        try:
            await device.start()
            await device.load(version, timeout_s=_TIMEOUT_S)
            test = SelfTest(cases=tuple(cases), sha256="")
            prepared = await self_test.prepare(
                device, version.card, test, threads=threads, max_pixels=_MAX_PIXELS
            )
            for each in prepared:
                got = (
                    await self_test.answer_of(device, version, each, timeout_s=_TIMEOUT_S)
                ).to_json()
                difference = self_test.differs(
                    each.case.expected, got, tolerance=each.case.tolerance
                )
                outcomes.append(
                    CaseOutcome(
                        name=each.case.name,
                        expected=replace(each.case, expected=got),
                        difference=difference or "",
                    )
                )
            self_test.release(prepared)
        finally:
            await device.stop()
    return outcomes


def write(folder: Path, version: ModelVersion, *, runtime: str, tolerance: float) -> Path:
    """Write what *version* answers to the pictures in *folder*; give the file."""
    cases = [
        SelfTestCase(
            name=picture.name, picture=picture.read_bytes(), expected={}, tolerance=tolerance
        )
        for picture in find_pictures(folder)
    ]
    outcomes = answers(version, cases, runtime=runtime)
    return self_test.write_self_test(folder, [outcome.expected for outcome in outcomes])


def run(model_folder: Path, version: ModelVersion, *, runtime: str) -> list[CaseOutcome]:
    """Run the self-test that is there for *version*; raises InvalidSettings where there is none."""
    test = self_test.read_self_test(model_folder, version.version)
    if test is None:
        raise InvalidSettings(f"there is no self-test for version {version.version}; write one")
    return answers(version, test.cases, runtime=runtime)
