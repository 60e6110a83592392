"""The supervisor's handle on one device: calls with time limits, restarts, and the state it is in.

The device process may be killed at any moment, by us when a call takes too long; it is then started
anew and gets its models back. A call that it was on is lost (DeviceLost); calls behind that one are
sent to the next process as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import ModelCard
from dispatcher.decoders.outputs import NamedOutput
from dispatcher.device.arena import Arena, Block, SharedMemory, aligned
from dispatcher.device.busy import BusyMeter
from dispatcher.device.child import DeviceProcess, NotRun
from dispatcher.device.errors import DeviceLost, DeviceUnavailable, ModelNotLoaded
from dispatcher.device.keeper import ProcessKeeper
from dispatcher.device.messages import (
    Describe,
    Described,
    Done,
    EncodedPlace,
    Failed,
    HealthRead,
    Infer,
    Inferred,
    Load,
    OutputsTooLarge,
    ReadHealth,
    Reply,
    Start,
    Unload,
)
from dispatcher.device.state import DeviceState
from dispatcher.models.repository import ModelVersion
from dispatcher.pictures.items import EncodedItem, Item
from dispatcher.runtime import DeviceHealth, ModelDescription, RuntimeOptions
from pipeline.errors import ContractBroken, GwError, InvalidSettings, ModelFault

log = logging.getLogger(__name__)

# One batch runs while the next lies ready, so the device does not wait for us in between.
_INFER_IN_FLIGHT = 2
# Room for outputs before the first run has shown how large they are: rarely more than the inputs.
_FIRST_OUTPUT_BYTES = 1 << 16
_OUTPUT_SLACK_BYTES = 1 << 12

_R = TypeVar("_R", Described, Done, HealthRead)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """What a Device is made from. *runtime* is a word or ``module:Class``."""

    runtime: str
    options: RuntimeOptions = RuntimeOptions()
    input_bytes: int = 192 << 20
    output_bytes: int = 64 << 20
    start_timeout_s: float = 60.0
    busy_window_s: float = 60.0


class Inference:
    """The outputs of one batch, as views on shared memory until release."""

    def __init__(
        self,
        outputs: tuple[NamedOutput, ...],
        device_ms: float,
        block: Block,
        fell_back: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.outputs = outputs
        self.device_ms = device_ms
        #: The encoded items, by position, that the device could not decode, and why.
        self.fell_back = fell_back
        self._block = block

    def release(self) -> None:
        """Give the memory back: the outputs must not be read any more."""
        self._block.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(slots=True, kw_only=True)
class _LoadedModel:
    version: ModelVersion
    timeout_s: float
    # The most output bytes for an input byte that any run has shown; None before the first.
    output_ratio: float | None = None


class Device:
    """One device. Its *inputs* arena is where items are decoded to.

    Use from one event loop, in the main thread. Every call waits while the device restarts, and
    raises DeviceUnavailable if a start fails; *timeout_s* counts from when the call begins to run.
    """

    def __init__(self, config: DeviceConfig) -> None:
        self._config = config
        self._name = f"gw-device-{config.options.device_index}"
        input_bytes, output_bytes = aligned(config.input_bytes), aligned(config.output_bytes)
        self._memory = SharedMemory.create(input_bytes + output_bytes)
        self.inputs = Arena(self._memory, 0, input_bytes)
        # Apart from the inputs: a batch holds inputs while it waits for room for its outputs.
        self._outputs = Arena(self._memory, input_bytes, output_bytes)
        self.keeper = ProcessKeeper(self._name, self._start_process)
        self.busy = BusyMeter(window_s=config.busy_window_s)
        self._loaded: dict[str, _LoadedModel] = {}
        self._infer_slots = asyncio.Semaphore(_INFER_IN_FLIGHT)
        self._running: set[asyncio.Task[Inference]] = set()

    @property
    def state(self) -> DeviceState:
        """How the device is, as far as the supervisor knows."""
        return self.keeper.state

    @property
    def loaded(self) -> Mapping[str, ModelVersion]:
        """The models that the device holds; a restart may lose one that no longer loads."""
        return {key: model.version for key, model in self._loaded.items()}

    @property
    def pid(self) -> int | None:
        """The id of the running device process, if any."""
        return self.keeper.pid

    async def start(self) -> None:
        """Start the device process; raises DeviceUnavailable with the reason if it cannot."""
        await self.keeper.start()

    async def stop(self) -> None:
        """End the device process and fail what waits for it; the device cannot start again."""
        await self.keeper.stop()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._memory.close()

    async def describe(self, card: ModelCard, path: Path, *, timeout_s: float) -> ModelDescription:
        """Say what a model file is; raises InvalidSettings if it is unusable."""
        reply = await self.keeper.call(Describe(card=card, path=path), timeout_s)
        return _expect(reply, Described).description

    async def load(self, version: ModelVersion, *, timeout_s: float) -> ModelDescription:
        """Make *version* ready, now and after each restart; raises InvalidSettings if it cannot."""
        request = Load(key=version.key, card=version.card, path=version.path)
        reply = _expect(await self.keeper.call(request, timeout_s), Described)
        self._loaded[version.key] = _LoadedModel(version=version, timeout_s=timeout_s)
        return reply.description

    async def unload(self, key: str, *, timeout_s: float) -> None:
        """Give back what *key* took. Unknown keys are passed over."""
        self._loaded.pop(key, None)
        _expect(await self.keeper.call(Unload(key=key), timeout_s), Done)

    async def health(self, *, timeout_s: float) -> DeviceHealth:
        """Ask the runtime how the device is; it answers between batches."""
        return _expect(await self.keeper.call(ReadHealth(), timeout_s), HealthRead).health

    async def infer(self, key: str, items: Sequence[Item], *, timeout_s: float) -> Inference:
        """Run *items* as one batch: of one shape and dtype, contiguous within *inputs*.

        They may be released once this returns or raises. Cancelled, the batch still runs, and what
        it gives is dropped. Raises ModelFault if the model fails on the batch, UndecodablePicture
        if an encoded item is broken, DeviceLost if the process crashes or hangs on it,
        DeviceUnavailable if it never ran.
        """
        # On its own, since the device process writes to the outputs' memory whether or not
        # anybody still waits for them.
        task = asyncio.get_running_loop().create_task(self._infer(key, items, timeout_s))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_release_unwanted)
            raise

    async def _infer(self, key: str, items: Sequence[Item], timeout_s: float) -> Inference:
        offsets, item = self._places(items)
        input_bytes = len(items) * math.prod(item.shape) * np.dtype(item.dtype).itemsize
        async with self._infer_slots:
            model = self._model(key)
            output_bytes = self._expected_output_bytes(model, input_bytes)
            while True:
                block = await self._outputs.allocate(output_bytes)
                request = Infer(
                    key=key,
                    offsets=offsets,
                    shape=item.shape,
                    dtype=np.dtype(item.dtype).str,
                    encoded=_encoded(items),
                    output_offset=block.offset,
                    output_bytes=block.size_bytes,
                )
                try:
                    # The check is for a restart in between that could not load the model again.
                    reply = await self.keeper.call(
                        request, timeout_s, check=lambda: self._model(key)
                    )
                except DeviceLost as exc:
                    if exc.is_gone:
                        block.release()
                    raise
                except BaseException:
                    block.release()
                    raise
                if isinstance(reply, Inferred):
                    ratio = reply.used_bytes / max(1, input_bytes)
                    model.output_ratio = max(model.output_ratio or 0.0, ratio)
                    return self._inference(reply, block)
                block.release()
                output_bytes = self._larger(reply, output_bytes)

    def _places(self, items: Sequence[Item]) -> tuple[tuple[int, ...], Item]:
        """Give where the items lie, and one of them for shape and dtype."""
        if not items:
            raise ContractBroken("a batch without items")
        first = items[0]
        if any(item.shape != first.shape or item.dtype != first.dtype for item in items):
            raise ContractBroken("the items of a batch differ in shape or dtype")
        return tuple(self._memory.offset_of(_bytes_of(item)) for item in items), first

    def _model(self, key: str) -> _LoadedModel:
        model = self._loaded.get(key)
        if model is None:
            raise ModelNotLoaded(f"model {key} is not loaded on {self._name}")
        return model

    def _expected_output_bytes(self, model: _LoadedModel, input_bytes: int) -> int:
        if model.output_ratio is None:
            expected = max(_FIRST_OUTPUT_BYTES, input_bytes)
        else:
            expected = math.ceil(model.output_ratio * input_bytes) + _OUTPUT_SLACK_BYTES
        return min(expected, self._outputs.size_bytes)

    def _larger(self, reply: Reply, output_bytes: int) -> int:
        """Give the room that a batch needs whose outputs did not fit *output_bytes*."""
        if isinstance(reply, Failed):
            raise reply.to_error()
        if not isinstance(reply, OutputsTooLarge):
            raise ContractBroken(f"the device process answered a batch with {reply}")
        if not output_bytes < reply.needed_bytes <= self._outputs.size_bytes:
            raise ModelFault(
                f"the outputs of the batch take {reply.needed_bytes} bytes, "
                f"the memory for outputs is {self._outputs.size_bytes}"
            )
        return reply.needed_bytes

    def _inference(self, reply: Inferred, block: Block) -> Inference:
        self.keeper.note_success()
        outputs = tuple(
            NamedOutput(
                name=place.name, values=self._memory.view(place.offset, place.shape, place.dtype)
            )
            for place in reply.outputs
        )
        for _, reason in reply.fell_back:
            log.info("picture.fell_back", extra={"device": self._name, "reason": reason})
        return Inference(outputs, reply.device_ms, block, dict(reply.fell_back))

    async def _start_process(self) -> DeviceProcess:
        """Start a process and give it the models that the last one had."""
        start = Start(runtime=self._config.runtime, options=self._config.options)
        process = await DeviceProcess.start(
            start,
            self._memory,
            name=self._name,
            timeout_s=self._config.start_timeout_s,
            busy=self.busy,
        )
        try:
            for key, model in list(self._loaded.items()):
                await self._reload(process, key, model)
        except BaseException:
            await process.end("was stopped while starting")
            raise
        if not process.alive:
            raise DeviceUnavailable(f"{self._name} {await process.buried()}")
        return process

    async def _reload(self, process: DeviceProcess, key: str, model: _LoadedModel) -> None:
        """Load *model* again; one that is refused, or ends the process, is not tried again."""
        request = Load(key=key, card=model.version.card, path=model.version.path)
        try:
            _expect(await process.call(request, model.timeout_s), Described)
        except InvalidSettings as exc:
            self._drop(key, exc)
        except DeviceLost as exc:
            self._drop(key, exc)
            raise DeviceUnavailable(f"loading {key} again: {exc}") from exc
        except NotRun as exc:
            reason = await process.buried()
            raise DeviceUnavailable(f"{self._name} {reason} before loading {key} again") from exc

    def _drop(self, key: str, error: GwError) -> None:
        del self._loaded[key]
        log.error("device.model_dropped", extra={"model": key, "reason": str(error)})


def _expect(reply: Reply, kind: type[_R]) -> _R:
    """Give *reply* as the *kind* that the request is answered by, or raise what it failed with."""
    if isinstance(reply, Failed):
        raise reply.to_error()
    if not isinstance(reply, kind):
        raise ContractBroken(f"the device process answered {reply}, not {kind.__name__}")
    return reply


def _bytes_of(item: Item) -> NDArray[Any]:
    return item.data if isinstance(item, EncodedItem) else item


def _encoded(items: Sequence[Item]) -> tuple[EncodedPlace | None, ...]:
    """Describe the items that the device decodes; empty where it is none."""
    if not any(isinstance(item, EncodedItem) for item in items):
        return ()
    return tuple(
        EncodedPlace(size_bytes=item.data.nbytes, placement=item.placement)
        if isinstance(item, EncodedItem)
        else None
        for item in items
    )


def _release_unwanted(task: asyncio.Task[Inference]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().release()
