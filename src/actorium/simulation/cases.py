"""`reproduce_case`: applies a correction case again in a simulated world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.catalog import Catalog
from actorium.correction_case import NOTHING, PlannedCorrection
from actorium.corrections.cases.scenario import CaseStory
from actorium.corrections.impact.selection import Selection
from actorium.runtime.processors.outlet import CORRECTS_HEADER
from actorium.simulation.record.view import View
from actorium.simulation.world.world import World
from actorium.store.events import Event

_OPENED_BY, _APPROVED_BY = "opener", "approver"
_SOON_S = 600


async def reproduce_case(world: World, catalog: Catalog, case: str) -> None:
    """Apply a case again in a simulated world, where every step can fail or be cut short by a crash.

    The commands of the corrected streams come first, without faults. Sagas and effects do not run: their commands are
    among those.

    world: the simulated world.
    catalog: the application's classes.
    case: the case, as `runtime.corrections.scenario` writes it.
    """
    story = msgspec.json.decode(case, type=CaseStory)
    known = {
        command_type_of(command): command
        for aggregate in catalog.aggregates
        for command in aggregate.__definition__.handlers
    }
    runtime = world.runtime([*catalog.aggregates, *catalog.projections])
    async with world.calm():
        for sent in story.commands:
            await runtime.send(msgspec.json.decode(sent.fields, type=known[sent.type]))
    world.always("a correction happens once", _once)
    cases, events = runtime.corrections, Selection(events=story.events)
    await cases.open(events, by=_OPENED_BY, reason=story.reason, id=story.id)
    await cases.plan(
        story.id,
        by=_OPENED_BY,
        right={one.event: _fields(one) for one in story.corrections if not one.command},
        commands={one.event: _command(one, known) for one in story.corrections if one.command},
        skip=story.skip,
        repair=story.repair,
    )
    await cases.approve(story.id, by=_APPROVED_BY)
    await cases.apply(story.id)
    await cases.close(story.id, by=_APPROVED_BY)


def _fields(planned: PlannedCorrection) -> Mapping[str, Any] | None:
    return None if planned.right == NOTHING else msgspec.json.decode(planned.right)


def _command(planned: PlannedCorrection, known: Mapping[str, type[Command]]) -> Command:
    return msgspec.json.decode(planned.fields, type=known[planned.command])


def _once(view: View) -> bool:
    """Return whether each wrong event is corrected by at most one command."""
    corrected = {
        (recorded.metadata.headers[CORRECTS_HEADER], recorded.metadata.command_id)
        for recorded in view.events(Event)
        if CORRECTS_HEADER in recorded.metadata.headers
    }
    return max(Counter(event for event, _ in corrected).values(), default=0) <= 1
