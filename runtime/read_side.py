"""`ReadSide`: the processors of one runtime, and the read models they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio.abc

from actorium.runtime.log.log_reader import LogReader
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.concurrent_delivery import ConcurrentDelivery
from actorium.runtime.processors.delivery import SequentialDelivery
from actorium.runtime.processors.processor import Processor, ProcessorStatistics
from actorium.runtime.processors.reactions import Reaction, ReactionWork
from actorium.runtime.projections.memory_projection import MemoryCheckpoint, MemoryProjection
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.queries import ReadModel
from actorium.runtime.projections.table_projection import TableProjection, checkpoint_name
from actorium.runtime.settings import Settings
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.source import Source
from actorium.store.writer import Extra


class ReadSide:
    """Everything that follows the log."""

    def __init__(
        self,
        projections: Sequence[type[Projection]],
        reactions: Sequence[Reaction],
        store: EventStore,
        save: Callable[[Extra], Any],
        log_reader: LogReader,
        source: Source,
        settings: Settings,
    ) -> None:
        self._store = store
        self._save = save
        self.log_reader = log_reader
        self._source = source
        self._settings = settings
        self.names_open: set[str] = set()  # of durable subscriptions
        self._models: dict[type[Projection], ReadModel] = {}
        self._processors: dict[Any, Processor] = {}
        self._reactions: list[Processor] = []
        for projection in projections:
            self._add_projection(projection)
        for reaction in reactions:
            self._add_reaction(reaction)

    def add(self, handler: object, processor: Processor) -> None:
        """Take the processor of a handler that a layer above drives."""
        self._processors[handler] = processor

    async def prepare(self) -> None:
        """Make ready what there is, before anything is served; raise what is wrong with it."""
        for processor in self._processors.values():
            await processor.prepare()

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Begin to follow the log, all but the reactions."""
        for processor in self._processors.values():
            self.log_reader.log_tail.follow(processor)
            if processor not in self._reactions:
                tasks.start_soon(processor.run)

    def start_reactions(self, tasks: anyio.abc.TaskGroup) -> None:
        """Have the reactions begin, now that commands are accepted: a reaction may send some at its first event."""
        for processor in self._reactions:
            tasks.start_soon(processor.run)

    def model(self, projection: type[Projection] | None) -> ReadModel:
        """Return the read model of a projection class; raise ConfigurationError for one that the runtime has not."""
        model = self._models.get(projection) if projection is not None else None
        if model is None:
            raise ConfigurationError(f"{projection!r} is none of this runtime's projections: Runtime([…, Balances], …)")
        return model

    def processor(self, handler: object) -> Processor:
        """Return the processor of a projection class or a @react function."""
        processor = self._processors.get(handler)
        if processor is None:
            raise ConfigurationError(f"{handler!r} is no projection and no @react function of this runtime")
        return processor

    def processors(self) -> list[Processor]:
        """Return all processors."""
        return list(self._processors.values())

    def statistics(self) -> tuple[ProcessorStatistics, ...]:
        """Return where each processor stands."""
        return tuple(processor.statistics() for processor in self._processors.values())

    def _add_projection(self, projection: type[Projection]) -> None:
        definition = projection.__definition__
        name = checkpoint_name(definition.name, definition.version)
        work: TableProjection | MemoryProjection
        if definition.has_tables:
            checkpoint = Checkpoint(name, self._store, self._save)
            work = TableProjection(projection, checkpoint, self._store)
        else:
            checkpoint = memory_ledger = MemoryCheckpoint(name, self._store, self._save)
            work = MemoryProjection(projection, memory_ledger, self._store, self.log_reader)
        delivery = SequentialDelivery(work, checkpoint, self._settings.handler_retry, self._source)
        self._models[projection] = ReadModel(work, checkpoint)
        self._processors[projection] = self._processor(definition.name, work, delivery, checkpoint)

    def _add_reaction(self, reaction: Reaction) -> None:
        checkpoint = Checkpoint(f"reaction {reaction.name}", self._store, self._save)
        work = ReactionWork(reaction, checkpoint, self._store, lambda: self.log_reader.log_tail.position)
        delivery = ConcurrentDelivery(work, checkpoint, reaction.retry, self._source)
        processor = self._processor(reaction.name, work, delivery, checkpoint)
        self._processors[reaction.handler.method] = processor
        self._reactions.append(processor)

    def _processor(self, plain_name: str, work: Any, delivery: Any, checkpoint: Checkpoint) -> Processor:
        settings = self._settings
        return Processor(
            work,
            delivery,
            checkpoint,
            self.log_reader,
            self._store,
            self._source,
            plain_name=plain_name,
            poll_s=settings.poll_s,
            parked_max=settings.max_parked,
        )
