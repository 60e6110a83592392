"""Triton's own client against a whole stack: every method of the protocol, by JSON and binary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
import tritonclient.http.aio as triton_aio  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from tests.conftest import free_port
from tests.e2e.embedded import PICTURE, gw, write_models

#: The mean of each channel of PICTURE, which has one colour, as the card scales it.
COLOUR = np.array([200, 120, 30]) / 255

BATCH = np.random.default_rng(7).random((3, 3, 32, 32), np.float32)
MEANS = BATCH.mean(axis=(2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Where a stack listens, and its key."""

    address: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """Give the headers of one call: the client writes into them."""
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack with the model ``mean``."""
    folder: Path = tmp_path_factory.mktemp("stack")
    port, data = free_port(), folder / "data"
    models = write_models(folder / "models")
    up = ["up", "--detach", "--data", str(data), "--models", str(models), "--port", str(port)]
    try:
        started = gw(*up, check=False)
        assert started.returncode == 0, started.stdout + started.stderr
        key = (data / "api-key").read_text().strip()
        yield Stack(address=f"127.0.0.1:{port}", key=key)
    finally:
        gw("down", "--data", str(data), check=False)


@pytest.fixture
def client(stack: Stack) -> Iterator[Any]:
    """Give the synchronous client; two of its requests may be under way at once."""
    with triton.InferenceServerClient(stack.address, concurrency=2) as client:
        yield client


def tensor(values: Any, *, binary: bool = True, module: Any = triton) -> Any:
    """Give the input of a request."""
    found = module.InferInput("x", list(values.shape), "FP32")
    return found.set_data_from_numpy(values, binary_data=binary)


def pictures(*data: bytes, module: Any = triton) -> Any:
    """Give pictures as the input of a request."""
    found = module.InferInput("x", [len(data)], "BYTES")
    return found.set_data_from_numpy(np.array(data, dtype=np.object_))


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_tensors_come_back_inferred(
    stack: Stack, client: Any, *, binary_in: bool, binary_out: bool, packed: str | None
) -> None:
    """In JSON, in binary and mixed, packed and not: always the same numbers."""
    answer = client.infer(
        "mean",
        [tensor(BATCH, binary=binary_in)],
        outputs=[triton.InferRequestedOutput("mean", binary_data=binary_out)],
        request_id="abc",
        priority=1,
        timeout=30_000_000,
        headers=stack.headers,
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
    )

    assert np.allclose(answer.as_numpy("mean"), MEANS, rtol=1e-5)
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("abc", "mean", "1")
    assert ("data" in answer.get_output("mean")) is not binary_out


def test_the_clients_own_bodies_are_read(stack: Stack) -> None:
    """What it makes without a server, sent by somebody else, and its reading of the answer."""
    body, size = triton.InferenceServerClient.generate_request_body([tensor(BATCH)])
    answer = httpx.post(
        f"http://{stack.address}/v2/models/mean/infer",
        content=body,
        headers=stack.headers | {"inference-header-content-length": str(size)},
        timeout=30,
    )
    result = triton.InferenceServerClient.parse_response_body(
        answer.content, header_length=int(answer.headers["inference-header-content-length"])
    )
    assert np.allclose(result.as_numpy("mean"), MEANS, rtol=1e-5)


def test_pictures_are_inferred_as_files(stack: Stack, client: Any) -> None:
    """Decoded and laid out as any job's; the model's own outputs come back."""
    answer = client.infer("mean", [pictures(PICTURE, PICTURE)], headers=stack.headers)
    assert np.allclose(answer.as_numpy("mean"), [COLOUR, COLOUR], atol=0.01)


def test_a_picture_may_be_all_that_follows_the_json(stack: Stack) -> None:
    """Without its length, and without binary_data_size, as curl sends it."""
    head = b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES"}]}'
    answer = httpx.post(
        f"http://{stack.address}/v2/models/mean/versions/1/infer",
        content=head + PICTURE,
        headers=stack.headers | {"Inference-Header-Content-Length": str(len(head))},
        timeout=30,
    )
    (output,) = answer.json()["outputs"]
    assert (output["shape"], np.allclose(output["data"], COLOUR, atol=0.01)) == ([1, 3], True)


def test_the_best_classes_come_as_text(stack: Stack, client: Any) -> None:
    """Value and index, best first."""
    wanted = triton.InferRequestedOutput("mean", class_count=2)
    answer = client.infer("mean", [pictures(PICTURE)], outputs=[wanted], headers=stack.headers)
    ((best, second),) = answer.as_numpy("mean")
    assert [text.decode().split(":")[1] for text in (best, second)] == ["0", "1"]
    assert abs(float(best.decode().split(":")[0]) - COLOUR[0]) < 0.01


def test_several_are_under_way_at_once(stack: Stack, client: Any) -> None:
    """The client's greenlets, each with its own answer."""
    calls = [
        client.async_infer("mean", [tensor(BATCH[:1] * factor)], headers=stack.headers)
        for factor in (1, 2, 3, 4)
    ]
    answers = [call.get_result().as_numpy("mean") for call in calls]
    expected = [MEANS[:1] * factor for factor in (1, 2, 3, 4)]
    assert np.allclose(answers, expected, rtol=1e-5)


