"""The map of an application: its parts, and the events and commands that flow between them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from actorium.actors.commands import Command, command_type_of
from actorium.catalog import Catalog
from actorium.console.api.views import MapEdge, MapNode, MapView
from actorium.runtime.projections.projection import Query
from actorium.sagas.model.saga import Saga
from actorium.store.events import Event, event_type_of


def app_map(catalog: Catalog) -> MapView:
    """Return the parts of an application, and what flows between them.

    Events flow from the aggregate or service that emits them to what follows them; commands flow from sagas to
    aggregates and other services, as the return annotations of their methods say.
    """
    emitted = [(aggregate.__name__, [*aggregate.__definition__.evolvers]) for aggregate in catalog.aggregates]
    emitted += [(remote.name, [*remote.events.values()]) for remote in catalog.remotes]
    handled = {
        command: aggregate.__name__ for aggregate in catalog.aggregates for command in aggregate.__definition__.handlers
    }
    handled |= {command: remote.name for remote in catalog.remotes for command in remote.commands.values()}
    edges: list[MapEdge] = []
    for name, followed in _followers(catalog):
        for source, events in emitted:
            types = sorted(event_type_of(one) for one in events if any(issubclass(one, wanted) for wanted in followed))
            if types:
                edges.append(MapEdge(source, name, types, []))
    for saga in catalog.sagas:
        targets: dict[str, list[str]] = {}
        for command in _commands_of(saga, handled):
            targets.setdefault(handled[command], []).append(command_type_of(command))
        edges += [MapEdge(saga.__name__, aggregate, [], sorted(types)) for aggregate, types in targets.items()]
    return MapView(list(_nodes(catalog)), edges)


def _nodes(catalog: Catalog) -> Iterator[MapNode]:
    for aggregate in catalog.aggregates:
        definition = aggregate.__definition__
        commands = [command_type_of(command) for command in definition.handlers]
        yield MapNode("aggregate", aggregate.__name__, definition.stream_type, commands, [])
    for saga in catalog.sagas:
        yield MapNode("saga", saga.__name__, saga.__definition__.saga_type, [], [])
    for projection in catalog.projections:
        queries = [name for name, value in inspect.getmembers_static(projection) if isinstance(value, Query)]
        yield MapNode("projection", projection.__name__, "", [], queries)
    for reaction in catalog.reactions:
        yield MapNode("reaction", reaction.name, "", [], [])
    for outlet in catalog.outlets:
        yield MapNode("outlet", outlet.name, "", [], [])
    for remote in catalog.remotes:
        # The streams that keep a service's events have its name as their type.
        yield MapNode("service", remote.name, remote.name, sorted(remote.commands), [])


def _followers(catalog: Catalog) -> Iterator[tuple[str, Iterable[type[Event]]]]:
    for saga in catalog.sagas:
        yield saga.__name__, saga.__definition__.event_classes
    for projection in catalog.projections:
        yield projection.__name__, projection.__definition__.handlers
    for reaction in catalog.reactions:
        yield reaction.name, reaction.handler.event_classes
    for outlet in catalog.outlets:
        yield outlet.name, outlet.types


def _commands_of(saga: type[Saga], known: Iterable[type[Command]]) -> list[type[Command]]:
    definition = saga.__definition__
    methods: list[Callable[..., Any] | None] = [handler.handler.method for handler in definition.handlers.values()]
    methods += definition.rejections.values()
    for step in definition.steps.values():
        methods += [step.method, step.undo_method]
    named = " ".join(_returned(method) for method in methods if method is not None)
    return [command for command in known if re.search(rf"\b{re.escape(command.__name__)}\b", named)]


def _returned(method: Callable[..., Any]) -> str:
    said = inspect.get_annotations(method).get("return")
    return said if isinstance(said, str) else getattr(said, "__name__", str(said))
