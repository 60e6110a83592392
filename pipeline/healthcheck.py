"""A container's health check: asks the service beside it, with nothing but the standard library.

``python -m pipeline.healthcheck`` reads the file that ``GW_HEARTBEAT_FILE`` names, which the
service writes anew at every beat; with ``http`` it asks ``/healthz`` besides. It exits with 0 when
the service lives and can work, and else with 1 and one sentence on standard output, which
``docker inspect`` shows. It runs every few seconds on a small machine: hence so few imports.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence

_STALE_AFTER_MS = 10_000
_PATIENCE_S = 3.0
_LOOPBACK = "127.0.0.1"


def why_unwell(text: str, *, now_unix_ms: int) -> str:
    """Say what a heartbeat's *text* tells against the service; empty if nothing."""
    try:
        beat = json.loads(text)
        age_ms = now_unix_ms - int(beat["beat_unix_ms"])
        reason = str(beat["reason"])
    except (KeyError, TypeError, ValueError) as exc:
        return f"the heartbeat cannot be read: {exc!r}"
    if age_ms >= _STALE_AFTER_MS:
        return f"the last heartbeat is {age_ms // 1000} s old"
    return reason


def why_silent(port: int) -> str:
    """Ask ``/healthz`` on the loopback; say what is wrong, empty if nothing."""
    request = f"GET /healthz HTTP/1.1\r\nHost: {_LOOPBACK}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((_LOOPBACK, port), timeout=_PATIENCE_S) as connection:
            connection.sendall(request.encode("ascii"))
            status = connection.recv(64).split(b"\r\n", 1)[0].split(b" ")
    except OSError as exc:
        return f"port {port} does not answer: {exc}"
    return "" if status[1:2] == [b"200"] else f"GET /healthz answers {status!r}"


def judge(arguments: Sequence[str], environ: Mapping[str, str], *, now_unix_ms: int) -> str:
    """Say why the service is unwell; empty if it is well."""
    path = environ.get("GW_HEARTBEAT_FILE", "")
    try:
        with open(path, encoding="utf-8") as file:
            reason = why_unwell(file.read(), now_unix_ms=now_unix_ms)
    except OSError as exc:
        return f"no heartbeat yet: {exc}"
    if not reason and "http" in arguments:
        reason = why_silent(int(environ.get("GW_HTTP_PORT") or 8080))
    return reason


if __name__ == "__main__":
    unwell = judge(sys.argv[1:], os.environ, now_unix_ms=time.time_ns() // 1_000_000)
    sys.stdout.write(unwell)
    sys.exit(1 if unwell else 0)
