"""Inference within one request: a tensor through the whole pipeline and back, binary and JSON."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from bench.models import ECHO, ECHO_SIDE_PX, write_echo
from bench.report import Figure, Report
from bench.scale import Scale
from bench.stack import RunningStack, running_stack
from pipeline.errors import Unavailable

NAME = "inference"
_HEADER = "Inference-Header-Content-Length"
#: A JSON call costs some 20 times a binary one.
_JSON_SHARE = 10


def measure(scale: Scale) -> Report:
    """Measure calls one after the other over one connection, with a model that gives its input."""
    values = np.random.default_rng(3).random((1, 3, ECHO_SIDE_PX, ECHO_SIDE_PX), np.float32)
    tensor = {"name": "x", "shape": list(values.shape), "datatype": "FP32"}
    head = {"parameters": {"binary_data_size": values.nbytes}, **tensor}
    text = json.dumps({"inputs": [head], "parameters": {"binary_data_output": True}}).encode()
    binary = (text + values.tobytes(), {_HEADER: str(len(text))})
    data = json.dumps({"inputs": [{**tensor, "data": values.ravel().tolist()}]}).encode()
    plain: tuple[bytes, dict[str, str]] = (data, {})
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as folder:
        write_echo(Path(folder) / "models")
        with running_stack(Path(folder)) as stack:
            count = scale.latency_jobs
            binary_ms = _calls_ms(stack, *binary, count=count)
            json_ms = _calls_ms(stack, *plain, count=max(5, count // _JSON_SHARE))
    return Report(
        name=NAME,
        figures=tuple(
            Figure(name=f"{form}, p50", value=median(times_ms), unit="ms", reference=reference)
            for form, times_ms, reference in (
                ("binary", binary_ms, "-"),
                ("JSON", json_ms, f"binary {median(binary_ms):.1f} ms"),
            )
        ),
        notes=(
            f"One FP32 tensor of {values.size} values in, the same out; {len(binary_ms)} binary and"
            f" {len(json_ms)} JSON calls over one connection. Each is a durable job: input and"
            " output are synced to the disk on their way.",
        ),
    )


def _calls_ms(
    stack: RunningStack, body: bytes, headers: dict[str, str], *, count: int
) -> list[float]:
    """Give how long each of *count* calls took, after a few that are not counted."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
    sent = {"Authorization": f"Bearer {stack.key}", **headers}
    times_ms = []
    try:
        for number in range(-3, count):
            started_s = time.perf_counter()
            connection.request("POST", f"/v2/models/{ECHO}/infer", body, sent)
            answer = connection.getresponse()
            data = answer.read()
            took_ms = (time.perf_counter() - started_s) * 1e3
            if answer.status != http.HTTPStatus.OK:
                raise Unavailable(f"{answer.status}: {data[:200]!r}")
            if number >= 0:
                times_ms.append(took_ms)
    finally:
        connection.close()
    return times_ms
