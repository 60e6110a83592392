"""The seam between the dispatcher and what executes a model: one Runtime in each device process.

A runtime is single-threaded by contract: the device process calls it from one thread, one call at a
time, and may be killed in the middle of any call. So an implementation needs no locks and no
clean-up that must run; it may hold the interpreter lock for as long as it likes.

A StagingRuntime besides takes a batch in while another runs: what is staged is run by a second
thread. Nothing else is called while any batch is staged.

Any call may raise DeviceLost where the device, or the process's hold on it, is gone: the supervisor
then ends the process as if it had crashed, and starts another.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from dispatcher.cards.card import Layout, ModelCard, ResizeMode
from dispatcher.pictures.items import Item
from pipeline.errors import InvalidSettings, ModelFault

#: The runtimes that can be named by a word; any other is named ``module:Class``.
BUILT_IN_RUNTIMES: Mapping[str, str] = {
    "onnx": "dispatcher.onnx_runtime:OnnxRuntime",
    "acl": "dispatcher.acl_runtime:AclRuntime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model file. A dimension of -1 is free; *dtype* is a numpy name."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        """Spell it for a person: ``images float32 [?, 3, 640, 640]``."""
        dims = ", ".join("?" if dim < 0 else str(dim) for dim in self.shape)
        return f"{self.name} {self.dtype} [{dims}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What a model file says of itself.

    *batch_sizes* are the only batch sizes it computes (its gears), smallest first; empty means any.
    *memory_bytes* is what it takes on the device when loaded and running the card's largest batch:
    an upper estimate where the runtime cannot tell exactly.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_sizes: tuple[int, ...]
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """How the device is. Numbers are None where nobody can tell them."""

    healthy: bool
    reason: str = ""
    memory_free_bytes: int | None = None
    temperature_c: float | None = None
    utilization_percent: float | None = None
    #: Which kind of chip computes: what was measured on one says nothing of another.
    chip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """How a runtime is set up: its device, and how many CPU threads it may compute with.

    After *infer_timeout_s* the supervisor takes a batch for hung and kills the process; a runtime
    that can give up sooner and say why may do so. 0 means that there is no such limit.
    """

    device_index: int = 0
    threads: int = 1
    infer_timeout_s: float = 0.0


class Runtime(Protocol):
    """Executes model files on one device. Constructed with RuntimeOptions in the device process."""

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Say what the file is and takes, and keep nothing; raises InvalidSettings if unusable."""
        ...

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Make the model ready under *key*; raises InvalidSettings where card and file disagree."""
        ...

    def unload(self, key: str) -> None:
        """Give back what *key* took. Unknown keys are passed over."""
        ...

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch* (batch axis first, contiguous) and give the outputs in the file's order.

        *batch* may be of any size: where the model has gears, it is run in parts and padded. Each
        output has the batch axis first too. *batch* is shared memory and is not written to. Raises
        ModelFault, or anything else, where the model fails on these items.
        """
        ...

    def health(self) -> DeviceHealth:
        """Say how the device is."""
        ...

    def close(self) -> None:
        """Give everything back: the last call before an orderly end, and only there."""
        ...


