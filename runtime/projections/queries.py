"""Queries of projections: once, or each time the result changes."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Awaitable
from typing import Any, Generic, TypeVar

from actorium.runtime.errors import EventParked, QueryFailed, QueryTimeout
from actorium.runtime.log.log_reader import LogReader
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.projections.memory_projection import MemoryProjection
from actorium.runtime.projections.projection import Query
from actorium.runtime.projections.table_projection import TableProjection
from actorium.store.errors import ActoriumError
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

R = TypeVar("R")

log = logger("actorium.runtime")


class ReadModel:
    """A projection as queries see it."""

    def __init__(self, work: TableProjection | MemoryProjection, checkpoint: Checkpoint, log_reader: LogReader) -> None:
        self._work = work
        self._log_reader = log_reader
        self.checkpoint = checkpoint

    async def at_least(self, position: int, timeout_s: float, *, stale: bool = False) -> None:
        """Wait until queries see everything up to a position; raise QueryTimeout.

        Raises EventParked if the event at the position is held back, unless `stale` is true.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self.checkpoint.ready.wait()
                if position:
                    await self._holds(position)
        except TimeoutError:
            raise QueryTimeout(
                f"{self.checkpoint.name} is at position {self.checkpoint.position} and did not reach {position} within "
                f"{timeout_s:g} s: query again, or see runtime.processors[…].statistics()"
            ) from None

        if position and self.checkpoint.letters and not stale:
            await self._require_handled(position)

    async def _require_handled(self, position: int) -> None:
        name = self.checkpoint.name
        letter = self.checkpoint.letters.holding(await self._log_reader.stream_at(position), position)
        if letter is None:
            return
        event = f"{letter.event_type} at position {letter.position} ({letter.stream} version {letter.version})"
        if letter.discarded:
            text = f"{name} does not contain {event}: it was discarded ({letter.discarded}); query without after="
        else:
            behind = "" if letter.position == position else f", and position {position} waits behind it"
            text = (
                f"{name} has parked {event}{behind}: {letter.error}; fix the handler and deliver it with "
                "runtime.dead_letters.retry(), or query with stale=True"
            )
        raise EventParked(text, processor=name, position=letter.position)

    async def _holds(self, position: int) -> None:
        await self.checkpoint.reached(position)
        work = self._work
        if isinstance(work, TableProjection):
            # An older version answers while this one is built, but gets no newer events: wait for the switch.
            while not work.is_current and not self.checkpoint.is_closed:
                await self.checkpoint.moved()

    async def ask(self, query: Query[Any], args: tuple[Any, ...], timeout_s: float) -> Any:
        """Return the result for the projection's current state.

        Raises QueryTimeout, after interrupting the statement, and QueryFailed for an error of the query.
        """
        try:
            if query.wants_reader and isinstance(self._work, TableProjection):
                answer = query.method(self._work.instance, self._work.reader(), *args)
            else:
                answer = query.method(self._work.instance, *args)
            if inspect.isawaitable(answer):
                answer = await _within(query, answer, timeout_s)
            # The state in memory keeps changing, and the caller must not change it.
            return copy.deepcopy(answer) if isinstance(self._work, MemoryProjection) else answer
        except ActoriumError:
            raise
        except BaseException as raised:
            let_through(raised)
            name = query.method.__qualname__
            log.error("query_failed", query=name, error=error_text(raised), traceback=raised)
            raise QueryFailed(f"{name} raised {error_text(raised)}") from raised


async def _within(query: Query[Any], answer: Awaitable[Any], timeout_s: float) -> Any:
    try:
        async with asyncio.timeout(timeout_s) as timeout:
            return await answer
    except TimeoutError:
        if not timeout.expired():
            raise  # raised by the query itself
        raise QueryTimeout(
            f"{query!r} did not finish within {timeout_s:.2g} s and was interrupted: query less data at a time, or "
            "allow more time with timeout_s="
        ) from None


class Watch(Generic[R]):
    """An async iterator over the results of a query: the current one, then a new one each time it changes.

    The query runs again only after the projection has moved. Only one result is kept: a slow caller may miss results
    in between, but never the last.
    """

    def __init__(self, model: ReadModel, query: Query[R], args: tuple[Any, ...], *, timeout_s: float) -> None:
        self._model = model
        self._query = query
        self._args = args
        self._timeout_s = timeout_s
        self._last: Any = _NOTHING
        self._asked_at = -1
        self._open = True
        self._called: asyncio.Future[None] | None = None

    def __aiter__(self) -> Watch[R]:
        return self

    async def __anext__(self) -> R:
        while self._open:
            await self._model.checkpoint.ready.wait()
            checkpoint = self._model.checkpoint
            if checkpoint.is_closed:
                break
            if checkpoint.moves == self._asked_at:
                self._called = asyncio.get_running_loop().create_future()
                await asyncio.wait((checkpoint.moved(), self._called), return_when=asyncio.FIRST_COMPLETED)
                continue
            moves = checkpoint.moves
            answer = await self._model.ask(self._query, self._args, self._timeout_s)
            self._asked_at = moves
            if self._last is _NOTHING or answer != self._last:
                self._last = copy.deepcopy(answer)  # the caller may change its copy
                return answer  # type: ignore[no-any-return]
        raise StopAsyncIteration

    def close(self) -> None:
        """End the watch: wake the caller that waits for the next result; further iteration stops."""
        self._open = False
        if self._called is not None and not self._called.done():
            self._called.set_result(None)


_NOTHING: Any = object()
