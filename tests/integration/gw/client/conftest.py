"""A real webapp, and both clients of it under one face."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.gw.client.either import Asynchronous, Blocking, Either
from tests.integration.webapp.conftest import environ, look, token, webapp
from tests.integration.webapp.running import Webapp

__all__ = ["environ", "look", "token", "webapp"]


@pytest_asyncio.fixture(params=[Blocking, Asynchronous])
async def client(request: pytest.FixtureRequest, webapp: Webapp) -> AsyncIterator[Either]:
    """Give a client of the webapp: the same test runs with each."""
    kind: type[Either] = request.param
    either = kind(f"http://127.0.0.1:{webapp.port}", webapp.token)
    yield either
    await either.close()
