"""The reference: one process, two threads, decode + infer + reduce, and nothing around it.

It is made of the dispatcher's own functions and runs the same file with the same settings of the
runtime, so what it lacks is the platform: HTTP, durability, queues, processes, webhooks.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

from bench.processes import busy_s, cores
from dispatcher.decoders import NamedOutput, reduce_outputs
from dispatcher.models.repository import ModelVersion, scan
from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from dispatcher.runtime import RuntimeOptions
from pipeline.errors import InvalidSettings
from pipeline.pictures.header import read_picture_header

_MAX_PIXELS = 50_000_000
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BareLoop:
    """What to run: *count* pictures of *model*, in batches of *batch_size*."""

    models: Path
    model: str
    pictures: tuple[bytes, ...] = field(repr=False)
    count: int
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BareResult:
    """What it took. The stages' times are medians per picture; *infer_ms* per batch.

    *others_cpu_s* is the CPU time of everything else on the machine meanwhile.
    """

    count: int
    batch_size: int
    wall_s: float
    cpu_s: float
    others_cpu_s: float
    decode_ms: float
    infer_ms: float
    reduce_ms: float

    @property
    def per_s(self) -> float:
        """Pictures per second."""
        return self.count / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per picture."""
        return self.cpu_s * 1e3 / self.count


def run_bare_loop(loop: BareLoop, *, threads: int = 2) -> BareResult:
    """Run *loop* in a process of its own with so many *threads*, each doing the whole chain."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, loop, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_TIMEOUT_S):
            raise TimeoutError(f"the bare loop was not through after {_TIMEOUT_S:g} s")
        result: BareResult = ours.recv()
    finally:
        process.terminate()
        process.join()
    return result


def max_batch_size(models: Path, model: str) -> int:
    """Give the largest batch that the model's card allows."""
    return _find(models, model).card.batching.max_size


def _run(pipe: Connection, loop: BareLoop, threads: int) -> None:
    version = _find(loop.models, loop.model)
    runtime = OnnxRuntime(RuntimeOptions(threads=cores()))
    runtime.load(version.key, version.card, version.path)
    chain = _Chain(loop, version, runtime)
    chain.run(count=2 * threads * loop.batch_size, threads=threads)
    chain.stages = _Stages()
    busy_before_s, cpu_before_s = busy_s(), time.process_time()
    started_s = time.perf_counter()
    chain.run(count=loop.count, threads=threads)
    wall_s = time.perf_counter() - started_s
    cpu_s = time.process_time() - cpu_before_s
    pipe.send(
        BareResult(
            count=loop.count,
            batch_size=loop.batch_size,
            wall_s=wall_s,
            cpu_s=cpu_s,
            others_cpu_s=max(0.0, busy_s() - busy_before_s - cpu_s),
            decode_ms=median(chain.stages.decode_s) * 1e3,
            infer_ms=median(chain.stages.infer_s) * 1e3,
            reduce_ms=median(chain.stages.reduce_s) * 1e3,
        )
    )


@dataclass(slots=True, kw_only=True)
class _Stages:
    """The time of each call; lists grow from both threads."""

    decode_s: list[float] = field(default_factory=list)
    infer_s: list[float] = field(default_factory=list)
    reduce_s: list[float] = field(default_factory=list)


class _Chain:
    """Pictures through the model, batch by batch; *stages* grows."""

    def __init__(self, loop: BareLoop, version: ModelVersion, runtime: OnnxRuntime) -> None:
        self._loop = loop
        self._version = version
        self._runtime = runtime
        # The pictures of a measurement are of one size, and so are the inputs made of them.
        header = read_picture_header(loop.pictures[0])
        self._placement = plan((header.width_px, header.height_px), version.card.input)
        self.stages = _Stages()

    def run(self, *, count: int, threads: int) -> None:
        """Process *count* pictures."""
        firsts = iter(range(0, count, self._loop.batch_size))
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    first = next(firsts, None)
                if first is None:
                    return
                self._process(first, min(self._loop.batch_size, count - first))

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _process(self, first: int, size: int) -> None:
        card, pictures = self._version.card, self._loop.pictures
        batch = np.empty((size, *item_shape(self._placement, card.input)), card.input.dtype)
        for index, out in enumerate(batch):
            started_s = time.perf_counter()
            data = pictures[(first + index) % len(pictures)]
            pixels = decode_picture(data, target=card.input, max_pixels=_MAX_PIXELS)
            write_tensor(pixels, self._placement, card.input, out)
            self.stages.decode_s.append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
        outputs = self._runtime.infer(self._version.key, batch)
        self.stages.infer_s.append(time.perf_counter() - started_s)
        named = [NamedOutput(name=name, values=values) for name, values in outputs.items()]
        for index in range(size):
            started_s = time.perf_counter()
            reduce_outputs(card.decoder, named, self._placement, item=index)
            self.stages.reduce_s.append(time.perf_counter() - started_s)


def _find(models: Path, model: str) -> ModelVersion:
    version = scan(models).find(model)
    if version is None:
        raise InvalidSettings(f"{models} has no usable model {model}")
    return version
