"""Diagrams of an application in Mermaid: the steps of sagas, the decisions of aggregates, the followers of events."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.application import Runtime
from actorium.runtime.processors.outlet import Outlet
from actorium.runtime.processors.reactions import Reaction
from actorium.runtime.projections.projection import Projection, Query
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.steps import Step

Lines = Iterator[str]

_UNDONE = '  undone(["undone"])'
_FAILED = '  failed(["stuck: needs an operator"])'


class Diagram(msgspec.Struct, frozen=True):
    """One diagram: its kind ("Saga", "Aggregate", ...), its name, and the Mermaid source."""

    kind: str
    name: str
    mermaid: str


def diagrams(runtime: Runtime) -> list[Diagram]:
    """Return a diagram for each saga, aggregate, projection, reaction and outlet."""
    catalog = runtime.catalog
    parts: list[tuple[str, str, Lines]] = [("Saga", saga.__name__, saga_graph(saga)) for saga in catalog.sagas]
    parts += [("Aggregate", aggregate.__name__, aggregate_graph(aggregate)) for aggregate in catalog.aggregates]
    parts += [("Projection", projection.__name__, projection_graph(projection)) for projection in catalog.projections]
    parts += [("Reaction", reaction.name, _reaction_graph(reaction)) for reaction in catalog.reactions]
    parts += [("Outlet", outlet.name, _outlet_graph(outlet)) for outlet in catalog.outlets]
    return [Diagram(kind, name, "\n".join(lines)) for kind, name, lines in parts]


def page(diagrams: Iterable[Diagram]) -> str:
    """Return a Markdown page with diagrams."""
    return "\n\n".join(f"## {one.kind} {one.name}\n\n```mermaid\n{one.mermaid}\n```" for one in diagrams)


def saga_graph(saga: type[Saga]) -> Lines:
    """Yield the lines of a saga's diagram: its steps downwards, its undo methods upwards in dashes."""
    definition = saga.__definition__
    yield "flowchart TD"
    steps = list(definition.steps.values())
    for event_class, known in definition.handlers.items():
        name = known.handler.method.__name__
        event = _id("event", event_class.__name__)
        yield f"  {_event(event_class)}"
        if known.is_start and steps:
            yield f"  {event} --> {_id('step', steps[0].name)}"
        else:
            yield from _handler(event, name, known.handler.method)
    for command_class, method in definition.rejections.items():
        refused = _id("refused", command_class.__name__)
        yield f'  {refused}(["{command_class.__name__} rejected"])'
        yield from _handler(refused, method.__name__, method)
    if steps:
        yield from _steps(definition, steps)


def aggregate_graph(aggregate: type[Aggregate]) -> Lines:
    """Yield the lines of an aggregate's diagram: commands to the events that may result."""
    definition = aggregate.__definition__
    yield "flowchart LR"
    for command, handler in definition.handlers.items():
        said = f"{handler.method.__name__}, creates" if handler.creates else handler.method.__name__
        yield f"  {_command(command.__name__)}"
        if not handler.returns:
            yield f'  {_id("command", command.__name__)} -->|"{said}"| nothing(["nothing"])'
        for event in handler.returns:
            yield f'  {_id("command", command.__name__)} -->|"{said}"| {_event(event)}'
    decided = {event for handler in definition.handlers.values() for event in handler.returns}
    for event in definition.evolvers:
        if event not in decided:
            yield f"  {_event(event)}"


def projection_graph(projection: type[Projection]) -> Lines:
    """Yield the lines of a projection's diagram: events to its tables, and its tables to its queries."""
    definition = projection.__definition__
    yield "flowchart LR"
    yield f'  projection[("{definition.name} v{definition.version}")]'
    for event_class, handler in definition.handlers.items():
        yield f'  {_event(event_class)} -->|"{handler.method.__name__}"| projection'
    for name, value in inspect.getmembers_static(projection):
        if isinstance(value, Query):
            yield f'  projection --> {_id("query", name)}[/"{name}"/]'


def _reaction_graph(reaction: Reaction) -> Lines:
    yield "flowchart LR"
    for event_class in reaction.handler.event_classes:
        yield f'  {_event(event_class)} --> reaction["{_text(reaction.name)}"]'


def _outlet_graph(outlet: Outlet) -> Lines:
    yield "flowchart LR"
    for event_class in sorted(outlet.types, key=lambda one: one.__name__):
        yield f'  {_event(event_class)} --> outlet>"{_text(outlet.source)}"]'


def _steps(definition: SagaDefinition, steps: list[Step]) -> Lines:
    """Yield the steps downwards, and the target of each failure: the nearest undo above, or a person."""
    undo = "undone"  # the target of a failure at this place
    for place, step in enumerate(steps):
        node = _id("step", step.name)
        yield f"  {node}{_step(step)}"
        following = _id("step", steps[place + 1].name) if place + 1 < len(steps) else 'completed(["completed"])'
        yield f"  {node} --> {following}"
        yield f"  {node} -.-> {undo if definition.can_be_undone(step.name) else 'failed'}"
        if step.undo_method is not None:
            own = _id("undo", step.name)
            yield f'  {own}["{step.undo_method.__name__}{_returns(step.undo_method)}"]'
            yield f"  {own} -.-> {undo}"
            if step.is_effect or step.until is not None or step.timeout_s is not None:
                yield f'  {node} -.->|"may have run"| {own}'
            undo = own
    yield _UNDONE
    if any(not definition.can_be_undone(step.name) for step in steps):
        yield _FAILED


def _step(step: Step) -> str:
    said = [step.name + _returns(step.method)]
    if step.is_effect:
        said.append("external effect")
    if step.until is not None:
        said.append(f"until {step.until.__name__}")
    if step.timeout_s is not None:
        said.append(f"within {step.timeout_s:g} s")
    if step.pivot:
        said.append("cannot be undone")
    text = "<br/>".join(said)
    return f'{{{{"{text}"}}}}' if step.pivot else f'["{text}"]'


def _handler(event: str, name: str, method: Callable[..., Any]) -> Iterable[str]:
    yield f'  {event} --> {_id("on", name)}["{name}{_returns(method)}"]'


def _returns(method: Callable[..., Any]) -> str:
    """Return a method's return annotation, as a second line of its node."""
    said = inspect.get_annotations(method).get("return")
    if said in (None, "None", "", inspect.Signature.empty):
        return ""
    return "<br/>" + _text(said if isinstance(said, str) else getattr(said, "__name__", str(said)))


def _event(event_class: type) -> str:
    return f'{_id("event", event_class.__name__)}(["{event_class.__name__}"])'


def _command(name: str) -> str:
    return f'{_id("command", name)}[/"{name}"/]'


def _id(kind: str, name: str) -> str:
    """Return an id for a node; the kind as prefix separates it from other kinds and from Mermaid's keywords."""
    return f"{kind}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"


def _text(text: str) -> str:
    """Return text escaped for Mermaid's quotes."""
    return text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
