"""`EndWaiters`: waiters for the end of sagas. Invariant: the table has a stream exactly while a caller waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from actorium.store.names import StreamName


class EndWaiters:
    """Wakes callers that wait for the end of a saga."""

    def __init__(self) -> None:
        self._waiting: dict[StreamName, set[asyncio.Future[None]]] = {}
        self._closed: Exception | None = None

    @contextmanager
    def awaited(self, saga: StreamName) -> Iterator[asyncio.Future[None]]:
        """Yield a future that ends the next time an end of the saga is recorded."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed is not None:
            raise self._closed
        waiting = self._waiting.setdefault(saga, set())
        waiting.add(end)
        try:
            yield end
        finally:
            waiting.discard(end)
            if not waiting and self._waiting.get(saga) is waiting:
                del self._waiting[saga]

    def ended(self, saga: StreamName) -> None:
        """Wake the waiters of a saga that is completed, undone or failed."""
        if self._waiting:
            for end in self._waiting.get(saga, ()):
                if not end.done():
                    end.set_result(None)

    def look_again(self) -> None:
        """Wake all waiters, because this node may no longer see the end of their sagas."""
        for saga in self._waiting:
            self.ended(saga)

    def close(self, error: Exception) -> None:
        """Fail all waiters with an error."""
        self._closed = error
        for waiting in self._waiting.values():
            for end in waiting:
                if not end.done():
                    end.set_exception(error)
