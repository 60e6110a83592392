"""The OpenAPI document as a whole."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from webapp import (
    admin_documents,
    batch_schemas,
    delivery_documents,
    endpoint_documents,
    model_schemas,
    schemas,
)
from webapp.admin_fields import KeyRotation, NewKey, TenantFields
from webapp.again_fields import Recovery, Replay
from webapp.dialects import schemas as dialect_schemas
from webapp.documentation.devices import DeviceDocument, DevicesDocument
from webapp.documentation.shapes import REF_TEMPLATE, parameter
from webapp.endpoint_fields import EndpointChanges, NewEndpoint, SecretRotation
from webapp.submission import JobFields
from webapp.uploads import JSON_TYPE

_IN_BRACES: Final = re.compile(r"{(\w+)}")

#: Every document that an answer or a body refers to.
DOCUMENTS = (
    schemas.JobDocument,
    schemas.FinishedJobDocument,
    schemas.JobsDocument,
    schemas.FinishedJobsDocument,
    schemas.JobPageDocument,
    schemas.EventsDocument,
    schemas.SubscriberCursorDocument,
    schemas.SubscribersDocument,
    schemas.AckDocument,
    schemas.DeliveriesDocument,
    model_schemas.ModelDocument,
    model_schemas.ModelsDocument,
    model_schemas.CommandDocument,
    DeviceDocument,
    DevicesDocument,
    schemas.AliveDocument,
    schemas.ReadyDocument,
    schemas.ProblemDocument,
    JobFields,
    *endpoint_documents.DOCUMENTS,
    *dialect_schemas.DOCUMENTS,
    *batch_schemas.DOCUMENTS,
    EndpointChanges,
    NewEndpoint,
    SecretRotation,
    *admin_documents.DOCUMENTS,
    *delivery_documents.DOCUMENTS,
    Recovery,
    Replay,
    KeyRotation,
    NewKey,
    TenantFields,
)


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI 3.1 document of *app*, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        _, definitions = models_json_schema(
            [(each, "validation") for each in DOCUMENTS], ref_template=REF_TEMPLATE
        )
        document.setdefault("components", {})["schemas"] = definitions["$defs"]
        _name_path_parameters(document)
        _leave_out_bodies(document)
        app.openapi_schema = document
    return app.openapi_schema


def _name_path_parameters(document: dict[str, Any]) -> None:
    """Declare what stands in braces in a path where its route says nothing more of it."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            declared = operation.get("parameters", [])
            known = {each["name"] for each in declared if each["in"] == "path"}
            missing = [name for name in _IN_BRACES.findall(path) if name not in known]
            if missing:
                named = [parameter(name, "path", "A name or an id.") for name in missing]
                operation["parameters"] = [*declared, *named]


def _leave_out_bodies(document: dict[str, Any]) -> None:
    """Take out what FastAPI adds to an answer for which no body is declared: a JSON of any kind."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                if response.get("content") == {JSON_TYPE: {"schema": {}}}:
                    del response["content"]
