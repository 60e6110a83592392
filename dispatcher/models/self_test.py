"""Self-tests: pictures with the answers that a version must give before it may serve.

``selftest/expected.json`` in a version's folder, or else in the model's, for all its versions::

    {"cases": [{"picture": "gate.jpg", "tolerance": 0.02, "expected": {"kind": ..., "items": ...}}]}

*expected* is what ``Findings.to_json`` gives; ``gw models selftest`` writes it from the present
model. Numbers may differ by *tolerance*, absolutely or in proportion, whichever is more.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dispatcher.cards.card import ModelCard
from dispatcher.decoders import reduce_outputs
from dispatcher.device.arena import Block
from dispatcher.device.link import Device
from dispatcher.models.looking import SELF_TEST_FOLDER
from dispatcher.models.repository import ModelVersion
from dispatcher.pictures.decoding import Pixels, decode_picture
from dispatcher.pictures.geometry import Placement, plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from pipeline.errors import InvalidSettings, MalformedMessage, ModelFault
from pipeline.models.findings import Findings

EXPECTED_FILE_NAME = "expected.json"
DEFAULT_TOLERANCE = 0.02

_CASES_MAX = 16
_UNUSABLE = (OSError, AttributeError, KeyError, TypeError, ValueError, MalformedMessage)
_PICTURE_MAX_BYTES = 32_000_000
_EXPECTED_MAX_BYTES = 32_000_000


class SelfTestFailed(ModelFault):
    """The model gives another answer than its self-test expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestCase:
    """One picture, as a file's bytes, and the wire form of the findings it must give."""

    name: str
    picture: bytes
    expected: Mapping[str, Any]
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """All cases of one version. *sha256* is of everything that they say."""

    cases: tuple[SelfTestCase, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCase:
    """A case whose picture lies in *block* as the model's input."""

    case: SelfTestCase
    block: Block
    shape: tuple[int, ...]
    placement: Placement


def read_self_test(model_folder: Path, version: int) -> SelfTest | None:
    """Read the self-test of a version; None where there is none. Blocks.

    Raises InvalidSettings for one that cannot be used: a version is not let through for that.
    """
    for folder in (model_folder / str(version), model_folder):
        file = folder / SELF_TEST_FOLDER / EXPECTED_FILE_NAME
        if file.is_file():
            try:
                return _read(file)
            except _UNUSABLE as exc:
                raise InvalidSettings(f"{file} cannot be used: {exc}") from exc
    return None


def _read(file: Path) -> SelfTest:
    content = _bounded(file, _EXPECTED_MAX_BYTES)
    digest = hashlib.sha256(content)
    cases = []
    rows = json.loads(content)["cases"]
    if not 0 < len(rows) <= _CASES_MAX:
        raise ValueError(f"it has {len(rows)} cases; 1 to {_CASES_MAX} are allowed")
    for row in rows:
        name = str(row["picture"])
        if Path(name).name != name:
            raise ValueError(f"the picture {name!r} is not a name in its folder")
        picture = _bounded(file.with_name(name), _PICTURE_MAX_BYTES)
        tolerance = float(row.get("tolerance", DEFAULT_TOLERANCE))
        if not 0 <= tolerance <= 1:
            raise ValueError(f"the tolerance {tolerance} is not from 0 to 1")
        Findings.from_json(row["expected"])
        digest.update(hashlib.sha256(picture).digest())
        cases.append(
            SelfTestCase(name=name, picture=picture, expected=row["expected"], tolerance=tolerance)
        )
    return SelfTest(cases=tuple(cases), sha256=digest.hexdigest())


def write_self_test(folder: Path, cases: Sequence[SelfTestCase]) -> Path:
    """Write ``expected.json`` of *cases*, whose pictures lie in *folder*; give its path."""
    rows = [
        {"picture": case.name, "tolerance": case.tolerance, "expected": case.expected}
        for case in cases
    ]
    file = folder / EXPECTED_FILE_NAME
    aside = file.with_name(f".{file.name}.new")
    aside.write_text(json.dumps({"cases": rows}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    aside.replace(file)
    return file


async def prepare(
    device: Device, card: ModelCard, test: SelfTest, *, threads: Executor, max_pixels: int
) -> list[PreparedCase]:
    """Decode all pictures into the device's memory, to be released by the caller.

    Done before the model is loaded: who waits for memory must not hold any on the device.
    """
    prepared: list[PreparedCase] = []
    loop = asyncio.get_running_loop()
    try:
        for case in test.cases:
            pixels = await loop.run_in_executor(threads, _decode, case, card, max_pixels)
            placement = plan((pixels.width_px, pixels.height_px), card.input)
            shape = item_shape(placement, card.input)
            size_bytes = math.prod(shape) * np.dtype(card.input.dtype).itemsize
            block = await device.inputs.allocate(size_bytes)
            prepared.append(PreparedCase(case=case, block=block, shape=shape, placement=placement))
            view = block.view(shape, card.input.dtype)
            await loop.run_in_executor(threads, write_tensor, pixels, placement, card.input, view)
    except BaseException:
        release(prepared)
        raise
    return prepared


def release(prepared: Sequence[PreparedCase]) -> None:
    """Give the memory of *prepared* back."""
    for each in prepared:
        each.block.release()


async def run(
    device: Device, version: ModelVersion, prepared: Sequence[PreparedCase], *, timeout_s: float
) -> None:
    """Run the cases on *version*, which is loaded; raises SelfTestFailed at the first difference.

    Raises what ``Device.infer`` does, too.
    """
    for each in prepared:
        got = await answer_of(device, version, each, timeout_s=timeout_s)
        difference = differs(each.case.expected, got.to_json(), tolerance=each.case.tolerance)
        if difference:
            raise SelfTestFailed(f"self-test {each.case.name}: {difference}")


async def answer_of(
    device: Device, version: ModelVersion, prepared: PreparedCase, *, timeout_s: float
) -> Findings:
    """Give what *version* finds in one prepared picture."""
    card = version.card
    item = prepared.block.view(prepared.shape, card.input.dtype)
    inference = await device.infer(version.key, [item], timeout_s=timeout_s)
    with inference:
        return reduce_outputs(card.decoder, inference.outputs, prepared.placement, item=0)


def differs(expected: Any, got: Any, *, tolerance: float, at: str = "") -> str | None:
    """Say where *got* differs from *expected*, both parsed JSON; None where it does not."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        if expected.keys() != got.keys():
            return f"{at or 'it'} has {sorted(got)} instead of {sorted(expected)}"
        pairs = [(f"{at}.{name}".lstrip("."), expected[name], got[name]) for name in expected]
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{at or 'it'} has {len(got)} entries instead of {len(expected)}"
        both = enumerate(zip(expected, got, strict=True))
        pairs = [(f"{at}[{index}]", one, other) for index, (one, other) in both]
    elif _is_number(expected) and _is_number(got):
        if math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance):
            return None
        return f"{at} is {got:g} instead of {expected:g}"
    else:
        return None if expected == got else f"{at} is {got!r} instead of {expected!r}"
    found = (differs(one, other, tolerance=tolerance, at=place) for place, one, other in pairs)
    return next((difference for difference in found if difference), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decode(case: SelfTestCase, card: ModelCard, max_pixels: int) -> Pixels:
    return decode_picture(case.picture, target=card.input, max_pixels=max_pixels)


def _bounded(file: Path, limit_bytes: int) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise ValueError(f"{file.name} is larger than {limit_bytes} bytes")
    return content