class StagedBatch(Protocol):
    """A batch whose inputs lie ready on the device. In this order: start, wait, collect, release.

    The first three are called by the thread that runs, one batch's start and wait after the
    other's; release may come at any moment after, and comes always. Each raises ModelFault, or
    anything else, where the model fails on these items.
    """

    @property
    def fell_back(self) -> Mapping[int, str]:
        """The encoded items that the device did not decode itself, by position, and why."""
        ...

    def start(self) -> None:
        """Have the device begin."""
        ...

    def wait(self) -> None:
        """Wait until it is through."""
        ...

    def collect(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Fill *outputs*: C-contiguous, in the file's order, an entry for each item."""
        ...

    def release(self) -> None:
        """Give the room of the batch back."""
        ...


@runtime_checkable
class StagingRuntime(Runtime, Protocol):
    """A runtime that has room for two batches of each model, and can decode items itself."""

    def largest_stage(self, key: str) -> int:
        """Say how many items can be staged at once; raises ContractBroken for an unknown key."""
        ...

    def output_specs(self, key: str) -> Sequence[TensorSpec]:
        """Give the outputs, whose first axis is the batch whatever it says."""
        ...

    def stage(self, key: str, items: Sequence[Item]) -> StagedBatch:
        """Bring *items* to the device, decoded where they are not.

        Raises ModelFault where they do not fit, UndecodablePicture where nobody can decode one.
        """
        ...

    def adopt_thread(self) -> None:
        """Make the device known to the calling thread, which is going to run batches."""
        ...


def create_runtime(name: str, options: RuntimeOptions) -> Runtime:
    """Construct the runtime called *name*: a word from BUILT_IN_RUNTIMES, or ``module:Class``."""
    target = BUILT_IN_RUNTIMES.get(name, name)
    module_name, colon, class_name = target.partition(":")
    if not colon:
        known = ", ".join(BUILT_IN_RUNTIMES)
        raise InvalidSettings(f'there is no runtime "{name}"; known: {known}, or module:Class')
    try:
        runtime_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as exc:
        raise InvalidSettings(f'runtime "{name}" is not available here: {exc}') from exc
    runtime: Runtime = runtime_class(options)
    return runtime


def check_fit(card: ModelCard, description: ModelDescription) -> None:
    """Raise InvalidSettings with every way in which the card contradicts the model file."""
    contradictions = list(_contradictions(card, description))
    if contradictions:
        raise InvalidSettings(
            f"model.toml of {card.name} contradicts the model file: " + "; ".join(contradictions)
        )


def _contradictions(card: ModelCard, description: ModelDescription) -> Iterator[str]:
    if len(description.inputs) != 1:
        names = ", ".join(str(spec) for spec in description.inputs)
        yield f"the file takes {len(description.inputs)} inputs ({names}); gw feeds exactly one"
        return
    tensor = description.inputs[0]
    if tensor.dtype != card.input.dtype:
        yield f"the file takes {tensor}, the card gives dtype {card.input.dtype}"
    if len(tensor.shape) != 4:
        yield f"the file takes {tensor}; gw feeds four axes"
        return
    for axis, given, key in _card_axes(card):
        wanted = tensor.shape[axis]
        if given is None and wanted >= 0:
            yield f'the file takes {tensor}, whose axis {axis} is fixed; resize "free" is not'
        elif given is not None and wanted not in (-1, given):
            yield f"the file takes {tensor}, the card gives {given} on axis {axis} ({key})"
    for output in description.outputs:
        if not output.shape or output.shape[0] not in (-1, tensor.shape[0]):
            yield f"the output {output} does not have the batch as its first axis"


def _card_axes(card: ModelCard) -> tuple[tuple[int, int | None, str], ...]:
    """Give axis, size (None for free) and key for each axis of the input but the batch."""
    free = card.input.resize is ResizeMode.FREE
    height = None if free else card.input.height_px
    width = None if free else card.input.width_px
    if card.input.layout is Layout.NV12:
        rows = card.input.height_px * 3 // 2
        return (1, rows, "height_px"), (2, width, "width_px"), (3, 1, "layout")
    if card.input.layout is Layout.NCHW:
        return (1, 3, "layout"), (2, height, "height_px"), (3, width, "width_px")
    return (1, height, "height_px"), (2, width, "width_px"), (3, 3, "layout")


def checked_outputs(
    outputs: Mapping[str, NDArray[Any]], batch_size: int
) -> Mapping[str, NDArray[Any]]:
    """Give *outputs* back, or raise ModelFault where one does not have an entry for each item."""
    for name, values in outputs.items():
        if values.ndim == 0 or values.shape[0] != batch_size:
            raise ModelFault(
                f"the model gave its output {name!r} the shape {values.shape} "
                f"for a batch of {batch_size}"
            )
    return outputs


def split_by_gears(batch_size: int, gears: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (start, stop, gear): parts of the largest gear, the rest in the smallest that fits.

    Items ``start`` to ``stop`` run in a batch of *gear*, padded where it is larger. Without gears
    everything is one part.
    """
    if not gears:
        yield 0, batch_size, batch_size
        return
    start = 0
    while start < batch_size:
        rest = batch_size - start
        gear = min((g for g in gears if g >= rest), default=max(gears))
        stop = min(batch_size, start + gear)
        yield start, stop, gear
        start = stop
