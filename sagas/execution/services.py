"""`Services`: the parts of the runtime that are needed to carry out intents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command, command_type_of
from actorium.runtime.commands.dispatcher import Dispatcher
from actorium.runtime.services.link import ServiceLink
from actorium.store.event_store import EventStore
from actorium.store.source import Source

Send = Callable[..., Any]


class Services(msgspec.Struct, frozen=True):
    """The parts of one runtime that routers, runners and the agenda share.

    commands: the classes of commands that may be sent, by their stable names.
    send: `Runtime.send`, with the middleware.
    accepts: whether the runtime accepts commands now; None if they must pass through middleware.
    is_stopping: whether the runtime no longer accepts commands.
    timeout_s: how long one command, report or read may take, in seconds.
    link: leads to the other services, whose commands may be sent too; None without any.
    max_payload_bytes: how much the events of one decision may take, in bytes.
    """

    dispatcher: Dispatcher
    store: EventStore
    source: Source
    commands: Mapping[str, type[Command]]
    send: Send
    accepts: Callable[[], bool] | None
    is_stopping: Callable[[], bool]
    timeout_s: float
    link: ServiceLink | None
    max_payload_bytes: int


def commands_by_name(aggregates: Iterable[type[Aggregate]], link: ServiceLink | None) -> dict[str, type[Command]]:
    """Return the commands that sagas may send, to aggregates and to other services, by their stable names."""
    here = {
        command_type_of(command): command for aggregate in aggregates for command in aggregate.__definition__.handlers
    }
    return here if link is None else {**here, **link.commands}
