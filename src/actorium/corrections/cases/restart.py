"""Restarts a saga that has ended: a new run of it, from the event that started it, under an id of the case.

The old run stays as it is. Commands and effects of the new run have ids of their own, so they take effect again: the
person who restarts a saga knows what the old run has done, and what the corrections have taken back.
"""

from __future__ import annotations

import msgspec

from actorium.actors.envelope import Envelope
from actorium.actors.errors import Rejected
from actorium.catalog import Catalog
from actorium.correction_case import CORRECTION, NOTHING, CorrectionCase
from actorium.corrections.cases.services import CaseServices
from actorium.corrections.impact.closure import whole_id
from actorium.corrections.impact.selection import Selection, selected, stream_records
from actorium.runtime.commands.derived_ids import bounded, derived_id
from actorium.runtime.environment import RuntimeEnvironment
from actorium.sagas.model.events import SagaStarted
from actorium.sagas.model.messages import Happened
from actorium.sagas.model.saga import Saga
from actorium.sagas.model.stream import SagaStream
from actorium.store.events import EncodedRecord, Event, RecordedEvent
from actorium.store.names import StreamName, event_id

_ENDED = ("completed", "undone", "failed")


async def restart(
    catalog: Catalog,
    environment: RuntimeEnvironment,
    services: CaseServices,
    case: CorrectionCase,
    saga: type[Saga],
    saga_id: str,
) -> str:
    """Start a new run of a saga that has ended; return its id, `<id of the saga>~<id of the case>`.

    It starts from the event that started the saga, with the right values if the case corrects this event. Repeated, it
    has no effect.

    Raises NotFound if there is no such saga, and Rejected if it has not ended, if the event that started it should not
    have happened, or if its class follows other events: those would reach the old run.
    """
    definition = saga.__definition__
    name, timeout_s = f"{definition.saga_type}<{saga_id}>", environment.settings.default_timeout_s
    state = await services.engine.dispatcher.read(definition.saga_type, saga_id, timeout_s)
    if state.status not in _ENDED or (state.status == "failed" and state.stuck_at):
        raise Rejected(f"{name} has not ended: retry, skip, complete or compensate it", status=state.status)
    if any(not handler.is_start for handler in definition.handlers.values()) or definition.untils:
        raise Rejected(f"{name} follows events by its id, and they would reach the old run: send commands instead")
    event = await _start_of(catalog, environment, case, StreamName(definition.saga_type, saga_id))
    new_id = bounded(f"{saga_id}~{case.id}")
    await services.engine.dispatcher.ask(
        Envelope(
            definition.saga_type,
            new_id,
            Happened(new_id, event, environment.source.now_us()),
            SagaStream.__definition__.handlers[Happened],
            command_id=derived_id(f"correction/{case.id}/restart/{definition.saga_type}/{saga_id}"),
            fresh=False,
            correlation_id=f"correction/{case.id}",
            causation_id=event_id(StreamName(CORRECTION, case.id), 1),
            headers=dict(event.metadata.headers),
            timeout_s=timeout_s,
        )
    )
    return new_id


async def _start_of(
    catalog: Catalog, environment: RuntimeEnvironment, case: CorrectionCase, stream: StreamName
) -> RecordedEvent[Event]:
    """Return the event that started a saga, with the values that it should have had."""
    store, codec = environment.store, catalog.codec
    first = await anext(stream_records(store, stream))
    (started,) = codec.recorded(first)
    assert isinstance(started.event, SagaStarted), f"the first event of {stream} is {first.type}"
    because_of = started.metadata.causation_id
    (record,) = await selected(store, codec, Selection(events=[whole_id(because_of)]))
    right = _right(case, record)
    if right is not None:
        record = msgspec.structs.replace(record, payload=right)
    return next(one for one in codec.recorded(record) if one.event_id == because_of)


def _right(case: CorrectionCase, record: EncodedRecord) -> bytes | None:
    planned = {one.event: one for one in case.corrections if not one.command}
    correction = planned.get(event_id(record.stream, record.version))
    if correction is None:
        return None
    if correction.right == NOTHING:
        raise Rejected(f"{correction.event} should not have happened: there is nothing to restart")
    return bytes(correction.right)
