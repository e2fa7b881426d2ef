"""Faults in the user's own code: handlers that raise where they did nothing wrong, for as long as a world lasts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from actorium.runtime.catalog import Catalog
from actorium.simulation.faults import FaultId, Plan


class InjectedFailure(Exception):
    """What a handler raised because the simulation made it."""


@contextmanager
def failing_handlers(catalog: Catalog, plan: Plan, befell: Callable[[FaultId], None]) -> Iterator[None]:
    """Have the plan decide, at each call of a command handler or a projection's handler, whether it raises."""

    def strike(family: str, what: str) -> None:
        fault = plan.draw(family, what)
        if fault is not None:
            befell(fault)
            raise InjectedFailure(str(fault))

    before: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
    for aggregate in catalog.aggregates:
        handlers = aggregate.__definition__.handlers
        before.append((handlers, dict(handlers)))
        kind = aggregate.__definition__.stream_type
        for command, handler in handlers.items():
            handlers[command] = msgspec.structs.replace(handler, method=_deciding(handler.method, kind, strike))
    for projection in catalog.projections:
        readers = projection.__definition__.handlers
        before.append((readers, dict(readers)))
        for event, reader in readers.items():
            method = _projecting(reader.method, projection.__definition__.name, strike)
            readers[event] = msgspec.structs.replace(reader, method=method)
    try:
        yield
    finally:
        for handlers, original in before:
            handlers.clear()
            handlers.update(original)


def _deciding(method: Callable[..., Any], kind: str, strike: Callable[[str, str], None]) -> Callable[..., Any]:
    @functools.wraps(method)
    def decide(state: Any, *arguments: Any) -> Any:
        strike("decide", f"{kind}<{state.id}>")
        return method(state, *arguments)

    return decide


def _projecting(method: Callable[..., Any], name: str, strike: Callable[[str, str], None]) -> Callable[..., Any]:
    @functools.wraps(method)
    def handle(state: Any, *arguments: Any) -> Any:
        strike("project", name)
        return method(state, *arguments)

    return handle
