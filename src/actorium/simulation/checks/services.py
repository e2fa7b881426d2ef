"""The checks of services at rest: what one publishes is in its stream, and what is in the stream is with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from actorium.application import Runtime
from actorium.runtime.services.events.batches import PublishedEvent, decode_batch
from actorium.runtime.services.service import RemoteService
from actorium.runtime.services.subjects import events_of
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.view import View
from actorium.store.events import event_type_of

Streams = Mapping[str, Sequence[bytes]]


class Participant(Protocol):
    """A process of a service; `model` is a runtime that describes it and never runs."""

    name: str
    view: View
    runtime: Runtime | None

    @property
    def model(self) -> Runtime: ...

    def look(self, read: Callable[[Runtime], int]) -> int:
        """Return the result of a function called in the process."""


def left_to_take_in(streams: Streams, nodes: Sequence[Participant]) -> list[str]:
    """Describe the events of streams that services have not taken in yet."""
    left: list[str] = []
    for node in nodes:
        for remote in _followed(node):
            numbers = [number for number, _ in _entries(streams, remote.name)]
            if numbers and _taken_in(node, remote) < numbers[-1]:
                left.append(f"{node.name} has not taken in event {numbers[-1]} of {remote.name}")
    return left


def check_services(streams: Streams, nodes: Sequence[Participant], violated: Violated) -> None:
    """Compare the stream of each service with its log, and what others have recorded with the stream."""
    for node in nodes:
        service = node.model._service
        if service is not None and service.publishes:
            wanted = [
                recorded.event_id
                for recorded in node.view.events(*service.publishes)
                if recorded.stream_type not in {remote.name for remote in node.model.catalog.remotes}
            ]
            found = [event.id for _, event in _entries(streams, service.name)]
            if found != wanted:
                violated("a stream equals the log of its service", f"{service.name}: {wanted}", found)
        for remote in _followed(node):
            _compare_inbox(streams, node, remote, violated)


def _compare_inbox(streams: Streams, node: Participant, remote: RemoteService, violated: Violated) -> None:
    wanted: dict[str, list[tuple[str, str]]] = {}
    for _, event in _entries(streams, remote.name):
        if event.type in remote.events:
            wanted.setdefault(event.subject, []).append((event.type, bytes(event.data).decode()))
    found: dict[str, list[tuple[str, str]]] = {}
    for recorded in node.view.events(*remote.events.values()):
        if recorded.stream_type == remote.name:
            payload = msgspec.json.encode(recorded.event).decode()
            found.setdefault(recorded.stream_id, []).append((event_type_of(type(recorded.event)), payload))
    if found != wanted:
        violated("an inbox holds each published event once, in order", f"{node.name}: {wanted}", found)


def _taken_in(node: Participant, remote: RemoteService) -> int:
    """Return the number up to which a node has taken events in; -1 if it is down."""

    def position(runtime: Runtime) -> int:
        processor = runtime.processors.get(remote)
        return processor.position if processor is not None else -1

    return node.look(position) if node.runtime is not None else -1


def _followed(node: Participant) -> list[RemoteService]:
    return [remote for remote in node.model.catalog.remotes if remote.events]


def _entries(streams: Streams, service: str) -> Iterator[tuple[int, PublishedEvent]]:
    """Yield the events of a stream with their numbers."""
    for data in streams.get(events_of(service), ()):
        batch = decode_batch(data)
        yield from enumerate(batch.events, batch.first)
