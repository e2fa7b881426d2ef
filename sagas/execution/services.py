"""`Services`: the parts of the runtime that are needed to carry out intents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actorium.actors.commands import Command
from actorium.runtime.commands.dispatcher import Dispatcher
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
    max_payload_bytes: int
