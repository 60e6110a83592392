"""The operations as RQ calls them: by name, with one word, in a process of their own.

Each may be repeated at any point: our records say how far it is.
"""

from __future__ import annotations

import asyncio
import logging
import os

from operations.parts import OperationParts, operation_parts
from operations.sending_again import sending_again_of
from operations.settings import OperationsSettings
from operations.stopping import HandedBack
from operations.sweeps import SWEEPS
from pipeline.batches.batch import Batch, Step, next_step
from pipeline.errors import GwError
from pipeline.settings import load

log = logging.getLogger(__name__)


def advance_batch(batch_id: str) -> str:
    """Take a batch as far as it gets without waiting for its jobs; give the state it is left in."""
    return asyncio.run(_advance(batch_id))


def send_again(operation_id: str) -> str:
    """Put the deliveries of an operation on their way; give the state it is left in."""
    return asyncio.run(_send_again(operation_id))


def sweep(name: str) -> int:
    """Run the sweep of this name; give how much it cleared."""
    return asyncio.run(_sweep(name))


async def _advance(batch_id: str) -> str:
    async with operation_parts(load(OperationsSettings, os.environ)) as parts:
        try:
            while True:
                batch = await parts.batches.get(batch_id)
                step = next_step(batch) if batch else None
                if batch is None or step is None:
                    return batch.state if batch else "gone"
                await _take(parts, batch, step)
        except HandedBack:
            log.info("operation.handed_back", extra={"operation": batch_id})
            return "handed back"
        except GwError as exc:
            log.warning("operation.failed", extra={"operation": batch_id, "reason": str(exc)})
            raise


async def _send_again(operation_id: str) -> str:
    async with operation_parts(load(OperationsSettings, os.environ)) as parts:
        try:
            return await sending_again_of(parts).run(operation_id)
        except HandedBack:
            log.info("operation.handed_back", extra={"operation": operation_id})
            return "handed back"
        except GwError as exc:
            log.warning("operation.failed", extra={"operation": operation_id, "reason": str(exc)})
            raise


async def _take(parts: OperationParts, batch: Batch, step: Step) -> None:
    match step:
        case Step.EXPAND:
            await parts.expansion().run(batch, parts.source(batch))
        case Step.WITHDRAW:
            await parts.finishing().withdraw(batch)
        case Step.FINISH:
            await parts.finishing().finish(batch)


async def _sweep(name: str) -> int:
    async with operation_parts(load(OperationsSettings, os.environ)) as parts:
        cleared = await SWEEPS[name](parts)
        if cleared:
            log.info("sweep.cleared", extra={"sweep": name, "count": cleared})
        return cleared
