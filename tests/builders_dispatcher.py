"""What the dispatcher handles inside, with defaults for everything."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from dispatcher.cards.card import BatchingSpec, ModelCard
from dispatcher.device.arena import Arena, Block, SharedMemory
from dispatcher.models.repository import ModelVersion
from dispatcher.models.shelf import ShelvedModel
from dispatcher.pictures.geometry import plan
from dispatcher.runtime import ModelDescription, TensorSpec
from dispatcher.scheduling.backlog import HeldJob, ReadyJob
from dispatcher.scheduling.view import WaitingJob
from pipeline.streams import Entry
from tests.builders import make_job
from tests.builders_onnx import make_card

_NUMBERS = count(1)
_TENSOR = TensorSpec(name="x", shape=(-1, 3, 4, 4), dtype="float32")


def make_version(card: ModelCard, *, version: int = 1, file_bytes: int = 1_000_000) -> ModelVersion:
    """Make a version that no file stands behind."""
    return ModelVersion(
        card=card,
        version=version,
        path=Path("/nowhere/model.onnx"),
        file_sha256="c" * 64,
        file_bytes=file_bytes,
    )


def make_shelved(
    name: str = "echo",
    *,
    version: int = 1,
    max_size: int = 8,
    gears: tuple[int, ...] = (),
    memory_bytes: int = 100,
    card: ModelCard | None = None,
) -> ShelvedModel:
    """Make a model on the shelf."""
    card = replace(card or make_card(), name=name, batching=BatchingSpec(max_size=max_size))
    return ShelvedModel(
        version=make_version(card, version=version),
        description=ModelDescription(
            inputs=(_TENSOR,), outputs=(_TENSOR,), batch_sizes=gears, memory_bytes=memory_bytes
        ),
        rules_sha256=card.rules.sha256(),
    )


def make_held(*, stream: str = "infer", turn: float = 0.0, **changes: Any) -> HeldJob:
    """Make a held job with an entry of its own; *changes* are the job's."""
    entry = Entry(stream=stream, entry_id=f"{next(_NUMBERS)}-0", fields={})
    return HeldJob(entry=entry, job=make_job(**changes), claimed_unix_ms=0, turn=turn)


def make_ready(
    model: ShelvedModel,
    *,
    at_ms: float = 0.0,
    priority: int = 1,
    deadline_ms: float | None = None,
    shape: tuple[int, ...] = (3, 4, 4),
    **changes: Any,
) -> ReadyJob:
    """Make a job of *model* that became ready *at_ms*; *changes* are the job's."""
    return ReadyJob(
        held=make_held(**changes),
        model=model,
        block=Block(_arena(), 0, 64),
        shape=shape,
        placement=plan((8, 8), model.card.input),
        waiting=WaitingJob(priority=priority, waiting_since_ms=at_ms, deadline_ms=deadline_ms),
        decode_ms=1.0,
    )


@cache
def _arena() -> Arena:
    memory = SharedMemory.create(4096)
    memory.close_descriptor()
    return Arena(memory, 0, 4096)
