"""A client's long-running reads of a simulated node: iterators that continue in the node's next life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from actorium.actors.aggregate import Aggregate
from actorium.actors.errors import HydrationFailed
from actorium.application import Runtime
from actorium.catalog import Catalog
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.history import Change
from actorium.runtime.projections.projection import Query
from actorium.runtime.statistics import RuntimeStatistics
from actorium.simulation.world.node import Node
from actorium.simulation.world.surroundings import ConnectionLost
from actorium.store.errors import StoreUnavailable
from actorium.store.event_store import EventStore
from actorium.store.events import E_co, Event, RecordedEvent

A = TypeVar("A", bound=Aggregate)
E = TypeVar("E", bound=Event)
R = TypeVar("R")
T = TypeVar("T")

_PAUSE_S = 0.05
_PATIENCE_S = 600.0
_NOTHING: Any = object()
_AGAIN = (ConnectionLost, HydrationFailed, RuntimeClosed, StoreUnavailable)


class NodeIterator(Generic[T]):
    """An async iterator over data of a node; it is opened again in the node's next life, and after an error.

    Invariant: an item that left the node but was not received is not skipped: if the consumer stops waiting for an
    item, the iterator opens again at its current place.
    """

    def __init__(self, node: Node, open_in: Callable[[Runtime], AsyncIterator[T]], *, ends: bool = False) -> None:
        self._node = node
        self._open_in = open_in
        self._ends = ends
        self._is_open = True
        self._iterator: AsyncIterator[T] | None = None
        self._life: object = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        world, began_s = self._node.world, self._node.world.now_s
        while self._is_open and not self._node.is_stopping:
            try:
                item = await self.in_node(self._advance)
            except _AGAIN:
                if world.now_s > began_s + _PATIENCE_S:
                    raise
                await asyncio.sleep(_PAUSE_S)
                continue
            if item is _NOTHING:
                if self._ends:
                    break
                self._iterator = None
                await asyncio.sleep(_PAUSE_S)
            elif self._is_new(item):
                return item  # type: ignore[no-any-return]
        raise StopAsyncIteration

    def close(self) -> None:
        """Close the iterator; further iteration stops at once."""
        self._is_open = False

    async def in_node(self, call: Callable[[Runtime], Awaitable[Any]]) -> Any:
        """Return the result of a call in the node; after an error, or if it is cancelled, open again."""
        answer, task = self._node.call_cancellable(call)
        try:
            return await answer
        except BaseException:
            self._iterator = None
            if not answer.done() or answer.cancelled():
                task.cancel()
            raise

    async def _advance(self, runtime: Runtime) -> Any:
        if self._iterator is None or self._life is not self._node.life:
            self._life, self._iterator = self._node.life, await self._opened(runtime)
        return await anext(self._iterator, _NOTHING)

    async def _opened(self, runtime: Runtime) -> AsyncIterator[T]:
        return self._open_in(runtime)

    def _is_new(self, item: T) -> bool:
        """Return whether an item is to be delivered."""
        return True


class FromPlace(NodeIterator[T]):
    """Continues after the last item delivered. Several items may share a place, which is a position or a version."""

    def __init__(
        self,
        node: Node,
        open_after: Callable[[Runtime, int], AsyncIterator[T]],
        place_of: Callable[[T], int],
        *,
        after: int,
        ends: bool = False,
    ) -> None:
        super().__init__(node, lambda runtime: open_after(runtime, self._after), ends=ends)
        self._place_of = place_of
        self._after = after
        self._given = self._to_pass = 0  # counts of items at the place after `_after`

    @property
    def position(self) -> int:
        """The place up to which everything was delivered; some items of the next place may have been delivered too."""
        return self._after

    async def _opened(self, runtime: Runtime) -> AsyncIterator[T]:
        self._to_pass = self._given
        return await super()._opened(runtime)

    def _is_new(self, item: T) -> bool:
        place = self._place_of(item)
        if place - 1 != self._after:
            self._after, self._given, self._to_pass = place - 1, 0, 0
        if self._to_pass:
            self._to_pass -= 1
            return False
        self._given += 1
        return True


class Answers(NodeIterator[T]):
    """The answers to a query, each different from the one before."""

    _last: Any = _NOTHING

    def _is_new(self, item: T) -> bool:
        is_new = self._last is _NOTHING or bool(item != self._last)
        self._last = item
        return is_new


class SavedReader(NodeIterator[Any], Generic[E_co]):
    """A durable subscription of a client: after a crash it delivers unsaved events again."""

    def __init__(self, node: Node, name: str, open_in: Callable[[Runtime], DurableSubscription[E_co]]) -> None:
        super().__init__(node, open_in)
        self.name = name
        self._subscription: DurableSubscription[E_co] | None = None

    @property
    def position(self) -> int:
        """Everything up to this position was delivered, or filtered out, since the subscription was last opened."""
        return 0 if self._subscription is None else self._subscription.position

    @property
    def saved_position(self) -> int:
        """Nothing up to this position is delivered again."""
        return 0 if self._subscription is None else self._subscription.saved_position

    async def _opened(self, runtime: Runtime) -> AsyncIterator[Any]:
        if self._subscription is not None and self._life is self._node.life:
            await self._subscription.__aexit__(None, None, None)
        self._subscription = subscription = self._open_in(runtime)  # type: ignore[assignment]
        return await subscription.__aenter__()  # type: ignore[attr-defined, no-any-return]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        subscription = self._subscription
        if subscription is not None and self._life is self._node.life:

            async def ended(runtime: Runtime) -> None:
                await subscription.__aexit__(None, None, None)

            try:
                await self.in_node(ended)
            except ConnectionLost:
                return  # the subscription ended with its process

    async def save(self) -> None:
        """Save the reader's position. If the process dies meanwhile, the events may or may not be delivered again."""
        subscription, life = self._subscription, self._life
        if subscription is None or life is not self._node.life:
            return

        async def saved(runtime: Runtime) -> None:
            await subscription.save()

        try:
            await self.in_node(saved)
        except ConnectionLost:
            return