def test_the_server_and_its_models_describe_themselves(stack: Stack, client: Any) -> None:
    """Metadata, readiness, configuration, index and statistics, as the client reads them."""
    own = {"headers": stack.headers}
    client.infer("mean", [tensor(BATCH[:1])], **own)

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mean", **own)
    assert client.is_model_ready("mean", "1", **own)
    assert not client.is_model_ready("mean", "2", **own)
    assert not client.is_model_ready("nope", **own)
    assert {"binary_tensor_data", "statistics"} <= set(client.get_server_metadata()["extensions"])
    assert client.get_model_metadata("mean", "1", **own) == {
        "name": "mean",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 32, 32]}],
        "outputs": [{"name": "mean", "datatype": "FP32", "shape": [-1, 3]}],
    }
    config = client.get_model_config("mean", **own)
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (4, [3, 32, 32])
    (row,) = client.get_model_repository_index(**own)
    assert (row["name"], row["version"], row["state"]) == ("mean", "1", "READY")
    for statistics in (
        client.get_inference_statistics("mean", "1", **own),
        client.get_inference_statistics(**own),
    ):
        (told,) = statistics["model_stats"]
        assert (told["name"], told["version"]) == ("mean", "1")
        assert told["inference_stats"]["success"].keys() == {"count", "ns"}
    settings = client.get_log_settings(**own)
    assert client.update_log_settings({"log_info": settings["log_info"]}, **own) == settings


def test_a_model_is_unloaded_and_loaded_again(stack: Stack, client: Any) -> None:
    """On return it is so; an unknown one is told."""
    own = {"headers": stack.headers}
    client.unload_model("mean", **own)
    assert not client.is_model_ready("mean", **own)
    with pytest.raises(InferenceServerException, match="unloaded"):
        client.infer("mean", [tensor(BATCH)], **own)
    client.load_model("mean", **own)
    assert client.is_model_ready("mean", **own)
    assert client.infer("mean", [tensor(BATCH)], **own).as_numpy("mean").shape == (3, 3)
    with pytest.raises(InferenceServerException, match="nope"):
        client.load_model("nope", **own)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_trace_settings", ()),
        ("update_trace_settings", ()),
        ("get_system_shared_memory_status", ()),
        ("register_system_shared_memory", ("a", "/a", 8)),
        ("unregister_system_shared_memory", ("a",)),
        ("get_cuda_shared_memory_status", ()),
        ("register_cuda_shared_memory", ("a", b"", 0, 8)),
        ("unregister_cuda_shared_memory", ("a",)),
    ],
)
def test_what_is_not_here_is_told_as_the_client_understands(
    stack: Stack, client: Any, method: str, arguments: tuple[Any, ...]
) -> None:
    """Memory of another machine, and traces: an error with a sentence, no parser's complaint."""
    with pytest.raises(InferenceServerException, match="There is nothing at this path") as told:
        getattr(client, method)(*arguments, headers=stack.headers)
    assert told.value.status() == "404"


def test_errors_reach_the_client_as_sentences(stack: Stack, client: Any) -> None:
    """With their status."""
    wrong = triton.InferInput("x", [1, 4], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 4), np.float32))
    with pytest.raises(InferenceServerException, match="nexpected shape for input 'x'") as told:
        client.infer("mean", [wrong], headers=stack.headers)
    assert told.value.status() == "400"


async def test_the_asynchronous_client_works_too(stack: Stack) -> None:
    """Tensors and pictures, packed, and what the server says of itself."""
    async with triton_aio.InferenceServerClient(stack.address) as client:
        own = {"headers": stack.headers}
        answer = await client.infer(
            "mean",
            [tensor(BATCH, module=triton_aio)],
            headers=stack.headers,
            request_compression_algorithm="gzip",
            response_compression_algorithm="deflate",
        )
        seen = await client.infer("mean", [pictures(PICTURE, module=triton_aio)], **own)
        assert np.allclose(answer.as_numpy("mean"), MEANS, rtol=1e-5)
        assert np.allclose(seen.as_numpy("mean"), [COLOUR], atol=0.01)
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mean", **own)
        assert (await client.get_model_metadata("mean", **own))["name"] == "mean"
        assert (await client.get_model_config("mean", **own))["name"] == "mean"
        assert len(await client.get_model_repository_index(**own)) == 1
        assert len((await client.get_inference_statistics("mean", **own))["model_stats"]) == 1
        await client.unload_model("mean", **own)
        await client.load_model("mean", **own)
        assert (await client.get_log_settings(**own))["log_format"] == "default"
        with pytest.raises(InferenceServerException, match="nope"):
            await client.infer("nope", [tensor(BATCH, module=triton_aio)], **own)
