"""Models as the protocol describes them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import NotFound
from pipeline.models.entry import (
    BatchSizeCount,
    ModelEntry,
    Spent,
    Statistics,
    VersionEntry,
    VersionState,
)
from pipeline.models.tensors import TensorFacts
from webapp.open_inference.documents import (
    config_document,
    find_model,
    index_document,
    is_ready,
    metadata_document,
    statistics_document,
)


def version(number: str, **changes: Any) -> VersionEntry:
    """Give a loaded version on the dispatcher ``a``."""
    defaults: dict[str, Any] = {
        "state": VersionState.LOADED,
        "instance": "a",
        "device": "npu:0",
        "memory_bytes": 7,
        "platform": "ascend_om",
        "inputs": (TensorFacts(name="x", datatype="UINT8", shape=(-1, 3, 8, 8)),),
        "outputs": (TensorFacts(name="y", datatype="FP32", shape=(-1, 5)),),
        "batch_max": 8,
        "batch_delay_ms": 2.5,
    }
    return VersionEntry(version=number, **(defaults | changes))


ENTRY = ModelEntry(
    name="m",
    task="classification",
    versions=("2",),
    details=(
        version("2", statistics=Statistics(jobs=5, failures=1, batches=3, last_used_unix_ms=9)),
        version("2", instance="b"),
        version("1", state=VersionState.RETIRED, reason="not among the versions"),
    ),
)
GONE = ModelEntry(name="gone", reason="no model file")
MODELS = {"m": ENTRY, "gone": GONE}


def test_metadata_has_inputs_and_outputs() -> None:
    """With -1 for the batch axis."""
    assert metadata_document(ENTRY, "") == {
        "name": "m",
        "versions": ["2"],
        "platform": "ascend_om",
        "inputs": [{"name": "x", "datatype": "UINT8", "shape": [-1, 3, 8, 8]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 5]}],
    }


def test_a_configuration_speaks_tritons_words() -> None:
    """Dimensions without the batch axis, and the bounds of a batch."""
    config = config_document(ENTRY, "2")
    assert config["input"][0]["data_type"] == "TYPE_UINT8"
    assert config["input"][0]["dims"] == [3, 8, 8]
    assert config["output"][0]["dims"] == [5]
    assert config["max_batch_size"] == 8
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 2500
    assert [each["name"] for each in config["instance_group"]] == ["a/npu:0", "b/npu:0"]


@pytest.mark.parametrize(("entry", "number"), [(ENTRY, "9"), (GONE, ""), (GONE, "1")])
def test_what_nobody_knows_is_not_described(entry: ModelEntry, number: str) -> None:
    """Neither an unknown version nor a model without any."""
    for describe in (metadata_document, config_document):
        with pytest.raises(NotFound):
            describe(entry, number)


def test_an_unknown_model_is_not_found() -> None:
    """With those that there are."""
    with pytest.raises(NotFound, match="nope"):
        find_model(MODELS, "nope")


@pytest.mark.parametrize(
    ("name", "number", "ready"),
    [("m", "", True), ("m", "2", True), ("m", "1", False), ("gone", "", False), ("no", "", False)],
)
def test_ready_is_what_jobs_are_accepted_for(name: str, number: str, *, ready: bool) -> None:
    """A model, or one version of it."""
    assert is_ready(MODELS, name, number) is ready


def test_the_index_lists_every_version_once() -> None:
    """With its state over all dispatchers, and why it is not ready."""
    rows = index_document(MODELS)
    assert [(row["name"], row.get("version"), row["state"], row["reason"]) for row in rows] == [
        ("m", "2", "READY", ""),
        ("m", "1", "UNAVAILABLE", "not among the versions"),
        ("gone", None, "UNAVAILABLE", "no model file"),
    ]
    assert [row["version"] for row in index_document(MODELS, only_ready=True)] == ["2"]


@pytest.mark.parametrize(
    ("state", "versions", "told"),
    [
        (VersionState.AVAILABLE, ("3",), "READY"),
        (VersionState.LOADING, ("3",), "READY"),
        (VersionState.LOADING, (), "LOADING"),
        (VersionState.UNLOADING, (), "UNLOADING"),
        (VersionState.AVAILABLE, (), "UNAVAILABLE"),
        (VersionState.FAILED, ("3",), "UNAVAILABLE"),
    ],
)
def test_states_are_the_protocols_four(
    state: VersionState, versions: tuple[str, ...], told: str
) -> None:
    """A version that is offered while it loads takes work."""
    entry = ModelEntry(name="m", versions=versions, details=(version("3", state=state),))
    assert [row["state"] for row in index_document({"m": entry})] == [told]


def test_statistics_add_up_over_dispatchers() -> None:
    """Counts, nanoseconds by stage, and batches by size."""
    done = Statistics(
        jobs=4,
        failures=1,
        batches=2,
        last_used_unix_ms=50,
        spent=Spent(queue_ms=1.5, decode_ms=2.0, device_ms=3.0, reduce_ms=0.5),
        by_size=(BatchSizeCount(size=2, batches=2, device_ms=2.0),),
    )
    entry = ModelEntry(
        name="m",
        versions=("1",),
        details=(version("1", statistics=done), version("1", instance="b", statistics=done)),
    )

    (told,) = statistics_document([entry])["model_stats"]

    assert (told["inference_count"], told["execution_count"], told["last_inference"]) == (6, 4, 50)
    stages = {name: (each["count"], each["ns"]) for name, each in told["inference_stats"].items()}
    assert stages["success"] == (6, 14_000_000)
    assert stages["fail"] == (2, 0)
    assert stages["queue"] == (6, 3_000_000)
    assert stages["compute_infer"] == (6, 6_000_000)
    (batch,) = told["batch_stats"]
    assert (batch["batch_size"], batch["compute_infer"]) == (2, {"count": 4, "ns": 4_000_000})
    assert [each["byte_size"] for each in told["memory_usage"]] == [7, 7]


def test_statistics_of_one_version() -> None:
    """And of no other."""
    told = statistics_document([ENTRY], "1")["model_stats"]
    assert [row["version"] for row in told] == ["1"]
