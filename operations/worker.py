"""The RQ worker: a process of its own, ``python -m operations.worker QUEUE NAME``.

RQ's worker blocks and has the main thread for its signals, so it cannot share a process with the
service's event loop. It forks a process for each operation; both die with whoever started them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from types import FrameType
from typing import Final

from operations import stopping
from operations.rq_names import (
    MAINTENANCE_INTERVAL_S,
    SERIALIZER,
    WORKER_TTL_S,
    Queue,
    RqRecord,
    Worker,
    connect_rq,
)
from operations.settings import OperationsSettings
from pipeline import log as logs
from pipeline.batches.batch import OperationsQueue
from pipeline.settings import load

_PR_SET_PDEATHSIG: Final = 1


class OperationsWorker(Worker):
    """RQ's forking worker, whose operations are told when the service stops."""

    def handle_warm_shutdown_request(self) -> None:
        """Tell the operation under way to hand back; RQ then waits for it."""
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """Let an operation see SIGTERM as a wish, at its next boundary."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _on_stop)

    def main_work_horse(self, job: RqRecord, queue: Queue) -> None:
        """Work one operation, and die with the worker."""
        die_with_parent(os.getppid())
        super().main_work_horse(job, queue)


def _on_stop(_number: int, _frame: FrameType | None) -> None:
    stopping.ask()


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the process that started this one ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the service is gone")


def main(queue: str, name: str) -> None:
    """Work *queue* under *name* until told to stop."""
    die_with_parent(os.getppid())
    settings = load(OperationsSettings, os.environ)
    service = OperationsQueue(queue).service
    logs.configure(service, level=settings.service.log_level, style=settings.service.log_format)
    # Its own story of every job: ours is told by events.
    logging.getLogger("rq").setLevel(logging.ERROR)
    for part in ("worker", "job", "queue", "registry", "scripts"):
        logging.getLogger(f"rq.{part}").setLevel(logging.ERROR)
    worker = OperationsWorker(
        [queue],
        name=name,
        connection=connect_rq(settings.service.redis),
        serializer=SERIALIZER,
        maintenance_interval=MAINTENANCE_INTERVAL_S,
        worker_ttl=WORKER_TTL_S,
        job_monitoring_interval=10,
        log_job_description=False,
    )
    worker.work(logging_level="ERROR")


if __name__ == "__main__":
    main(*sys.argv[1:])
