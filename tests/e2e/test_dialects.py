"""Clients of other platforms, as PyPI has them, against the whole stack."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import fal_client
import fal_client.client
import httpx
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.webhook import Webhooks, WebhookSigningSecret

from tests.e2e.embedded import PICTURE, Embedded, embedded, gw
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.waiting import wait_until

DATA_URL = "data:image/jpeg;base64," + base64.b64encode(PICTURE).decode()
INPUT = {"image": DATA_URL, "camera": "gate-3"}


@pytest.mark.timeout(180)
async def test_clients_of_other_platforms_work_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each makes, reads, lists, waits for and cancels jobs, its own and those of the others."""
    async with (
        WebhookReceiver() as receiver,
        embedded(tmp_path, {"GW_EGRESS_ALLOW": f"127.0.0.1/32:{receiver.port}"}) as stack,
    ):
        url = str(stack.http.base_url).rstrip("/")
        made = gw("keys", "create", "--data", str(stack.data), "--default-model", "mean")
        token = made.stdout.strip()
        scoped = gw(
            "keys", "create", "--data", str(stack.data), "--scope", "manage_webhooks"
        ).stdout.strip()
        secret = await asyncio.to_thread(_secret, url, scoped)
        prediction = await asyncio.to_thread(_replicate, url, token, receiver.url("204"))
        await asyncio.to_thread(_cog, url, token, prediction)
        monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{url}/fal/")
        monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{url}/fal-run/")
        request_id = await asyncio.to_thread(_fal, token, prediction, receiver.url("204"))
        await _aip(stack, token, prediction)

        await wait_until(lambda: len(receiver.requests) == 2, timeout_s=30)
        told = {json.loads(each.body).get("id", ""): each for each in receiver.requests}
        for each in told.values():
            Webhooks.validate(headers=dict(each.headers), body=each.body.decode(), secret=secret)
        assert json.loads(told[prediction["id"]].body)["output"] == prediction["output"]
        of_fal = json.loads(told[""].body)
        assert (of_fal["request_id"], of_fal["status"]) == (request_id, "OK")
        assert of_fal["payload"]["model"] == "mean"
        await _ids_survive_a_kill(stack, token)


def _secret(url: str, token: str) -> WebhookSigningSecret:
    client = Client(api_token=token, base_url=url)
    secret = client.webhooks.default.secret()
    client._client.close()
    return secret


def _replicate(url: str, token: str, webhook: str) -> dict[str, Any]:
    client = Client(api_token=token, base_url=url)
    client.poll_interval = 0.05
    outputs: list[Any] = [
        client.run("gw/mean", input=INPUT),
        client.run("gw/mean:mean:1", input=INPUT),
        client.run(
            "anybody/mean",
            input={"image": io.BytesIO(PICTURE)},
            wait=False,
            file_encoding_strategy="base64",
        ),
    ]
    assert [output["model"] for output in outputs] == ["mean"] * 3

    by_model = client.models.predictions.create(("gw", "mean"), input=INPUT)
    by_model.wait()
    assert (by_model.status, by_model.input) == ("succeeded", {"camera": "gate-3"})
    with pytest.raises(ReplicateError, match="data URL"):
        client.run("gw/mean", input={"image": io.BytesIO(PICTURE)})
    with pytest.raises(ReplicateError, match="There is no model 'none'"):
        client.predictions.create("none", input=INPUT)

    prediction = client.predictions.create(
        "mean:1", input=INPUT, webhook=webhook, webhook_events_filter=["completed"]
    )
    prediction.wait()
    assert prediction.output is not None
    assert prediction.output["model"] == "mean"
    assert client.predictions.get(prediction.id).output == prediction.output
    assert client.predictions.cancel(prediction.id).status == "succeeded"
    listed = [each.id for each in client.predictions.list()]
    assert listed[0] == prediction.id
    assert by_model.id in listed
    model = client.models.get("gw/mean")
    assert model.latest_version is not None
    assert model.latest_version.id == "mean:1"
    assert [each.id for each in model.versions.list()] == ["mean:1"]
    client._client.close()
    return dict(prediction.dict())


def _cog(url: str, token: str, prediction: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        done = http.post("/predictions", json={"input": INPUT})
        assert (done.status_code, done.json()["status"]) == (200, "succeeded")
        put = http.put("/predictions/shift-7", json={"input": INPUT})
        again = http.put("/predictions/shift-7", json={"input": INPUT})
        assert (put.status_code, put.json()["id"]) == (200, "shift-7")
        assert again.json() == put.json()
        assert http.get("/predictions/shift-7").json() == put.json()
        assert http.get(f"/predictions/{prediction['id']}").json()["output"] is not None
        assert http.get("/health-check").json()["status"] == "READY"


def _fal(token: str, prediction: dict[str, Any], webhook: str) -> str:
    client = fal_client.SyncClient(key=token)
    arguments = {"image_url": DATA_URL, "camera": "gate-3"}
    seen: list[fal_client.Status] = []
    output = client.subscribe(
        "gw/mean", arguments, with_logs=True, on_queue_update=seen.append, interval=0.02
    )
    assert output["model"] == "mean"
    assert isinstance(seen[-1], fal_client.Completed)
    assert client.run("gw/mean/1", arguments)["model"] == "mean"

    handle = client.submit("gw/mean", arguments, priority="low", webhook_url=webhook)
    assert handle.get(interval=0.02)["model"] == "mean"
    assert client.result("gw/mean", prediction["id"]) == prediction["output"]
    with pytest.raises(fal_client.FalClientHTTPError, match="ALREADY_COMPLETED"):
        handle.cancel()
    with pytest.raises(fal_client.FalClientHTTPError, match="There is no model") as caught:
        client.submit("gw/none", arguments)
    assert (caught.value.status_code, caught.value.error_type) == (404, "bad_request")
    client._client.close()
    return handle.request_id


async def _aip(stack: Embedded, token: str, prediction: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {token}"}
    body = {"image": base64.b64encode(PICTURE).decode()}
    answer = await stack.http.post("/aip", json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["model"] == "mean"
    assert answer.json().keys() == prediction["output"].keys()


async def _ids_survive_a_kill(stack: Embedded, token: str) -> None:
    """Each id makes one job, however often it is put and whoever dies meanwhile."""
    before = sum((await stack.counts()).values())
    headers = {"authorization": f"Bearer {token}", "prefer": "respond-async"}
    answered: dict[str, str] = {}

    async def put(name: str) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                url = f"/predictions/{name}"
                answer = await stack.http.put(url, json={"input": INPUT}, headers=headers)
                if answer.status_code in (200, 202):
                    answered[name] = answer.json()["created_at"]
                    return
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)

    names = [f"order-{number}" for number in range(40)]
    putting = asyncio.gather(*(put(name) for name in names))
    await wait_until(lambda: len(answered) >= 5, timeout_s=30)
    stack.kill("webapp")
    await putting
    first = dict(answered)
    await asyncio.gather(*(put(name) for name in names))

    assert answered == first
    assert sum((await stack.counts()).values()) == before + len(names)
