"""`ServiceFeeds`: the processors that publish a service's events, and that take other services' events in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio.abc

from actorium.actors.aggregate import Aggregate
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.component import Component
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.concurrent_delivery import ConcurrentDelivery
from actorium.runtime.processors.processor import Processor
from actorium.runtime.read_side import ReadSide
from actorium.runtime.services.events.inbox import Inbox, InboxCheckpoint
from actorium.runtime.services.events.inbox_reader import InboxReader
from actorium.runtime.services.events.publisher import Publisher
from actorium.runtime.services.service import RemoteService, Service
from actorium.store.event_store import SaveCheckpoint


class ServiceFeeds(Component):
    """The events of a service, out and in; it starts once commands are accepted and the link is open.

    streams: the class of actors that keeps the events of each other service.
    save: writes a checkpoint with the next save.
    """

    def __init__(
        self,
        service: Service,
        streams: Mapping[RemoteService, type[Aggregate]],
        dispatcher: Dispatcher,
        reads: ReadSide,
        environment: RuntimeEnvironment,
        save: Callable[[SaveCheckpoint], Any],
    ) -> None:
        self._service = service
        self._streams = streams
        self._dispatcher = dispatcher
        self._reads = reads
        self._environment = environment
        self._save = save

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the processors."""
        if self._service.publishes:
            publisher = self._publisher()
            self._reads.add(self._service, publisher)
            self._reads.log_reader.log_tail.follow(publisher)
            tasks.start_soon(publisher.run)
        for remote, stream in self._streams.items():
            reader = InboxReader(remote.name, self._service.bus, self._environment.codec)
            await reader.open()
            inbox = self._inbox(remote, stream, reader)
            self._reads.add(remote, inbox)
            tasks.start_soon(inbox.run)

    def _publisher(self) -> Processor:
        environment, name = self._environment, self._service.name
        checkpoint = Checkpoint(f"publish {name}", environment.store, self._save)
        log_reader = self._reads.log_reader
        work = Publisher(self._service, self._service.bus, checkpoint, log_reader, environment.source)
        return Processor(work, work, checkpoint, log_reader, environment, plain_name=f"publish {name}")

    def _inbox(self, remote: RemoteService, stream: type[Aggregate], reader: InboxReader) -> Processor:
        environment, settings = self._environment, self._environment.settings
        checkpoint = InboxCheckpoint(f"inbox {remote.name}", environment.store, self._save)
        work = Inbox(
            remote,
            stream,
            reader,
            checkpoint,
            self._dispatcher,
            environment.store,
            environment.source,
            settings.default_timeout_s,
        )
        delivery = ConcurrentDelivery(
            work, checkpoint, settings.handler_retry, environment.source, environment.is_stopping
        )
        name = f"inbox {remote.name}"
        return Processor(work, delivery, checkpoint, reader, environment, plain_name=name, lane=work.lane)