class ReadFace:
    """The reading part of a simulated runtime, and its description of the node."""

    node: Node

    @property
    def release(self) -> int:
        """The number of the release that the node runs, counted from 0."""
        return self.node.release

    @property
    def catalog(self) -> Catalog:
        """The classes and functions that the node runs."""
        return self.node.model.catalog

    @property
    def store(self) -> EventStore:
        """The log as the live process sees it; raises ConnectionLost if no process is alive."""
        return self._serving().store

    def statistics(self) -> RuntimeStatistics:
        """Return the counters of the live process; raise ConnectionLost if no process is alive."""
        return self._serving().statistics()

    def _serving(self) -> Runtime:
        if self.node.runtime is None:
            raise ConnectionLost(f"{self.node.name} is down")
        return self.node.runtime

    @overload
    def events(
        self,
        *,
        after: int = ...,
        types: Collection[type[E]],
        aggregate: type[Aggregate] | None = ...,
        id: str | None = ...,
    ) -> FromPlace[RecordedEvent[E]]: ...

    @overload
    def events(
        self,
        *,
        after: int = ...,
        types: Collection[type[Event]] | None = ...,
        aggregate: type[Aggregate] | None = ...,
        id: str | None = ...,
    ) -> FromPlace[RecordedEvent[Event]]: ...

    def events(
        self,
        *,
        after: int = 0,
        types: Collection[type[Event]] | None = None,
        aggregate: type[Aggregate] | None = None,
        id: str | None = None,
    ) -> FromPlace[Any]:
        """Return an async iterator over the log, as `Runtime.events` does; it continues after a crash."""

        def opened(runtime: Runtime, place: int) -> Any:
            return runtime.events(after=place, types=types, aggregate=aggregate, id=id)

        return FromPlace(self.node, opened, lambda recorded: recorded.position, after=after)

    @overload
    def subscribe(self, name: str, *, types: Collection[type[E]], after: int = ...) -> SavedReader[E]: ...

    @overload
    def subscribe(
        self, name: str, *, types: Collection[type[Event]] | None = ..., after: int = ...
    ) -> SavedReader[Event]: ...

    def subscribe(
        self, name: str, *, types: Collection[type[Event]] | None = None, after: int = 0
    ) -> SavedReader[Event]:
        """Return a durable subscription, as `Runtime.subscribe` does; after a crash it continues where it was saved."""
        return SavedReader(self.node, name, lambda runtime: runtime.subscribe(name, types=types, after=after))

    def watch(self, query: Query[R], *args: Any) -> Answers[R]:
        """Return an async iterator over a query's answers, as `Runtime.watch` does; it continues after a crash."""
        return Answers(self.node, lambda runtime: runtime.watch(query, *args))

    def history(self, aggregate: type[A], id: str, *, after_version: int = 0) -> FromPlace[Change[A]]:
        """Return an async iterator over the changes of an aggregate, as `Runtime.history` does."""

        def opened(runtime: Runtime, place: int) -> AsyncIterator[Change[A]]:
            return runtime.history(aggregate, id, after_version=place)

        return FromPlace(self.node, opened, lambda change: change.version, after=after_version, ends=True)

    def causes(self, event_id: str, *, after: int = 0) -> FromPlace[RecordedEvent[Event]]:
        """Return an async iterator over the events that an event caused, as `Runtime.causes` does."""

        def opened(runtime: Runtime, place: int) -> AsyncIterator[RecordedEvent[Event]]:
            return runtime.causes(event_id, after=place)

        return FromPlace(self.node, opened, lambda recorded: recorded.position, after=after, ends=True)

    async def start(self) -> None:
        """Wait until the process serves requests: the world starts it, and restarts it after a crash."""
        await self.node.serves.wait()

    async def stop(self) -> None:
        """Stop the process gracefully, as a deployment does; another is started after a moment."""
        await self.node.restart()

    async def ended(self) -> BaseException | None:
        """Wait until the current process has ended; return ConnectionLost if it was killed."""
        try:
            error: BaseException | None = await self.node.call(lambda runtime: runtime.ended())
        except ConnectionLost as lost:
            return lost
        return error

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Wait until the process serves requests, and stop it gracefully at the end, as `Runtime.lifespan` does."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def crash(self) -> None:
        """Kill the process now; another is started after a moment."""
        self.node.crash("by the scenario")
