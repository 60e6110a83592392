"""A route whose handler reads the request and writes the answer itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response


class RawRoute(APIRoute):
    """Calls ``handler(request)`` and nothing else.

    FastAPI's own handler looks for a body, dependencies and a response model, for routes here that
    have none of them. The route's documentation in OpenAPI stays what its declaration says.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give the handler as it is."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler
