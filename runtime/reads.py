"""`Reads`: the public face of the read side: events, subscriptions, queries, and what drives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, TypeVar, overload

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import checked_id
from actorium.runtime.engine import Engine
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.processors.processor import Processor
from actorium.runtime.projections.projection import Query
from actorium.runtime.projections.queries import Watch
from actorium.runtime.read_side import ReadSide
from actorium.runtime.settings import Settings
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.events import Event
from actorium.store.names import StreamName

E = TypeVar("E", bound=Event)
R = TypeVar("R")


class Reads(ABC):
    """What a runtime offers to those who read."""

    _store: EventStore
    _settings: Settings
    _read_side: ReadSide | None = None

    @abstractmethod
    def _running(self) -> Engine:
        """Return the engine; raise RuntimeClosed if the runtime does not run."""

    def _reads(self) -> ReadSide:
        assert self._read_side is not None, "a running runtime has its read side"
        return self._read_side

    @overload
    def events(
        self,
        *,
        after: int = ...,
        types: Collection[type[E]],
        aggregate: type[Aggregate] | None = ...,
        id: str | None = ...,
    ) -> Subscription[E]: ...

    @overload
    def events(
        self,
        *,
        after: int = ...,
        types: Collection[type[Event]] | None = ...,
        aggregate: type[Aggregate] | None = ...,
        id: str | None = ...,
    ) -> Subscription[Event]: ...

    def events(
        self,
        *,
        after: int = 0,
        types: Collection[type[Event]] | None = None,
        aggregate: type[Aggregate] | None = None,
        id: str | None = None,
    ) -> Subscription[Event]:
        """Return an async iterator over the log after a position: what is there, then what comes, without a seam.

        types: only these classes of events. aggregate and id, together: only the stream of that aggregate.
        """
        self._running()
        stream = None
        if aggregate is not None and id is not None:
            stream = StreamName(aggregate.__definition__.stream_type, checked_id(id, "id"))
        elif aggregate is not None or id is not None:
            raise ConfigurationError("events(aggregate=…, id=…): one stream has both; leave both out for the whole log")
        return Subscription(
            self._reads().log_reader, after=after, poll_s=self._settings.poll_s, stream=stream, classes=types
        )

    @overload
    def subscribe(self, name: str, *, types: Collection[type[E]], after: int = ...) -> DurableSubscription[E]: ...

    @overload
    def subscribe(
        self, name: str, *, types: Collection[type[Event]] | None = ..., after: int = ...
    ) -> DurableSubscription[Event]: ...

    def subscribe(
        self, name: str, *, types: Collection[type[Event]] | None = None, after: int = 0
    ) -> DurableSubscription[Event]:
        """Return a subscription that goes on where it was saved: an async context and iterator, see there.

        types: only these classes of events. after: the position behind which a name that was never saved begins.
        """
        engine, reads = self._running(), self._reads()
        return DurableSubscription(
            name,
            lambda position: Subscription(
                reads.log_reader, after=position, poll_s=self._settings.poll_s, classes=types
            ),
            self._store,
            engine.writer.save,
            reads.names_open,
            after=after,
        )

    async def query(self, query: Query[R], *args: Any, after: int | None = None, timeout_s: float | None = None) -> R:
        """Return a projection's answer: `await runtime.query(Balances.of, "alice", after=ack.position)`.

        after: wait until the projection holds everything up to this position (read your own writes); raises
        QueryTimeout if that takes longer than timeout_s, and PositionBeyondLog at once for one behind the end of the
        log. StatementFailed says that the query's SQL is wrong.
        """
        self._running()
        model = self._reads().model(query.projection)
        if after:
            await self._reads().log_reader.require_within(after)
        await model.at_least(after or 0, self._settings.default_timeout_s if timeout_s is None else timeout_s)
        answer: R = await model.ask(query, args)
        return answer

    def watch(self, query: Query[R], *args: Any) -> Watch[R]:
        """Return an async iterator over a query's answers: the one of now, then each that differs from the last."""
        self._running()
        return Watch(self._reads().model(query.projection), query, args, poll_s=self._settings.poll_s)

    def processor(self, handler: object) -> Processor:
        """Return what drives a projection class or a `@react` function, to pause, reset or mend it."""
        self._running()
        return self._reads().processor(handler)

    def processors(self) -> list[Processor]:
        """Return what drives each projection and each `@react` function."""
        self._running()
        return self._reads().processors()
