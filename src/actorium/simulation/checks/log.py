"""The log, read back in every possible way and compared with the world's own record."""

from __future__ import annotations

from actorium.simulation.checks.effects import Effects
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.history import History
from actorium.simulation.record.witness import Loss, Witness
from actorium.store.event_store import EventStore, StreamRead
from actorium.store.wording import counted

_EVERYTHING = 1 << 40


async def read_back(log: EventStore, witness: Witness, effects: Effects, history: History, violated: Violated) -> None:
    """Compare the log with the witness: as a whole, stream by stream, and by the ids of the clients' commands."""
    try:
        found = await log.read_log(0, _EVERYTHING, _EVERYTHING)
        if len(found) > witness.position:
            violated(
                "the log holds what was committed", counted(witness.position, "event"), counted(len(found), "event")
            )
        witness.compare(found)
    except Loss as loss:
        violated("nothing committed is lost", "the log as it was", loss)
        return
    names = list(witness.streams)
    pages = await log.read_streams([StreamRead(name, 0, _EVERYTHING) for name in names], _EVERYTHING)
    for name, page in zip(names, pages, strict=True):
        if page.events != witness.streams[name]:
            versions = [record.version for record in page.events]
            violated("nothing committed is lost", f"{name} versions 1 to {len(witness.streams[name])}", versions)
    for operation in history.operations:
        effect = effects.of(operation.effect_id)
        record = (await log.find_commands([operation.effect_id])).get(operation.effect_id)
        place = None if record is None else (record.stream, record.first_version, record.version, record.position)
        wanted = None if effect is None else (effect.stream, effect.first_version, effect.version, effect.position)
        if place != wanted:
            violated("a command's effect is found by its id", f"{operation.effect_id} at {wanted}", place)
