"""The OpenAPI document and its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.settings import load
from webapp import schemas
from webapp.app import create_app
from webapp.parts import Parts
from webapp.problems import MEDIA_TYPE
from webapp.routes.pages import content_security_policy
from webapp.settings import WebappSettings
from webapp.submission import JobFields

#: Protocols that say errors in a form of their own, by their tag.
OTHER_FORMS = dict.fromkeys(("open inference protocol", "cog", "fal"), "application/json")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Make the document; nothing is connected for it."""
    return create_app(Parts.build(load(WebappSettings, {}))).openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the operations by their ids."""
    return {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for operation in item.values()
    }


def references(node: Any) -> Iterator[str]:
    """Give every reference in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    """The document lists what there is, as OpenAPI 3.1."""
    assert document["openapi"].startswith("3.1")
    assert set(operations(document)) == {
        "submitJob",
        "readJob",
        "readResult",
        "readDeliveries",
        "listJobs",
        "cancelJob",
        "removeJob",
        "readPicture",
        "readPreview",
        "followJob",
        "readEvents",
        "acknowledgeEvents",
        "listSubscribers",
        "removeSubscriber",
        "submitBatch",
        "listBatches",
        "readBatch",
        "listBatchItems",
        "readBatchResults",
        "cancelBatch",
        "listDevices",
        "listModels",
        "readModel",
        "loadModel",
        "unloadModel",
        "reloadModel",
        "readModelCommand",
        "addWebhook",
        "listWebhooks",
        "readWebhook",
        "changeWebhook",
        "removeWebhook",
        "rotateSecret",
        "testWebhook",
        "listDeliveries",
        "readDelivery",
        "resendDelivery",
        "recoverWebhook",
        "replayWebhook",
        "readOperation",
        "createKey",
        "listKeys",
        "readKey",
        "rotateKey",
        "revokeKey",
        "listTenants",
        "readTenant",
        "setTenant",
        "readAudit",
        "cogPredict",
        "cogPutPrediction",
        "cogReadPrediction",
        "cogCancelPrediction",
        "cogHealth",
        "createPrediction",
        "createModelPrediction",
        "readPrediction",
        "cancelPrediction",
        "listPredictions",
        "replicateModel",
        "replicateVersions",
        "replicateVersion",
        "webhookSecret",
        "falSubmit",
        "falSubmitVersion",
        "falRun",
        "falRunVersion",
        "falStatus",
        "falStream",
        "falResult",
        "falCancel",
        "aip",
        "healthz",
        "readyz",
        "readOutputs",
        "readServer",
        "v2Live",
        "v2Ready",
        "infer",
        "inferVersion",
        "readModelMetadata",
        "readModelMetadataOfVersion",
        "readModelConfig",
        "readModelConfigOfVersion",
        "readModelReady",
        "readModelReadyOfVersion",
        "readModelStatistics",
        "readModelStatisticsOfVersion",
        "readStatistics",
        "readRepository",
        "v2Load",
        "v2Unload",
        "readLogging",
        "setLogging",
    }


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No shape is missing."""
    for reference in references(document):
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"], reference


def test_every_shape_is_in_the_document(document: dict[str, Any]) -> None:
    """What answers are compared with is what callers read."""
    ours = {
        name
        for name, each in vars(schemas).items()
        if isinstance(each, type) and issubclass(each, BaseModel) and each is not BaseModel
    }

    assert {name for name in ours if not name.startswith("_")} <= set(
        document["components"]["schemas"]
    )


def test_a_submission_has_three_kinds_of_body(document: dict[str, Any]) -> None:
    """Each has its fields, and JSON its examples."""
    content = operations(document)["submitJob"]["requestBody"]["content"]

    assert {"image/jpeg", "multipart/form-data", "application/json"} <= content.keys()
    for kind in ("multipart/form-data", "application/json"):
        assert set(JobFields.model_fields) <= content[kind]["schema"]["properties"].keys()
    for example in content["application/json"]["examples"].values():
        fields = {k: v for k, v in example["value"].items() if not k.startswith("picture")}
        JobFields.model_validate(fields)


def test_every_refusal_is_a_problem(document: dict[str, Any]) -> None:
    """Each 4xx and 5xx of the API proper is documented as application/problem+json."""
    for name, operation in operations(document).items():
        if operation["tags"] == ["health"]:
            continue
        refusals = {code for code in operation["responses"] if code >= "4"}
        assert {"401", "403", "503"} <= refusals, name
        for code in refusals:
            form = OTHER_FORMS.get(operation["tags"][0], MEDIA_TYPE)
            assert list(operation["responses"][code]["content"]) == [form], (name, code)


def test_only_health_needs_no_key(document: dict[str, Any]) -> None:
    """Everything else is under the bearer scheme."""
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for operation in operations(document).values():
        assert bool(operation.get("security")) == (operation["tags"] != ["health"])


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """It works on a box without internet, and under a policy that allows nothing but itself."""
    page = resources.files("webapp").joinpath("pages", "docs.html").read_text("utf-8")

    assert not re.search(r"https?://", page)
    assert not re.search(r"\s(style|on\w+)=", page)
    policy = content_security_policy(page)
    assert policy.startswith("default-src 'none'")
    assert len(re.findall(r"(script|style)-src 'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
