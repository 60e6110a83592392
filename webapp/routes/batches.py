"""Batches: submitting, reading, items, results, withdrawing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from pipeline.access.keys import Scope
from pipeline.batches.batch import Batch
from pipeline.batches.documents import batch_document, batch_path
from pipeline.batches.files import BatchFiles
from pipeline.batches.results import (
    CSV_COLUMNS,
    csv_row,
    csv_text,
    item_document,
    result_lines,
)
from pipeline.errors import NotFound
from pipeline.ids import is_id
from webapp import documentation as docs
from webapp.head import read_head
from webapp.json_answer import json_answer
from webapp.limits import rate_limit_fields
from webapp.paging import PAGE_DEFAULT, PAGE_MAX
from webapp.parts import Parts
from webapp.queries import Query
from webapp.refusals import InvalidField
from webapp.routes.calling import caller_of_repeatable

_ITEM_PAGE_DEFAULT, _ITEM_PAGE_MAX = 100, 1000

#: So many item errors stand in a batch's own document; all of them are among its items.
ERRORS_SHOWN_MAX = 20


class Format(StrEnum):
    """How results are written."""

    JSONL = "jsonl"
    CSV = "csv"


_MEDIA_TYPES = {Format.JSONL: "application/jsonl", Format.CSV: "text/csv; charset=utf-8"}


class BatchRoutes:
    """The handlers of ``/v1/batches``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._files = BatchFiles(parts.settings.batches_dir)

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.post("/v1/batches", **docs.SUBMIT_BATCH)(self.submit)
        app.get("/v1/batches", **docs.LIST_BATCHES)(self.list_batches)
        app.get("/v1/batches/{batch_id}", **docs.READ_BATCH)(self.read)
        app.get("/v1/batches/{batch_id}/items", **docs.LIST_ITEMS)(self.items)
        app.get("/v1/batches/{batch_id}/results", **docs.READ_BATCH_RESULTS)(self.results)
        app.delete("/v1/batches/{batch_id}", **docs.CANCEL_BATCH)(self.withdraw)

    async def submit(self, request: Request) -> Response:
        """Accept a batch, once however often it is repeated under the same key."""
        head = read_head(request.scope["headers"], request.scope["query_string"])
        caller = await self._parts.access.caller(head.authorization, Scope.SUBMIT)
        self._parts.monitor.check_store_answers()
        taken = await self._parts.batching.accept(head, request.receive, caller)
        headers = {"Location": batch_path(taken.batch.batch_id)} | rate_limit_fields(taken.levels)
        if taken.is_replayed:
            headers["Idempotency-Replayed"] = "true"
        return json_answer(batch_document(taken.batch), status=202, headers=headers)

    async def list_batches(self, request: Request) -> Response:
        """Give one page of the caller's batches, newest first."""
        caller = await caller_of_repeatable(self._parts, request, Scope.READ_OWN)
        query = Query.parse(request.scope["query_string"], known=("limit", "cursor"))
        cursor = query.text("cursor")
        if cursor and not is_id(f"batch_{cursor}", "batch"):
            raise InvalidField("This is no cursor that a list gave.", field="cursor")
        page = await self._parts.batches.page(
            caller.tenant,
            before_id=f"batch_{cursor}" if cursor else "",
            limit=query.number("limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX),
        )
        batches = [batch_document(each) for each in page.batches if caller.sees(each.template)]
        next_cursor = page.last_id.removeprefix("batch_") or None
        return json_answer({"batches": batches, "next": next_cursor})

    async def read(self, request: Request) -> Response:
        """Give a batch, with its first item errors."""
        batch = await self._own(request)
        return json_answer(batch_document(batch) | {"errors": await self._errors(batch)})

    async def items(self, request: Request) -> Response:
        """Give a page of a batch's items, in their order."""
        batch = await self._own(request)
        query = Query.parse(request.scope["query_string"], known=("limit", "from"))
        limit = query.number("limit", default=_ITEM_PAGE_DEFAULT, low=1, high=_ITEM_PAGE_MAX)
        first = query.number("from", default=0, low=0, high=10_000_000)
        documents = await self._item_documents(batch, first, limit)
        after = first + len(documents)
        has_more = after < batch.counts.items and bool(documents)
        return json_answer({"items": documents, "next": after if has_more else None})

    async def results(self, request: Request) -> Response:
        """Give the results so far, one line per item."""
        batch = await self._own(request)
        query = Query.parse(request.scope["query_string"], known=("format",))
        chosen = query.words("format", Format) or frozenset({Format.JSONL})
        if len(chosen) != 1:
            raise InvalidField("Choose one.", field="format", allowed=tuple(Format))
        (form,) = chosen
        path = self._files.results(batch.batch_id)
        pages = _file_pages(path) if batch.state.is_terminal else self._fresh_pages(batch, path)
        body = pages if form is Format.JSONL else _as_csv(pages)
        name = f"{batch.batch_id}.{form}"
        return StreamingResponse(
            body,
            media_type=_MEDIA_TYPES[form],
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Gw-Batch-State": batch.state,
            },
        )

    async def withdraw(self, request: Request) -> Response:
        """Withdraw a batch; raises BatchEnded."""
        batch = await self._parts.batching.withdraw(await self._own(request, Scope.SUBMIT))
        return json_answer(batch_document(batch), status=202)

    async def _own(self, request: Request, scope: Scope = Scope.READ_OWN) -> Batch:
        """Give the batch that the path names; raises NotFound unless the caller sees it."""
        caller = await caller_of_repeatable(self._parts, request, scope)
        batch_id: str = request.path_params["batch_id"]
        batch = await self._parts.batches.get(batch_id) if is_id(batch_id, "batch") else None
        if batch is None or not (
            caller.sees(batch.template)
            or (
                scope is Scope.SUBMIT
                and (batch.tenant, batch.template.key_id) == (caller.tenant, caller.key_id)
            )
        ):
            raise NotFound("There is no batch of this id.")
        return batch

    async def _errors(self, batch: Batch) -> list[dict[str, Any]]:
        wanted = min(batch.counts.refused, ERRORS_SHOWN_MAX)
        found: list[dict[str, Any]] = []
        for first in range(0, batch.counts.items, _ITEM_PAGE_MAX):
            if len(found) >= wanted:
                break
            items = await self._parts.batches.items(
                batch.batch_id, first=first, limit=_ITEM_PAGE_MAX
            )
            found += [
                {"index": index, "name": item.name, "code": item.error_code, "detail": item.error}
                for index, item in enumerate(items, start=first)
                if item.error_code
            ]
        return found[:wanted]

    async def _item_documents(self, batch: Batch, first: int, limit: int) -> list[dict[str, Any]]:
        items = await self._parts.batches.items(batch.batch_id, first=first, limit=limit)
        ids = [batch.job_id(first + offset) for offset in range(len(items))]
        jobs = await self._parts.store.get_many(ids) if ids else []
        return [
            item_document(first + offset, item, job_id, job)
            for offset, (item, job_id, job) in enumerate(zip(items, ids, jobs, strict=True))
        ]

    async def _fresh_pages(self, batch: Batch, earlier: Path) -> AsyncIterator[str]:
        lines = result_lines(
            batch, batches=self._parts.batches, jobs=self._parts.store, earlier=earlier
        )
        async for page in lines:
            yield "".join(f"{line}\n" for line in page)


async def _file_pages(path: Path) -> AsyncIterator[str]:
    """Give a result file, some whole lines at a time."""
    try:
        with path.open("r", encoding="utf-8", newline="\n") as file:
            while lines := file.readlines(256 * 1024):
                yield "".join(lines)
    except FileNotFoundError:
        return


async def _as_csv(pages: AsyncIterator[str]) -> AsyncIterator[str]:
    yield csv_text([CSV_COLUMNS])
    async for page in pages:
        yield csv_text([csv_row(json.loads(line)) for line in page.split("\n") if line])
