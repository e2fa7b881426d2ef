"""`ReadSide`: everything that follows the log in one runtime, and its read models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import anyio.abc

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import checked_id
from actorium.actors.errors import HydrationFailed
from actorium.runtime.arguments import checked_count, checked_event_classes, checked_timeout_s
from actorium.runtime.cluster.followers import FirstStart, FirstStarts, Followers, PlacedFollower, ProcessorFollower
from actorium.runtime.commands.read_only import refuse_to_write
from actorium.runtime.component import BackgroundTask, Component
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import NewerCodeNeeded
from actorium.runtime.log.durable_subscription import DurableSubscription
from actorium.runtime.log.event_reader import EventReader
from actorium.runtime.log.log_reader import LogReader
from actorium.runtime.log.strict_reader import StrictReader
from actorium.runtime.log.subscriptions import Subscription
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.concurrent_delivery import ConcurrentDelivery, React
from actorium.runtime.processors.dead_letters import SkipMarks
from actorium.runtime.processors.delivery import SequentialDelivery
from actorium.runtime.processors.observed_delivery import ObservedApply, ObservedOutletWork, ObservedReact
from actorium.runtime.processors.outlet import Outlet, OutletWork
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.processor_statistics import ProcessorStatistics
from actorium.runtime.processors.reactions import Reaction, ReactionWork
from actorium.runtime.processors.start_position import StartPosition
from actorium.runtime.projections.followed_tables import FollowedTables
from actorium.runtime.projections.memory_projection import MemoryCheckpoint, MemoryProjection
from actorium.runtime.projections.projection import Projection, Query
from actorium.runtime.projections.queries import ReadModel
from actorium.runtime.projections.table_projection import TableProjection, checkpoint_name
from actorium.runtime.retry import Retry
from actorium.store.errors import ConfigurationError, UnknownEventType
from actorium.store.event_store import SaveCheckpoint
from actorium.store.events import Event
from actorium.store.names import StreamName

R = TypeVar("R")


class ReadSide(Component):
    """Everything that follows the log.

    projections, reactions, outlets: the handlers it drives; higher layers add processors with `add`.
    environment: the store, the limits and the instruments.
    log_reader: reads the log, with its newest events from memory.
    save: writes a checkpoint with the next save.
    skip_marks: the events that its projections, reactions and outlets skip.
    followers: runs what writes on one node at a time, if the runtime is a node of a cluster. Projections in memory run
        on every node.
    """

    def __init__(
        self,
        projections: Sequence[type[Projection]],
        reactions: Sequence[Reaction],
        outlets: Sequence[Outlet],
        environment: RuntimeEnvironment,
        log_reader: LogReader,
        save: Callable[[SaveCheckpoint], Any],
        skip_marks: SkipMarks,
        followers: Followers | None = None,
    ) -> None:
        self._skip_marks = skip_marks
        self._placed = followers
        self._environment = environment
        self._store = environment.store
        self._save = save
        self.log_reader = log_reader
        self.placed_reader: EventReader = log_reader
        """What a follower reads that runs on one node at a time."""
        self.patient_reader: EventReader = log_reader
        """What follows the log with the events of this node's code alone."""
        if followers is not None:
            strict = partial(StrictReader, log_reader, environment.codec, followers.newer_code.is_newer)
            self.placed_reader, self.patient_reader = strict(all_events=True), strict(all_events=False)
        self._source = environment.source
        self._settings = environment.settings
        self._tell_handled = environment.instruments.teller("event_handled")
        self._query_turns = asyncio.Semaphore(environment.settings.max_queries)
        self._names_open: set[str] = set()  # of durable subscriptions
        self._models: dict[type[Projection], ReadModel] = {}
        self._processors: dict[Any, Processor] = {}
        self._followed: list[FollowedTables] = []
        self.followers: dict[str, Processor] = {}
        """The processors of projections, reactions and outlets by kind and plain name, as skip marks name them."""
        self._reactions: list[Processor] = []
        self._outlets: list[Processor] = []
        self._outlet_starts: list[StartPosition] = []
        self._on_one_node: list[Processor] = []
        for projection in projections:
            self._add_projection(projection)
        if environment.read_only:
            return
        for reaction in reactions:
            self._add_reaction(reaction)
        for outlet in outlets:
            self._add_outlet(outlet)

    @property
    def processors(self) -> Mapping[object, Processor]:
        """Every processor by its handler."""
        return self._processors

    @property
    def reactions(self) -> list[BackgroundTask]:
        """The components that drive the reactions. They start once commands are accepted: they may send some."""
        return [BackgroundTask(one.run) for one in self._reactions if one not in self._on_one_node]

    def add(self, handler: object, processor: Processor) -> None:
        """Add the processor of a handler; a caller that adds one after `start` runs it itself."""
        self._processors[handler] = processor

    async def prepare(self) -> None:
        """Prepare projections and reactions before anything is served; raise the error of any that cannot start."""
        for tables in self._followed:
            await tables.prepare()
        for processor in self._here():
            if processor not in self._outlets:  # an outlet that cannot start now retries on its own
                await processor.prepare()
        if not self.is_on_nodes:
            for start_position in self._outlet_starts:
                await start_position.save_if_new()

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start everything that follows the log except the reactions."""
        for tables in self._followed:
            tasks.start_soon(tables.run)
        for processor in self._here():
            self.log_reader.log_tail.follow(processor)
            if processor not in self._reactions:
                tasks.start_soon(processor.run)

    def _here(self) -> list[Processor]:
        """Return the processors that run here however many nodes there are."""
        return [one for one in self._processors.values() if one not in self._on_one_node]

    def saving(self, name: str) -> Callable[[SaveCheckpoint], Any]:
        """Return the function that writes the checkpoints of a follower."""
        return self._save if self._placed is None else self._placed.saving(name)

    @property
    def is_on_nodes(self) -> bool:
        """Whether this runtime is a node of a cluster."""
        return self._placed is not None

    @property
    def first_starts(self) -> FirstStarts | None:
        """What stores where followers begin that are new to the log, if this runtime is a node of a cluster."""
        return None if self._placed is None else self._placed.first_starts

    def place_follower(self, follower: PlacedFollower, *, share: int | None = None) -> None:
        """Have a follower run on one node at a time, if this runtime is a node of a cluster.

        share: the share of the sagas that it carries out, if it does that.
        """
        if self._placed is not None:
            self._placed.add(follower, share=share)

    def remove(self, handler: object) -> None:
        """Remove the processor of a handler, which has ended."""
        self._processors.pop(handler, None)

    def place(
        self, processor: Processor, look: Callable[[], Any] | None = None, *, start: FirstStart | None = None
    ) -> bool:
        """Have a processor run on one node at a time; return False if this runtime is not a node of a cluster.

        start: stores where it begins, for one that may begin at the end of the log.
        """
        if self._placed is None:
            return False
        if start is not None:
            self._placed.first_starts.add(processor.name, start)
        log_tail, poll_s = self.log_reader.log_tail, self._settings.poll_s
        self._placed.add(ProcessorFollower(processor, log_tail, look, poll_s=poll_s))
        self._on_one_node.append(processor)
        return True

    def events(
        self, after: int, types: Collection[type[Event]] | None, aggregate: type[Aggregate] | None, id: str | None
    ) -> Subscription[Any]:
        """Return a subscription to the log, or to one stream, after a position."""
        stream = None
        if aggregate is not None and id is not None:
            stream = StreamName(aggregate.__definition__.stream_type, checked_id(id, "id"))
        elif aggregate is not None or id is not None:
            raise ConfigurationError(
                "events(aggregate=…, id=…): give both for one stream, or neither for the whole log"
            )
        after = checked_count(after, "after", "a position, or 0 for the beginning of the log")
        return self._subscription(after, self._known(types), stream)

    def _known(self, types: Collection[type[Event]] | None) -> frozenset[type[Event]] | None:
        """Return checked event classes; raise ConfigurationError for one whose events cannot occur."""
        classes = checked_event_classes(types)
        self.log_reader.require_known(classes)
        return classes

    def subscribe(self, name: str, types: Collection[type[Event]] | None, after: int) -> DurableSubscription[Any]:
        """Return a subscription that saves its position under a name."""
        if self._environment.read_only:
            refuse_to_write(f"the durable subscription {name!r}")
        after = checked_count(after, "after", "a position, or 0 for the beginning of the log")
        classes = self._known(types)

        def behind(position: int) -> Subscription[Any]:
            return self._subscription(position, classes, None)

        return DurableSubscription(name, behind, self._store, self._save, self._names_open, after=after)

    def _subscription(
        self, after: int, classes: frozenset[type[Event]] | None, stream: StreamName | None
    ) -> Subscription[Any]:
        poll_s = self._settings.poll_s
        return Subscription(
            self.log_reader, after=after, poll_s=poll_s, stream=stream, classes=classes, needed=self._newer_code_needed
        )

    @contextmanager
    def naming_newer_code(self) -> Iterator[None]:
        """Raise NewerCodeNeeded instead of an error about an event that a newer node of the cluster wrote."""
        try:
            yield
        except (HydrationFailed, UnknownEventType) as error:
            needed = self._newer_code_needed(error)
            if needed is None:
                raise
            raise needed from error

    def _newer_code_needed(self, error: BaseException) -> NewerCodeNeeded | None:
        return None if self._placed is None else self._placed.newer_code.needed(error)

    def model(self, projection: type[Projection] | None) -> ReadModel:
        """Return the read model of a projection class; raise ConfigurationError if the runtime does not have it."""
        model = self._models.get(projection) if projection is not None else None
        if model is None:
            raise ConfigurationError(f"{projection!r} is not a projection of this runtime: add it to Runtime([…])")
        return model

    def models(self, projections: Collection[type[Projection]]) -> list[ReadModel]:
        """Return the read models of several projection classes; raise ConfigurationError for anything else."""
        if not isinstance(projections, Collection):
            raise ConfigurationError(
                f"wait_for={projections!r}: must be a list of projection classes, such as [Balances]"
            )
        return [self.model(one) for one in projections]

    def model_of(self, query: Query[Any]) -> ReadModel:
        """Return the read model that a query asks; raise ConfigurationError if it is not a query of this runtime."""
        if not isinstance(query, Query):
            raise ConfigurationError(f"query({query!r}): give a @query method of a projection, such as Balances.of")
        return self.model(query.projection)

    async def query(
        self, query: Query[R], arguments: tuple[Any, ...], after: int, timeout_s: float | None, stale: bool
    ) -> R:
        """Return the result of a query, once its projection holds everything up to a position."""
        model = self.model_of(query)
        checked_count(after, "after", "a position, such as that of an Ack")
        timeout_s = self._settings.default_timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        if after:
            await self.log_reader.require_within(after)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        await model.at_least(after, timeout_s, stale=stale)
        answer: R = await model.ask(query, arguments, max(0.0, deadline - loop.time()))
        return answer

    def statistics(self) -> tuple[ProcessorStatistics, ...]:
        """Return the state of every processor."""
        return tuple(processor.statistics() for processor in self._processors.values())

    def _add_projection(self, projection: type[Projection]) -> None:
        definition = projection.__definition__
        name = checkpoint_name(definition.name, definition.version)
        follower = f"projection {definition.name}"
        skipped = self._skip_marks.of(follower)
        work: TableProjection | MemoryProjection
        events_per_commit: int | None = None
        if definition.has_tables:
            checkpoint = Checkpoint(name, self._store, self.saving(name), skipped)
            work = TableProjection(projection, checkpoint, self._store, self._query_turns)
            if definition.has_schema:  # rows are folded, and each is written once
                events_per_commit = self._store.dialect.events_per_commit
            if self._environment.read_only:
                self._models[projection] = ReadModel(work, checkpoint, self.log_reader)
                log_tail, poll_s = self.log_reader.log_tail, self._settings.poll_s
                self._followed.append(FollowedTables(work, checkpoint, log_tail, poll_s))
                return
        else:
            checkpoint = memory_checkpoint = MemoryCheckpoint(name, self._store, self._save, skipped)
            work = MemoryProjection(projection, memory_checkpoint, self._store, self.log_reader)
        tell = self._tell_handled
        delivery = SequentialDelivery(
            work if tell is None else ObservedApply(work, name, tell, asyncio.get_running_loop().time),
            checkpoint,
            self._settings.handler_retry,
            self._source,
            projection.on_failure,
            events_per_commit,
        )
        self._models[projection] = ReadModel(work, checkpoint, self.log_reader)
        self.followers[follower] = processor = self._processor(definition.name, work, delivery, checkpoint)
        self.add(projection, processor)
        if isinstance(work, TableProjection):
            self.place(processor, work.look)

    def _add_reaction(self, reaction: Reaction) -> None:
        name = f"reaction {reaction.name}"
        checkpoint = Checkpoint(name, self._store, self.saving(name), self._skip_marks.of(name))
        work = ReactionWork(reaction, checkpoint, self._store, lambda: self.log_reader.log_tail.position)
        delivery = self.concurrent_delivery(work, checkpoint, reaction.retry)
        self.followers[name] = processor = self._processor(reaction.name, work, delivery, checkpoint, reaction.hold_s)
        self.add(reaction.handler.method, processor)
        self._reactions.append(processor)
        self.place(processor, start=FirstStart(work.is_new, work.prepare))

    def _add_outlet(self, outlet: Outlet) -> None:
        name = f"outlet {outlet.name}"
        checkpoint = Checkpoint(name, self._store, self.saving(name), self._skip_marks.of(name))
        # The end of the log at the start: later events must not be mistaken for earlier ones.
        new_after = self.log_reader.log_tail.position if outlet.start == "now" else 0
        start_position = StartPosition(checkpoint, self._store, new_after)
        self._outlet_starts.append(start_position)
        wanted = (outlet, checkpoint, start_position, self._source)
        tell, time = self._tell_handled, asyncio.get_running_loop().time
        work = (
            OutletWork(*wanted)
            if tell is None
            else ObservedOutletWork(*wanted, processor=checkpoint.name, tell=tell, time=time)
        )
        self.followers[name] = processor = self._processor(outlet.name, work, work, checkpoint, outlet.hold_s)
        self.add(outlet, processor)
        self._outlets.append(processor)
        self.place(processor, start=FirstStart(start_position.is_new, start_position.save_if_new))

    def concurrent_delivery(self, work: React, checkpoint: Checkpoint, retry: Retry) -> ConcurrentDelivery:
        """Return a delivery of events to a slow handler, observed if instruments want that."""
        if self._tell_handled is not None:
            work = ObservedReact(work, checkpoint.name, self._tell_handled, asyncio.get_running_loop().time)
        return ConcurrentDelivery(work, checkpoint, retry, self._source, self._environment.is_stopping)

    def _processor(
        self, plain_name: str, work: Any, delivery: Any, checkpoint: Checkpoint, hold_s: float = 0.0
    ) -> Processor:
        reader = self.patient_reader if isinstance(work, MemoryProjection) else self.placed_reader
        environment = self._environment
        return Processor(work, delivery, checkpoint, reader, environment, plain_name=plain_name, hold_s=hold_s)
