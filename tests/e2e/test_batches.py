"""Batches through the whole stack: as a user submits them, and while processes are killed."""

from __future__ import annotations

import asyncio
import collections
import io
import json
import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import psutil

from tests.e2e.embedded import PICTURE, Embedded, embedded, gw
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

ITEMS = 200
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def archive_of(count: int, *extra: tuple[str, bytes]) -> bytes:
    """Zip *count* pictures, then *extra* entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for index in range(count):
            archive.writestr(f"line-{index % 7}/part-{index:04d}.jpg", PICTURE)
        for name, data in extra:
            archive.writestr(name, data)
    return out.getvalue()


async def submit(stack: Embedded, archive: bytes, **headers: str) -> dict[str, Any]:
    """Submit an archive to the model ``mean``; give the batch."""
    answer = await stack.http.post(
        "/v1/batches",
        params={"model": "mean"},
        content=archive,
        headers={"content-type": "application/zip"} | headers,
    )
    assert answer.status_code == 202, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


async def read(stack: Embedded, path: str) -> dict[str, Any]:
    """Read a document, waiting out a restarting webapp."""

    async def get() -> httpx.Response | None:
        try:
            answer = await stack.http.get(path)
        except httpx.TransportError:
            return None
        return answer if answer.status_code == 200 else None

    answer = await wait_until(get, timeout_s=30)
    document: dict[str, Any] = answer.json()
    return document


async def ended(stack: Embedded, batch: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Wait for a batch's end; give it."""

    async def look() -> dict[str, Any] | None:
        now = await read(stack, batch["links"]["self"])
        return now if now["finished_at"] else None

    document: dict[str, Any] = await wait_until(look, timeout_s=timeout_s)
    return document


async def lines_of(stack: Embedded, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the lines of a batch's results."""
    answer = await stack.http.get(batch["links"]["results"])
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def worker_of(stack: Embedded) -> psutil.Process:
    """Give the worker process of the operations service."""
    service = psutil.Process(stack.services()["operations"]["pid"])
    (worker,) = service.children()
    return worker


async def test_a_batch_survives_the_kill_of_every_process(tmp_path: Path) -> None:
    """However often workers and services die, each picture of an archive has one result."""
    async with embedded(tmp_path, {"GW_BATCH_JOBS_WAITING_MAX": "24"}) as stack:
        before = await stack.counts()
        batch = await submit(stack, archive_of(ITEMS))
        path = batch["links"]["self"]

        async def has_expanded(items: int) -> bool:
            return bool((await read(stack, path))["items"]["expanded"] >= items)

        for items, service in enumerate(
            ("worker", "operations", "dispatcher", "postprocess", "webapp", "worker", "redis")
        ):
            await wait_until(partial(has_expanded, 24 * items + 1), timeout_s=60)
            if service == "worker":
                os.kill(worker_of(stack).pid, 9)
            else:
                stack.kill(service)
        document = await ended(stack, batch, timeout_s=90)
        lines = await lines_of(stack, batch)
        after = await stack.counts()

    assert (document["state"], document["jobs"]["succeeded"]) == ("completed", ITEMS)
    assert document["items"] == {"total": ITEMS, "expanded": ITEMS, "refused": 0}
    assert [line["index"] for line in lines] == list(range(ITEMS))
    assert len({line["job"] for line in lines}) == ITEMS
    assert all(line["state"] == "succeeded" and line["result"] for line in lines)
    assert collections.Counter(after) - collections.Counter(before) == {"succeeded": ITEMS}


def write_video(path: Path, *, frames: int) -> None:
    """Write a video of ten frames in a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 5, np.uint8))
    writer.release()


async def test_a_batch_from_the_command_line_to_the_webhook(tmp_path: Path) -> None:
    """An archive, a video and a list of URLs are expanded, told of once, and read as a table."""
    async with (
        WebhookReceiver(secret=SECRET) as receiver,
        embedded(tmp_path, {"GW_EGRESS_ALLOW": f"127.0.0.1/32:{receiver.port}"}) as stack,
    ):
        webhook = json.dumps({"url": receiver.url("200"), "secret": SECRET})
        mixed = archive_of(3, ("readme.txt", b"hello"), ("in.zip", archive_of(1)))
        batch = await submit(stack, mixed, **{"gw-webhook": webhook})
        document = await ended(stack, batch, timeout_s=60)
        await wait_until(lambda: receiver.requests, timeout_s=30)
        told = json.loads(receiver.requests[0].body)
        data = ("--data", str(stack.data))
        write_video(tmp_path / "belt.avi", frames=20)
        (tmp_path / "urls.txt").write_text(receiver.url("200") + "?token=secret\n")
        submitted = [
            await asyncio.to_thread(
                gw,
                *("batches", "submit", str(tmp_path / name), "--model", "mean", "--wait", "60"),
                *("--json", *extra, *data),
                check=False,
            )
            for name, *extra in (("belt.avi", "--every-frames", "5"), ("urls.txt",))
        ]
        table = gw("batches", "results", batch["id"], "--format", "csv", *data).stdout
        shown = gw("batches", "show", batch["id"], *data).stdout
        listed = gw("batches", "list", *data).stdout

    assert document["items"] == {"total": 5, "expanded": 5, "refused": 2}
    assert document["errors"][1]["code"] == "nested_archive"
    assert receiver.requests[0].is_verified
    assert (told["type"], told["data"]["id"]) == ("batch.completed", batch["id"])
    assert told["data"]["jobs"]["succeeded"] == 3
    assert "errors" not in told["data"]
    video, urls = (json.loads(each.stdout) for each in submitted)
    assert [each.returncode for each in submitted] == [0, 1]
    assert (video["state"], video["jobs"]["succeeded"]) == ("completed", 4)
    assert (urls["state"], urls["items"]["refused"]) == ("completed", 1)
    assert [row.split(",")[3] for row in table.splitlines()[1:]] == ["succeeded"] * 3 + [
        "refused"
    ] * 2
    assert "nested" in shown.lower() or "inside" in shown
    assert "secret" not in listed + shown
    assert len(listed.splitlines()) == 4
