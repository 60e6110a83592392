"""Both clients under one face: the blocking one works in a thread, beside the test's event loop."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any, Protocol

from gw.client import AsyncClient, Client, Options


class Either(Protocol):
    """A client, whichever of the two it is."""

    def __init__(self, url: str, key: str, options: Options | None = None) -> None: ...

    async def do(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method to its end."""
        ...

    async def take(self, count: int, method: str, *arguments: Any, **named: Any) -> list[Any]:
        """Take the first *count* of what a method gives, and let go of the rest."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Blocking:
    """The blocking client."""

    def __init__(self, url: str, key: str, options: Options | None = None) -> None:
        self.client = Client(url, key, options)

    async def do(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method to its end."""
        return await asyncio.to_thread(getattr(self.client, method), *arguments, **named)

    async def take(self, count: int, method: str, *arguments: Any, **named: Any) -> list[Any]:
        """Take the first *count* of what a method gives."""

        def take() -> list[Any]:
            found = getattr(self.client, method)(*arguments, **named)
            try:
                return list(islice(found, count))
            finally:
                found.close()

        return await asyncio.to_thread(take)

    async def close(self) -> None:
        """Close it."""
        self.client.close()


class Asynchronous:
    """The asynchronous client."""

    def __init__(self, url: str, key: str, options: Options | None = None) -> None:
        self.client = AsyncClient(url, key, options)

    async def do(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method to its end."""
        return await getattr(self.client, method)(*arguments, **named)

    async def take(self, count: int, method: str, *arguments: Any, **named: Any) -> list[Any]:
        """Take the first *count* of what a method gives."""
        found = getattr(self.client, method)(*arguments, **named)
        taken: list[Any] = []
        try:
            while len(taken) < count:
                taken.append(await anext(found))
        except StopAsyncIteration:
            pass
        finally:
            await found.aclose()
        return taken

    async def close(self) -> None:
        """Close it."""
        await self.client.close()
