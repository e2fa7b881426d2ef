"""`ReadOnlyDispatcher`: the entry of a runtime that only reads. It refuses commands, and reads states from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, NoReturn

from actorium.actors.commands import Ack, Command, checked_id
from actorium.actors.envelope import Envelope
from actorium.runtime.commands.answer_batch import Answer, Take
from actorium.runtime.commands.dispatcher import Dispatcher, timed_out
from actorium.runtime.log.history import latest_state
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore


class ReadOnlyDispatcher(Dispatcher):
    """A dispatcher without actors: what one remembers may be older than the log, which other processes write."""

    def __init__(self, *wanted: Any, store: EventStore) -> None:
        super().__init__(*wanted)
        self._store = store

    def envelope(self, command: Command, *others: Any) -> Envelope:
        """Refuse a command."""
        refuse_to_write(f"{type(command).__name__} to {command.to!r}")

    def send(self, command: Command, command_id: str | None, timeout_s: float) -> Awaitable[Ack]:
        """Refuse a command."""
        refuse_to_write(f"{type(command).__name__} to {command.to!r}")

    def ask(self, envelope: Envelope) -> Awaitable[Ack]:
        """Refuse a command of the runtime itself."""
        refuse_to_write(f"{type(envelope.command).__name__} to {envelope.to!r}")

    def ask_nowait(self, envelope: Envelope, take: Take, about: Any = None) -> Answer | None:
        """Refuse a command of the runtime itself."""
        refuse_to_write(f"{type(envelope.command).__name__} to {envelope.to!r}")

    def read(self, stream_type: str, id: str, timeout_s: float) -> Awaitable[Any]:
        """Return an awaitable of an aggregate's latest state, read from the log."""
        return self._read(Envelope(stream_type, checked_id(id, "id"), None, None, timeout_s=timeout_s))

    async def _read(self, envelope: Envelope) -> Any:
        try:
            async with asyncio.timeout(envelope.timeout_s):
                return await latest_state(self._store, self._kinds[envelope.stream_type], envelope.to)
        except TimeoutError:
            raise timed_out(envelope) from None


def refuse_to_write(what: str) -> NoReturn:
    """Raise ConfigurationError for something that a runtime that only reads cannot do."""
    raise ConfigurationError(
        f"{what} is not possible here: this runtime was created with read_only=True; use the runtime that writes the "
        "log"
    )
