"""Culprits: the user's methods responsible for an event or a state, named in the story of a failure."""

from __future__ import annotations

from collections.abc import Callable

from actorium.runtime.projections.projection import Projection
from actorium.sagas.model.events import StepIssued
from actorium.sagas.model.intents import IntentKey, issued_intent
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.codec import decode_metadata
from actorium.store.events import EncodedRecord
from actorium.store.names import StreamName


def written_since(view: View, held: Callable[[View], bool]) -> str:
    """Return the code that wrote the event at which a condition stopped holding; "" if it never held.

    The log is read from the beginning: `held` is called once per event, with a view of the log up to that event.
    """
    witness = Witness()
    past = view.over(witness)
    since: EncodedRecord | None = None
    has_held = held(past)
    for record in view.records:
        witness.saw([record])
        if held(past):
            has_held, since = True, None
        elif has_held and since is None:
            since = record
    return "" if since is None else writer_of(view, since)


def writer_of(view: View, record: EncodedRecord) -> str:
    """Return the methods that decided an event: the aggregate's handler, and the saga step that sent the command."""
    aggregate = view.class_of(record.stream.type)
    if aggregate is None or view.is_process(record.stream.type):
        return ""
    events = {type(recorded.event) for recorded in view.recorded(record.position)}
    handlers = aggregate.__definition__.handlers.values()
    decided = " or ".join(one.method.__qualname__ for one in handlers if events & set(one.returns))
    step = _step_behind(view, decode_metadata(record.metadata).command_id)
    return f"{decided}, sent by {step}" if step else decided


def evolvers_of(view: View, stream: StreamName) -> str:
    """Return the methods that build the state of an aggregate, in the order of first use."""
    aggregate = view.class_of(stream.type)
    if aggregate is None:
        return ""
    evolvers = aggregate.__definition__.evolvers
    events = [recorded.event for record in view.records_of(stream) for recorded in view.recorded(record.position)]
    return ", ".join(dict.fromkeys(evolvers[type(event)].__qualname__ for event in events))


def handlers_of(projection: type[Projection], view: View) -> str:
    """Return the methods of a projection that handle events present in the log."""
    definition = projection.__definition__
    methods = (definition.handler_of(type(recorded.event)).method for recorded in view.events(*definition.handlers))
    return ", ".join(dict.fromkeys(method.__qualname__ for method in methods))


def _step_behind(view: View, command_id: str) -> str:
    for recorded in view.events(StepIssued):
        issued, saga = recorded.event, recorded.stream
        key, intent = IntentKey(saga.type, saga.id, issued.key), issued_intent(recorded, issued)
        if any(intent.command_id(key, index) == command_id for index in intent.commands):
            return f"{saga.type}.{issued.step}{' (undo)' if issued.undo else ''}"
    return ""
