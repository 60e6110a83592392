"""From a model's outputs for one item to what goes on: findings, or the outputs in a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dispatcher.decoders import NamedOutput, reduce_outputs
from dispatcher.device.isolation import ItemOutputs
from dispatcher.scheduling.backlog import ReadyJob
from pipeline.clock import Clock
from pipeline.errors import JobFault, ModelFault, Unavailable
from pipeline.jobs.job import Job
from pipeline.jobs.kept import KeptPictures
from pipeline.models.findings import Findings
from pipeline.models.tensors import TensorFacts, datatype_of


class OutputsUnstored(JobFault):
    """The model has answered, but its outputs could not be written to the disk."""

    code = "outputs_unstored"


class Reducer:
    """Reduces outputs. Calls may block: make them in a thread.

    A file of outputs is kept for *retention_s*: it is large, and read at once or not at all.
    """

    def __init__(self, *, kept: KeptPictures, clock: Clock, retention_s: int) -> None:
        self._kept = kept
        self._clock = clock
        self._retention_s = retention_s

    def reduce(self, ready: ReadyJob, item: ItemOutputs) -> Findings:
        """Give what the model found in one item; raises JobFault.

        For a job that asks for raw outputs these are on the disk on return, and survive a crash.
        """
        if ready.held.job.raw_outputs:
            return self._kept_outputs(ready.held.job, item)
        card = ready.model.card
        return reduce_outputs(card.decoder, item.outputs, ready.placement, item=item.item)

    def _kept_outputs(self, job: Job, item: ItemOutputs) -> Findings:
        facts, parts = [], []
        for output, data in _rows(item):
            facts.append(output)
            parts.append(data)
        until_unix_ms = self._clock.unix_ms() + self._retention_s * 1000
        try:
            self._kept.put_outputs(job.job_id, b"".join(parts), until_unix_ms=until_unix_ms)
        except Unavailable as exc:
            raise OutputsUnstored("the model's outputs cannot be stored") from exc
        return Findings(kind="outputs", outputs=tuple(facts))


def _rows(item: ItemOutputs) -> Iterator[tuple[TensorFacts, bytes]]:
    for output in item.outputs:
        row = output.item(item.item)
        datatype = datatype_of(row.dtype.name)
        if not datatype:
            raise ModelFault(_untold(output))
        # Every machine that gw runs on is little-endian, as the file is.
        yield (
            TensorFacts(name=output.name, datatype=datatype, shape=tuple(row.shape)),
            np.ascontiguousarray(row).tobytes(),
        )


def _untold(output: NamedOutput) -> str:
    return f"the model's output {output.name!r} is of {output.values.dtype}, which has no raw form"
