"""Models and commands as callers see them, in the shapes that OpenAPI promises."""

from __future__ import annotations

from pipeline.models.catalogue import ModelEntry
from pipeline.models.command_outcome import outcome_of
from pipeline.models.commands import CommandAnswer, CommandKind, CommandRecord, ModelCommand
from pipeline.models.entry import Statistics, VersionEntry, VersionState
from webapp import model_schemas
from webapp.model_documents import command_document, model_document

DETAIL = VersionEntry(
    version="2",
    state=VersionState.LOADED,
    instance="a",
    device="npu:0",
    memory_bytes=5,
    file_sha256="c" * 64,
    self_test="passed",
    statistics=Statistics(jobs=9, batches=4, device_p50_ms=3.0, last_used_unix_ms=1),
)


def test_a_models_document_has_the_documented_shape() -> None:
    """Ready and refused models look the same but for their state."""
    ready = model_document(
        ModelEntry(name="echo", versions=("2", "1"), labels=("cat",), details=(DETAIL,))
    )
    refused = model_document(ModelEntry(name="broken", reason="wrong device"))

    assert (ready["state"], ready["versions"], ready["reason"]) == ("ready", ["2", "1"], None)
    assert (refused["state"], refused["reason"]) == ("refused", "wrong device")
    for document in (ready, refused):
        model_schemas.ModelDocument.model_validate(document)
    (detail,) = ready["details"]
    assert (detail["state"], detail["self_test"]) == ("loaded", "passed")
    assert detail["statistics"]["mean_batch"] == 2.25


def test_a_commands_document_names_every_dispatcher() -> None:
    """Those that answered say what, those that live and did not are pending."""
    command = ModelCommand(
        command_id="cmd_1",
        command=CommandKind.LOAD,
        model="echo",
        asked_unix_ms=1,
        until_unix_ms=1000,
    )
    record = CommandRecord(command=command, answers=(CommandAnswer(instance="a", done=True),))

    document = command_document(outcome_of(record, ["a", "b"], now_unix_ms=5))

    model_schemas.CommandDocument.model_validate(document)
    assert document["state"] == "pending"
    told = [(each["name"], each["state"]) for each in document["dispatchers"]]
    assert told == [("a", "done"), ("b", "pending")]
