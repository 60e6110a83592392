"""Asking the API: one request, what is made of its answer, and lists page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from pipeline.errors import CallerError, Unavailable

Document = dict[str, Any]

#: Busy (429) and away (503) both come with the time after which to try again.
TRY_AGAIN: Final = frozenset({429, 503})

_PAGE_MAX: Final = 200


class Refused(CallerError):
    """The API has refused a request; the message is its own."""

    code = "refused"


def send(client: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    """Give an answer 2xx; raises Refused, or Unavailable where it may be asked again."""
    try:
        answer = client.request(method, path, **request)
    except httpx.TransportError as error:
        raise away(client, error) from error
    if answer.is_success:
        return answer
    if answer.status_code in TRY_AGAIN:
        raise Unavailable(problem_of(answer))
    raise Refused(problem_of(answer))


def ask(
    client: httpx.Client,
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    body: Document | None = None,
) -> Document:
    """Ask for a document; raises Refused or Unavailable."""
    answer = send(client, method, path, params=query, json=body)
    document: Document = answer.json() if answer.content else {}
    return document


def ask_pages(
    client: httpx.Client, path: str, member: str, filters: Mapping[str, str], *, limit: int
) -> Iterator[Document]:
    """Give at most *limit* documents of a list, which each page has in *member*."""
    cursor: str | None = ""
    left = limit
    while left > 0 and cursor is not None:
        query = dict(filters) | {"limit": str(min(left, _PAGE_MAX))}
        page = ask(client, "GET", path, query | ({"cursor": cursor} if cursor else {}))
        yield from page[member]
        left -= len(page[member])
        cursor = page["next"]


def path_to(kind: str, name: str) -> str:
    """Give the path of one thing of a *kind*, whatever was typed for its name.

    >>> path_to("jobs", "a/b")
    '/v1/jobs/a%2Fb'
    """
    return f"/v1/{kind}/{quote(name, safe='')}"


def away(client: httpx.Client, error: httpx.TransportError) -> Unavailable:
    """Say that the API cannot be reached."""
    return Unavailable(f"the API at {client.base_url} does not answer: {error}")


def problem_of(answer: httpx.Response) -> str:
    """Give the sentence of a problem document (RFC 9457), or the status if it is none."""
    try:
        document = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        document = None
    if isinstance(document, dict) and (text := document.get("detail") or document.get("title")):
        return str(text)
    return f"the API answered {answer.status_code}"
