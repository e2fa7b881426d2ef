"""`scenario_of`: a case as the source of a simulation, which applies it again under faults and crashes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.catalog import Catalog
from actorium.correction_case import CORRECTION, CorrectionCase, PlannedCorrection
from actorium.corrections.cases.correcting import as_fields
from actorium.corrections.impact.selection import stream_records
from actorium.corrections.what_if.recorded import RecordedAppend, continues, handlers_of, rebuilt
from actorium.store.codec import decode_metadata
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import EventStore
from actorium.store.names import StreamName, stream_of_event

_SOURCE = '''"""The correction case {id} as a simulation: `actorium simulate FILE`.

It sends the commands of the corrected streams again, then opens, plans, approves, applies and closes the case.
"""

from actorium.simulation import World, reproduce_case, simulation
from actorium.user_code.targets import load_app

CASE = {case}


@simulation(seeds=100)
async def correction_{name}(world: World) -> None:
    await reproduce_case(world, load_app({app!r}).catalog, CASE)
'''


class SentCommand(msgspec.Struct, frozen=True):
    """A command of a corrected stream: its stored name and its fields as JSON."""

    type: str
    fields: msgspec.Raw


class CaseStory(msgspec.Struct, frozen=True):
    """What a simulation needs to reproduce a case; of the followers that skip its events, only projections."""

    id: str
    events: tuple[str, ...]
    reason: str
    corrections: tuple[PlannedCorrection, ...]
    commands: Sequence[SentCommand]
    skip: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()


async def scenario_of(store: EventStore, catalog: Catalog, case: CorrectionCase, app: str) -> str:
    """Return the Python source of a simulation that reproduces a case.

    app: the application, as `module:name`.

    Raises InvalidCommand if a command of a corrected stream cannot be rebuilt from its events.
    """
    streams = {stream_of_event(one.event) for one in case.corrections}
    streams |= {StreamName(one.stream_type, one.stream_id) for one in case.corrections}
    opened = await anext(stream_records(store, StreamName(CORRECTION, case.id)))
    sent: dict[int, Command] = {}
    for stream in streams:
        if stream is not None:
            sent |= await _commands(store, catalog, stream, opened.position)
    story = CaseStory(
        case.id,
        case.events,
        case.reason,
        case.corrections,
        [SentCommand(command_type_of(type(command)), as_fields(command)) for _, command in sorted(sent.items())],
        tuple(mark.follower for mark in case.marks if mark.follower.startswith("projection ")),
        case.repairs,
    )
    text = msgspec.json.encode(story).decode()
    name = re.sub(r"\W", "_", case.id)
    return _SOURCE.format(id=case.id, name=name, app=app, case=repr(text))


async def _commands(store: EventStore, catalog: Catalog, stream: StreamName, before: int) -> Mapping[int, Command]:
    """Return the commands of a stream by the position of their first event, up to a position."""
    aggregate = next((one for one in catalog.aggregates if one.__definition__.stream_type == stream.type), None)
    appends: list[RecordedAppend] = []
    async for record in stream_records(store, stream):
        metadata = decode_metadata(record.metadata)
        if record.position >= before:
            break
        if appends and continues(appends[-1], record, metadata):
            appends[-1].records.append(record)
        else:
            appends.append(RecordedAppend(stream, [record], metadata))
    found: dict[int, Command] = {}
    records = await store.find_commands([append.metadata.command_id for append in appends])
    for append in appends:
        known = records.get(append.metadata.command_id)
        append.fingerprint = known.fingerprint if known is not None else None
        command = rebuilt(append, handlers_of(aggregate)) if aggregate is not None else None
        if command is None:
            first = append.records[0]
            raise InvalidCommand(
                f"the command that caused {first.type} at {stream} version {first.version} cannot be rebuilt from it: "
                "the case has no scenario"
            )
        found[append.records[0].position] = command
    return found
