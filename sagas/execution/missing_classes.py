"""Sagas in the log that the code of the day cannot go on with: of classes it was not given, on steps it has not.

Nobody would notice by its events, whose few types are those of all sagas. One that is live would wait for ever, and no
new one would begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import UNDO
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore
from actorium.store.log import logger
from actorium.store.tables.own_rows import ReadLiveSteps

log = logger("actorium.sagas")

_NAMED_MAX = 5
_IS_NO_SAGA = "is no saga of this runtime: give Runtime([…]) the class that keeps it"


class LostSagas(NamedTuple):
    """What is lost, a line for each: classes and steps that `live` sagas want, classes whose sagas are all `over`."""

    live: list[str]
    over: list[str]


async def lost_sagas(store: EventStore, definitions: Iterable[SagaDefinition]) -> LostSagas:
    """Return what the sagas in an open store want and these definitions lack, in words, with the mend."""
    known = {definition.saga_type: definition for definition in definitions}
    kept = await store.read_rows(ReadLiveSteps(_NAMED_MAX))
    live: dict[str, str] = {}
    for saga in kept:
        definition = known.get(saga.type)
        if definition is None:
            if saga.ids:
                named = _named([id for ids in saga.ids.values() for id in ids][:_NAMED_MAX])
                live[saga.type] = (
                    f"{saga.type} (live: {named}) {_IS_NO_SAGA}, or set saga_type = {saga.type!r} in the one that it "
                    f"became"
                )
            continue
        for step, ids in saga.ids.items():
            name = step.removesuffix(UNDO)
            if name and definition.today(name) not in definition.steps:
                live[f"{saga.type}.{name}"] = (
                    f"{saga.type}.{name} (live: {_named(ids)}) is no step of this code: bring it back, or map its name "
                    f"in renamed_steps of {definition.saga_class.__qualname__}"
                )
    over = [
        f'{type_} (none is live) {_IS_NO_SAGA}, or start with Settings(unreadable_types="warn") if none is to begin'
        for type_ in (saga.type for saga in kept)
        if type_ not in known and type_ not in live
    ]
    return LostSagas(list(live.values()), over)


def _named(ids: list[str]) -> str:
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
