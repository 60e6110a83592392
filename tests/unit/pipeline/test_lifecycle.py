"""A service's life, as a real process and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.lifecycle import sleep_or_stop

PROGRAM = "tests.unit.pipeline.lifecycle_program"

#: A hung child must not hang the tests.
LIMIT_S = 20


@contextmanager
def program(behaviour: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program while the block lasts."""
    with subprocess.Popen(
        [sys.executable, "-m", PROGRAM, behaviour],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that the program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def events(stderr: str) -> list[dict[str, object]]:
    """Give the logged events."""
    return [json.loads(line) for line in stderr.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_it_finish(number: signal.Signals) -> None:
    """The service is told to stop, finishes, and ends with 0."""
    with program("polite", GW_LOG_FORMAT="json") as process:
        assert said(process) == "up"
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 0
    assert out == "finished\n"
    (event,) = events(err)
    assert (event["event"], event["signal"]) == ("service.stopping", number.name)


def test_the_second_signal_ends_it_at_once() -> None:
    """A service that does not come to an end is ended by asking again."""
    with program("stubborn") as process:
        assert said(process) == "up"
        process.send_signal(signal.SIGTERM)
        assert said(process) == "finishing"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)

    assert process.returncode == 130


def test_a_bad_setting_is_refused_with_a_sentence() -> None:
    """The variable and what is allowed are named, without a traceback, and the code is 2."""
    with program("polite", GW_LOG_LEVEL="loud", GW_GRACE_S="-1") as process:
        out, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 2
    assert out == ""
    (line,) = err.splitlines()
    assert "service.refused" in line
    assert "GW_LOG_LEVEL: 'loud' is not allowed; allowed: debug, info, warning, error" in line
    assert "GW_GRACE_S: -1 is out of range; allowed: 0 to 600" in line


def test_a_dying_task_ends_the_service() -> None:
    """A side task that breaks stops everything; the log says why, and the code is 1."""
    with program("dying", GW_LOG_FORMAT="json") as process:
        _, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 1
    (event,) = events(err)
    assert event["event"] == "service.died"
    assert "RuntimeError: the side task broke" in str(event["traceback"])


async def test_waiting_ends_with_the_stop() -> None:
    """A long wait ends as soon as the event is set, and tells so."""
    stop = asyncio.Event()
    waiting = asyncio.create_task(sleep_or_stop(stop, 3600))
    stop.set()

    assert await asyncio.wait_for(waiting, LIMIT_S)


async def test_waiting_ends_with_its_time() -> None:
    """Without a stop the time runs out, and it tells that too."""
    assert not await sleep_or_stop(asyncio.Event(), 0)
