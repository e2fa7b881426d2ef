"""Finds sagas in the log that the current code cannot continue, because their class or step is missing.

The check of event types cannot detect them, because all sagas share a few event types. A live one would wait forever,
and no new one would start.
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
_IS_NO_SAGA = "is not a saga of this runtime: add its class to Runtime([…])"


class LostSagas(NamedTuple):
    """A line for each problem: `live` sagas without their class or step, and missing classes whose sagas are all
    `over`.
    """

    live: list[str]
    over: list[str]


async def lost_sagas(store: EventStore, definitions: Iterable[SagaDefinition]) -> LostSagas:
    """Return the classes and steps of sagas in an open store that these definitions lack, and how to fix each
    problem.
    """
    known = {definition.saga_type: definition for definition in definitions}
    kept = await store.read_rows(ReadLiveSteps(_NAMED_MAX))
    live: dict[str, str] = {}
    for saga in kept:
        definition = known.get(saga.type)
        if definition is None:
            if saga.ids:
                named = _named([id for ids in saga.ids.values() for id in ids][:_NAMED_MAX])
                live[saga.type] = (
                    f"{saga.type} (live: {named}) {_IS_NO_SAGA}, or set saga_type = {saga.type!r} in the class that "
                    f"replaced it"
                )
            continue
        for step, ids in saga.ids.items():
            name = step.removesuffix(UNDO)
            if name and definition.today(name) not in definition.steps:
                live[f"{saga.type}.{name}"] = (
                    f"{saga.type}.{name} (live: {_named(ids)}) is not a step in this code: restore it, or map its "
                    f"name in renamed_steps of {definition.saga_class.__qualname__}"
                )
    over = [
        f'{type_} (none is live) {_IS_NO_SAGA}, or start with Settings(unreadable_types="warn") to continue without it'
        for type_ in (saga.type for saga in kept)
        if type_ not in known and type_ not in live
    ]
    return LostSagas(list(live.values()), over)


def _named(ids: list[str]) -> str:
    return ", ".join(ids) + (", …" if len(ids) == _NAMED_MAX else "")


async def refuse_lost_sagas(
    store: EventStore, definitions: Iterable[SagaDefinition], otherwise: Literal["refuse", "warn"]
) -> None:
    """Raise ConfigurationError if sagas in an open store cannot continue; `otherwise` applies to those that are
    over.
    """
    lost = await lost_sagas(store, definitions)
    refused = [*lost.live, *(lost.over if otherwise == "refuse" else ())]
    if refused:
        raise ConfigurationError("the log holds sagas that this runtime cannot continue:\n  " + "\n  ".join(refused))
    if lost.over:
        log.warning("unregistered_sagas", types=lost.over)
