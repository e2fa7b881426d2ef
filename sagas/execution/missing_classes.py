"""Sagas in the log that the code of the day cannot go on with: of classes it was not given, on steps it has not.

Nobody would notice by its events, whose few types are those of all sagas. One that is live would wait for ever, and no
new one would begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import UNDO
from actorium.store.errors import ConfigurationError, StatementFailed
from actorium.store.event_store import EventStore
from actorium.store.log import logger

log = logger("actorium.sagas")

_NAMED_MAX = 5
# The first condition is that of the index by status, which SQLite uses for no query without it.
_LIVE = "status <> 'completed' AND status IN ('running', 'undoing', 'failed')"
_STANDING = f"SELECT DISTINCT type, coalesce(step, '') FROM sagas WHERE {_LIVE} ORDER BY 1, 2"
_IDS = f"SELECT id FROM sagas WHERE type = ? AND ? IN (step, '') AND {_LIVE} LIMIT {_NAMED_MAX}"
# From one type to the next by the key: a million sagas of a type cost no more than one.
_TYPES = (
    "WITH RECURSIVE kept (type) AS (SELECT min(type) FROM sagas UNION ALL "
    "SELECT (SELECT min(type) FROM sagas WHERE sagas.type > kept.type) FROM kept WHERE kept.type IS NOT NULL) "
    "SELECT type FROM kept WHERE type IS NOT NULL"
)

_IS_NO_SAGA = "is no saga of this runtime: give Runtime([…]) the class that keeps it"


class LostSagas(NamedTuple):
    """What is lost, a line for each: classes and steps that `live` sagas want, classes whose sagas are all `over`."""

    live: list[str]
    over: list[str]


async def lost_sagas(store: EventStore, definitions: Iterable[SagaDefinition]) -> LostSagas:
    """Return what the sagas in an open store want and these definitions lack, in words, with the mend."""
    known = {definition.saga_type: definition for definition in definitions}
    try:
        types = [str(type_) for (type_,) in await store.query(_TYPES, ())]
    except StatementFailed:
        return LostSagas([], [])  # no table of sagas: there never was one
    live: dict[str, str] = {}
    for type_, step in await store.query(_STANDING, ()):
        definition = known.get(type_)
        name = str(step).removesuffix(UNDO)
        if definition is None:
            live[type_] = (
                f"{type_} (live: {await _named(store, type_, '')}) {_IS_NO_SAGA}, or set saga_type = {type_!r} in the "
                f"one that it became"
            )
        elif name and definition.today(name) not in definition.steps:
            live[f"{type_}.{name}"] = (
                f"{type_}.{name} (live: {await _named(store, type_, step)}) is no step of this code: bring it back, "
                f"or map its name in renamed_steps of {definition.saga_class.__qualname__}"
            )
    over = [
        f'{type_} (none is live) {_IS_NO_SAGA}, or start with Settings(unreadable_types="warn") if none is to begin'
        for type_ in types
        if type_ not in known and type_ not in live
    ]
    return LostSagas(list(live.values()), over)


async def _named(store: EventStore, type_: str, step: str) -> str:
    ids = [str(id) for (id,) in await store.query(_IDS, (type_, step))]
    return ", ".join(ids) + (", …" if len(ids) == _NAMED_MAX else "")


async def refuse_lost_sagas(
    store: EventStore, definitions: Iterable[SagaDefinition], otherwise: Literal["refuse", "warn"]
) -> None:
    """Raise ConfigurationError where sagas of an open store are lost; `otherwise` is for those that are over."""
    lost = await lost_sagas(store, definitions)
    refused = [*lost.live, *(lost.over if otherwise == "refuse" else ())]
    if refused:
        raise ConfigurationError("the log holds sagas that this runtime cannot go on with:\n  " + "\n  ".join(refused))
    if lost.over:
        log.warning("unregistered_sagas", types=lost.over)
